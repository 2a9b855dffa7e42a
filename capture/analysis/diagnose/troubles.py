"""Table of the kinds of trouble: which sessions show each, what is summed up, which packet to look at."""

from typing import Any

import numpy as np

from capture.analysis.application.message_names import GOODBYES, NXDOMAIN
from capture.analysis.diagnose import application_sentences as says
from capture.analysis.diagnose import sentences as words
from capture.analysis.diagnose.trouble import Column, Trouble
from capture.analysis.sessions.session_table import SIDES, Close, Handshake
from capture.analysis.sessions.verdict import unreachable
from capture.arrays.aliases import Mask, Table
from capture.wire.protocols import TCP, UDP

LARGE = 1000
"""Payload bytes above which a segment can be too big for a path. IPv6's smallest MTU, 1280, has room for 1208."""


def _tcp(sessions: Table) -> Mask:
    mask: Mask = sessions["protocol"] == TCP
    return mask


def _in(column: Any, values: Any) -> Mask:
    return np.isin(column, [int(value) for value in values])


def _other(way: str) -> str:
    return SIDES[1 - SIDES.index(way)]


def _is_too_big(sessions: Table) -> Mask:
    """Return a mask of sessions with such an ICMP error: RFC 792, type 3 code 4; RFC 4443, type 2."""
    kind, code = sessions["icmp_type"], sessions["icmp_code"]
    reported: Mask = (sessions["icmp_packet"] > 0) & np.where(
        sessions["family"] == 4, (kind == 3) & (code == 4), kind == 2
    )
    return reported


def _first_packet(sessions: Table, _: str) -> Any:
    """Return the packets that show the cause: the RST or ICMP error, or else the first packet."""
    return np.select(
        [
            sessions["handshake"] == Handshake.UNREACHABLE,
            _in(sessions["handshake"], (Handshake.REFUSED, Handshake.ABORTED, Handshake.RESET_AT_ONCE)),
        ],
        [sessions["icmp_packet"], sessions["rst_packet"]],
        sessions["first_packet"],
    )


def _answers_with(status: int) -> Column:
    return lambda sessions, _: np.where(
        sessions["http_status"] == status, sessions["http_5xx"] - sessions["http_5xx_others"], 0
    )


TROUBLES = (
    Trouble(
        "failed-handshake",
        4,
        lambda sessions, _: _in(sessions["handshake"], words.CAUSES),
        {},
        _first_packet,
        words.failed,
        cause="handshake",
    ),
    Trouble(
        "mtu-black-hole",
        4,
        lambda sessions, way: (
            _tcp(sessions)
            & (sessions[way]["stuck"] >= 2)
            & (sessions[way]["stuck_size"] >= LARGE)
            & (sessions[way]["largest_acknowledged"] > 0)
            & (sessions[way]["largest_acknowledged"] < sessions[way]["stuck_size"])
            & (sessions[_other(way)]["rtt_unsampled"] == 0)
        ),
        {
            "repeated": lambda sessions, way: sessions[way]["stuck"],
            "repeated_bytes": lambda sessions, way: sessions[way]["stuck"] * sessions[way]["stuck_size"],
            "too_big": lambda sessions, _: _is_too_big(sessions),
        },
        lambda sessions, way: sessions[way]["retransmitted_packet"],
        words.black_hole,
        by_client=True,
        ways=SIDES,
    ),
    Trouble(
        "tls-alert",
        4,
        lambda sessions, way: (
            (sessions["tls_alert_side"] == 1 + SIDES.index(way)) & ~_in(sessions["tls_alert"], GOODBYES)
        ),
        {},
        lambda sessions, _: sessions["error_packet"],
        says.tls_alert,
        ways=SIDES,
        cause="tls_alert",
    ),
    Trouble(
        "http-5xx",
        3,
        lambda sessions, _: sessions["http_answers"] > 0,
        {
            "errors": lambda sessions, _: sessions["http_5xx"],
            "answers": lambda sessions, _: sessions["http_answers"],
            "affected": lambda sessions, _: sessions["http_5xx"] > 0,
            **{says.status_sum(status): _answers_with(status) for status in says.HTTP_5XX},
        },
        lambda sessions, _: sessions["error_packet"],
        says.http_errors,
    ),
    Trouble(
        "dns-error",
        3,
        lambda sessions, _: (sessions["dns_code"] > 1) & (sessions["dns_code"] != 1 + NXDOMAIN),
        {},
        lambda sessions, _: sessions["error_packet"],
        says.dns_error,
        cause="dns_code",
    ),
    Trouble(
        "no-such-name",
        1,
        lambda sessions, _: sessions["dns_code"] == 1 + NXDOMAIN,
        {},
        lambda sessions, _: sessions["error_packet"],
        says.no_such_name,
    ),
    Trouble(
        "unanswered",
        3,
        lambda sessions, _: sessions["unanswered"] > 0,
        {
            "unanswered": lambda sessions, _: sessions["unanswered"],
            "answered": lambda sessions, _: sessions["requests"],
        },
        lambda sessions, _: sessions["first_packet"],
        words.unanswered,
    ),
    Trouble(
        "unreachable",
        3,
        lambda sessions, _: (sessions["protocol"] == UDP) & unreachable(sessions),
        {},
        lambda sessions, _: sessions["icmp_packet"],
        words.udp_unreachable,
    ),
    Trouble(
        "slow",
        2,
        lambda sessions, _: _tcp(sessions) & (sessions["requests"] > 0),
        {
            "wait_ns": lambda sessions, _: sessions["first_byte_sum_ns"],
            "requests": lambda sessions, _: sessions["requests"],
            "trip_ns": lambda sessions, _: sessions["server"]["rtt_sum_ns"],
            "trips": lambda sessions, _: sessions["server"]["rtt_count"],
        },
        lambda sessions, _: sessions["first_packet"],
        words.slow,
    ),
    Trouble(
        "retransmissions",
        2,
        lambda sessions, way: _tcp(sessions) & (sessions[way]["data_packets"] > 0),
        {
            "repeated": lambda sessions, way: sessions[way]["retransmitted"],
            "data": lambda sessions, way: sessions[way]["data_packets"],
            "before": lambda sessions, way: sessions[way]["lost_before"],
            "affected": lambda sessions, way: sessions[way]["retransmitted"] > 0,
        },
        lambda sessions, way: sessions[way]["retransmitted_packet"],
        words.repeated,
        by_client=True,
        ways=SIDES,
    ),
    Trouble(
        "zero-window",
        2,
        lambda sessions, way: _tcp(sessions) & (sessions[way]["zero_windows"] > 0),
        {"windows": lambda sessions, way: sessions[way]["zero_windows"]},
        lambda sessions, way: sessions[way]["zero_window_packet"],
        words.zero_window,
        by_client=True,
        ways=SIDES,
    ),
    Trouble(
        "reset",
        1,
        lambda sessions, _: (
            _in(sessions["close"], (Close.RESET_BY_CLIENT, Close.RESET_BY_SERVER))
            & ~_in(sessions["handshake"], words.CAUSES)
        ),
        {"unread": lambda sessions, _: sessions["client"]["unacknowledged"] + sessions["server"]["unacknowledged"]},
        lambda sessions, _: sessions["rst_packet"],
        words.reset,
        cause="close",
    ),
    Trouble(
        "not-captured",
        1,
        lambda sessions, _: (
            (sessions["handshake"] == Handshake.NOT_CAPTURED)
            | (sessions["client"]["not_captured"] + sessions["server"]["not_captured"] > 0)
        ),
        {"bytes": lambda sessions, _: sessions["client"]["not_captured"] + sessions["server"]["not_captured"]},
        lambda sessions, _: sessions["first_packet"],
        words.missing,
    ),
    Trouble(
        "too-big",
        1,
        lambda sessions, _: _is_too_big(sessions),
        {},
        lambda sessions, _: sessions["icmp_packet"],
        words.too_big,
    ),
)
