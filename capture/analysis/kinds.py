"""The kinds of trouble that a diagnosis looks for: which sessions show it, what to say of them, what to try."""

from typing import Any

import numpy as np

from capture.analysis.findings import Context, Group, Kind, Mask
from capture.analysis.layout import Close, Handshake, Table
from capture.analysis.verdict import unreachable
from capture.units import format_duration, format_size

SLOW_NS = 100_000_000
"""A person notices a longer wait (Nielsen, Usability Engineering, 1993: 0.1 s feels instantaneous)."""
RETRANSMITTED_SHARE, RETRANSMITTED_MIN = 0.01, 3
"""Fewer are what TCP lives with."""
LARGE = 1000
"""Segments that only a path of less than the usual 1500 bytes refuses: 1280, the least of IPv6, has 1208 or more."""
_TCP, _UDP = 6, 17
_SIDES = ("client", "server")

_CAUSES = {
    Handshake.UNANSWERED: (
        "were not answered",
        "the SYN is dropped on the way, by a firewall or a NetworkPolicy, or the server is gone, or its queue is "
        "full: capture on the server's side and see whether the SYN arrives",
    ),
    Handshake.REFUSED: (
        "were refused by RST",
        "nothing listens there, or a firewall says so: is the server running, is it the right port?",
    ),
    Handshake.UNREACHABLE: (
        "failed by an ICMP error",
        "the packet shows who sent the error and why: look at the routes and rules of that host",
    ),
    Handshake.UNACKNOWLEDGED: (
        "were granted by the server and never acknowledged",
        "the SYN-ACK is dropped between here and the client, or the client's ACK: capture on the client's side",
    ),
    Handshake.ACK_LOST: (
        "were acknowledged, but the server did not hear of it",
        "the ACK is dropped between here and the server, or its accept queue is full: capture on the server's side, "
        "look at nstat TcpExtListenOverflows there",
    ),
    Handshake.ABORTED: (
        "were granted by the server and rejected by the client",
        "the client does not know these connections: a port scan, a health check of half a handshake, or addresses "
        "translated on one way only",
    ),
    Handshake.RESET_AT_ONCE: (
        "were reset as soon as they were made",
        "who accepts does not want them: a proxy without a backend, a health check, TLS spoken to a plain port",
    ),
}


def _tcp(sessions: Table) -> Mask:
    mask: Mask = sessions["protocol"] == _TCP
    return mask


def _in(column: Any, values: Any) -> Mask:
    return np.isin(column, [int(value) for value in values])


def _sessions(count: int, total: int, what: str) -> str:
    return f"{count:,} of {total:,} {what}"


def _failed(group: Group, about: Context) -> tuple[str, str]:
    cause = Handshake(group.place.cause)
    what, then = _CAUSES[cause]
    where = f"connections to {group.place.server_text(about.names)}"
    if cause is Handshake.UNANSWERED and about.truth.known and not about.truth.complete:
        then = f"{about.truth}: that may be all there is to it; else {then}"
    return f"{_sessions(group.sessions, about.total, where)} {what}", then


def _first_packet(sessions: Table, _: str) -> Any:
    """What shows the cause: the RST or ICMP error where there is one."""
    return np.select(
        [
            sessions["handshake"] == Handshake.UNREACHABLE,
            _in(sessions["handshake"], (Handshake.REFUSED, Handshake.ABORTED, Handshake.RESET_AT_ONCE)),
        ],
        [sessions["icmp_packet"], sessions["rst_packet"]],
        sessions["first_packet"],
    )


def _missing(group: Group, about: Context) -> tuple[str, str]:
    where = f"sessions with {group.place.server_text(about.names)}"
    what = f"{_sessions(group.sessions, about.total, where)} lack packets that must have been"
    if group.sums["bytes"]:
        what += f"; {format_size(group.sums['bytes'])} were acknowledged and are not in the file"
    if about.truth.known and not about.truth.complete:
        return what, f"this is the capture, not the network: {about.truth}"
    if about.truth.complete:
        return what, (
            f"{about.truth}, so these packets take another way: capture on all interfaces between the two, and read "
            "with --across-interfaces"
        )
    return what, (
        f"{about.truth}: that is the likely cause; else one direction takes another way: capture on all interfaces"
    )


def _black_hole(group: Group, about: Context) -> tuple[str, str]:
    place, size = group.place, group.sums["repeated_bytes"] // max(group.sums["repeated"], 1)
    told = f", though {group.sums['told']:,} were told by ICMP that they are too big" if group.sums["told"] else ""
    return (
        f"large segments from {place.way_text(about.names)} do not arrive in {group.sessions:,} sessions: of some "
        f"{size:,} bytes each, sent again and never acknowledged, while small packets pass{told}",
        "the path has a smaller MTU than the sender believes: try ping -M do -s 1472 along it, compare the MTUs of "
        "pods, nodes and tunnels, let ICMP 'fragmentation needed' through",
    )


def _too_big(group: Group, about: Context) -> tuple[str, str]:
    where = f"sessions with {group.place.server_text(about.names)}"
    return (
        f"{_sessions(group.sessions, about.total, where)} got ICMP errors that a packet is too big",
        "that is how a sender learns the path's MTU, once for each path; if it goes on, compare the MTUs of pods, "
        "nodes and tunnels",
    )


def _repeated(group: Group, about: Context) -> tuple[str, str] | None:
    again, sent, before = (group.sums[name] for name in ("repeated", "data", "before"))
    if again < RETRANSMITTED_MIN or again < RETRANSMITTED_SHARE * sent:
        return None
    way = group.place.way_text(about.names)
    parts = [
        f"{count:,} were lost {where} here"
        for count, where in ((before, "before they came"), (again - before, "or came late behind"))
        if count
    ]
    then = (
        "lost before here: look at the sender's side of the path"
        if 2 * before > again
        else "lost behind here, or the acknowledgment was: look at the receiver's side of the path"
    )
    return (
        f"{again:,} of {sent:,} data packets ({again / sent:.1%}) from {way} were sent again; {' and '.join(parts)}",
        f"{then}: drops in ip -s link and tc -s qdisc, a policer or shaper, CPU limits of the pod",
    )


def _zero_window(group: Group, about: Context) -> tuple[str, str]:
    place = group.place
    names = (place.client_text(about.names), place.server_text(about.names))
    who, other = names if place.way == "client" else names[::-1]
    return (
        f"{who} had no room for what {other} sent, {group.sums['windows']:,} times in {group.sessions:,} sessions",
        f"the application at {who} does not read fast enough: its CPU, its disk, or what it waits for",
    )


def _reset(group: Group, about: Context) -> tuple[str, str]:
    who = "client" if group.place.cause == Close.RESET_BY_CLIENT else "server"
    where = f"sessions with {group.place.server_text(about.names)}"
    left = group.sums["unread"]
    more = f", with {format_size(left)} on the way that were never acknowledged" if left else ""
    return (
        f"{_sessions(group.sessions, about.total, where)} were ended by RST of the {who}{more}",
        f"the {who} closed without reading all, timed out or crashed: look at its log at that time",
    )


def _slow(group: Group, about: Context) -> tuple[str, str] | None:
    requests, trips = group.sums["requests"], group.sums["trips"]
    if not requests:
        return None
    wait = group.sums["wait_ns"] / requests
    if wait < SLOW_NS:
        return None
    server = group.place.server_text(about.names)
    way = group.sums["trip_ns"] / trips if trips else 0
    what = f"{server} takes {format_duration(wait)} on average to begin an answer ({requests:,} requests)"
    if not trips:
        return what, "no round trip was measured: capture nearer to the server to tell the way from the server"
    what += f"; the way there and back takes {format_duration(way)}"
    if way > wait / 2:
        return what, "the wait is on the way: the distance, or queues between here and the server"
    return what, "the wait is in the server, or behind it: its CPU, its locks, what it asks others"


def _unanswered(group: Group, about: Context) -> tuple[str, str]:
    left, answered = group.sums["unanswered"], group.sums["answered"]
    dns = group.place.protocol == _UDP
    what = "DNS queries to" if dns else "echo requests to"
    return (
        f"{left:,} of {left + answered:,} {what} {group.place.server_text(about.names)} got no answer",
        "is the resolver up, does a NetworkPolicy allow UDP port 53, is its conntrack table full?"
        if dns
        else "is the host up, does something drop ICMP?",
    )


def _udp_unreachable(group: Group, about: Context) -> tuple[str, str]:
    where = f"sessions with {group.place.server_text(about.names)}"
    return (
        f"{_sessions(group.sessions, about.total, where)} got an ICMP error: what was sent did not arrive",
        "the packet shows who sent the error and why: is the server running, is it the right port?",
    )


KINDS = (
    Kind(
        "failed-handshake",
        4,
        lambda sessions, _: _in(sessions["handshake"], _CAUSES),
        {},
        _first_packet,
        _failed,
        cause="handshake",
    ),
    Kind(
        "mtu-black-hole",
        4,
        lambda sessions, way: (
            _tcp(sessions)
            & (sessions["ack_packet"] > 0)
            & (sessions[way]["retransmitted"] >= 2)
            & (sessions[way]["retransmitted_bytes"] >= LARGE * sessions[way]["retransmitted"].astype(np.int64))
            & (sessions[way]["unacknowledged"] >= LARGE)
        ),
        {
            "repeated": lambda sessions, way: sessions[way]["retransmitted"],
            "repeated_bytes": lambda sessions, way: sessions[way]["retransmitted_bytes"],
            "told": lambda sessions, _: _is_too_big(sessions),
        },
        lambda sessions, way: sessions[way]["retransmitted_packet"],
        _black_hole,
        by_client=True,
        ways=_SIDES,
    ),
    Kind(
        "unanswered",
        3,
        lambda sessions, _: sessions["unanswered"] > 0,
        {
            "unanswered": lambda sessions, _: sessions["unanswered"],
            "answered": lambda sessions, _: sessions["requests"],
        },
        lambda sessions, _: sessions["first_packet"],
        _unanswered,
    ),
    Kind(
        "unreachable",
        3,
        lambda sessions, _: (sessions["protocol"] == _UDP) & unreachable(sessions),
        {},
        lambda sessions, _: sessions["icmp_packet"],
        _udp_unreachable,
    ),
    Kind(
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
        _slow,
    ),
    Kind(
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
        _repeated,
        by_client=True,
        ways=_SIDES,
    ),
    Kind(
        "zero-window",
        2,
        lambda sessions, way: _tcp(sessions) & (sessions[way]["zero_windows"] > 0),
        {"windows": lambda sessions, way: sessions[way]["zero_windows"]},
        lambda sessions, way: sessions[way]["zero_window_packet"],
        _zero_window,
        by_client=True,
        ways=_SIDES,
    ),
    Kind(
        "reset",
        1,
        lambda sessions, _: (
            _in(sessions["close"], (Close.RESET_BY_CLIENT, Close.RESET_BY_SERVER))
            & ~_in(sessions["handshake"], _CAUSES)
        ),
        {"unread": lambda sessions, _: sessions["client"]["unacknowledged"] + sessions["server"]["unacknowledged"]},
        lambda sessions, _: sessions["rst_packet"],
        _reset,
        cause="close",
    ),
    Kind(
        "not-captured",
        1,
        lambda sessions, _: (
            (sessions["handshake"] == Handshake.NOT_CAPTURED)
            | (sessions["client"]["not_captured"] + sessions["server"]["not_captured"] > 0)
        ),
        {"bytes": lambda sessions, _: sessions["client"]["not_captured"] + sessions["server"]["not_captured"]},
        lambda sessions, _: sessions["first_packet"],
        _missing,
    ),
    Kind(
        "too-big",
        1,
        lambda sessions, _: _is_too_big(sessions),
        {},
        lambda sessions, _: sessions["icmp_packet"],
        _too_big,
    ),
)


def _is_too_big(sessions: Table) -> Mask:
    """RFC 792, type 3 code 4; RFC 4443, type 2."""
    kind, code = sessions["icmp_type"], sessions["icmp_code"]
    told: Mask = (sessions["icmp_packet"] > 0) & np.where(
        sessions["family"] == 4, (kind == 3) & (code == 4), kind == 2
    )
    return told
