"""The tables that a tracker gives: dtypes of sessions and samples, with their units.

Numbers are in host byte order. Times are nanoseconds since 1970 (int64), durations nanoseconds, sizes bytes on the
wire. An address is two int64, the upper and the lower eight bytes of its number; IPv4 is in the lower. In a
session `client` is who asked and `server` who answers. A packet number of 0, or a duration of -1, is "none".
"""

from collections import namedtuple
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, cast

import numpy as np

from capture.arrays.aliases import Table

SIDES = ("client", "server")


class Handshake(IntEnum):
    """What became of a TCP session's beginning."""

    NONE = 0
    "not TCP"
    COMPLETE = 1
    UNANSWERED = 2
    REFUSED = 3
    UNREACHABLE = 4
    UNACKNOWLEDGED = 5
    "SYN-ACK sent, never acknowledged"
    ACK_LOST = 6
    "acknowledged here, and the server goes on to repeat its SYN-ACK"
    ABORTED = 7
    "the client answered the SYN-ACK with RST"
    RESET_AT_ONCE = 8
    "complete, and reset before the server said anything"
    STARTED_BEFORE = 9
    NOT_CAPTURED = 10
    "packets that must have been are not in the file"


class Close(IntEnum):
    """How a session ended."""

    OPEN = 0
    "the file ended first"
    FIN = 1
    "both sides"
    HALF = 2
    "one side's FIN, nothing more"
    RESET_BY_CLIENT = 3
    RESET_BY_SERVER = 4
    IDLE = 5
    REUSED = 6
    "its ports were used for a new connection"
    CROWDED_OUT = 7
    "too many open sessions: this was one of the longest silent"


class Role(IntEnum):
    """How it is known which side is the client."""

    ASKED = 0
    "it sent the SYN or the echo request, or was sent a SYN-ACK"
    PORTS = 1
    "its port is from the ephemeral range, the other's is not (Linux: from 32768)"
    FIRST = 2
    "it sent the first packet that was seen"


class Measure(IntEnum):
    """What a sample measures. Of the side: from here to that side and back."""

    HANDSHAKE = 0
    "server: SYN to SYN-ACK; client: SYN-ACK to ACK"
    ACKNOWLEDGMENT = 1
    "a segment sent once to its acknowledgment (Karn's rule)"
    PARTIAL = 2
    "the same, of a part of a large segment (GSO)"
    PIGGYBACK = 8
    "the same, acknowledged by a packet with payload: the wait until there was some is in it"
    TIMESTAMP = 3
    "a TSval to its first echo (Nichols, pping)"
    FIRST_BYTE = 4
    "the last byte of a request to the first of its answer"
    LAST_BYTE = 5
    "the last byte of a request to the last of its answer"
    DNS = 6
    "a query to its answer"
    ECHO = 7
    "an ICMP echo request to its reply"


SAMPLE = np.dtype(
    [
        ("time_ns", "i8"),  # when it ended
        ("session", "i8"),
        ("duration_ns", "i8"),
        ("measure", "u1"),
        ("side", "u1"),  # 0 client, 1 server
    ],
    align=True,
)


SIDE_FIELDS: list[Any] = [
    ("packets", "i8"),  # sent by this side
    ("bytes", "i8"),
    ("payload", "i8"),  # TCP and UDP payload, repeated bytes included
    ("rtt_sum_ns", "i8"),  # ACKNOWLEDGMENT samples to this side and back: their sum, least, most, number
    ("rtt_min_ns", "i8"),
    ("rtt_max_ns", "i8"),
    ("rtt_count", "u4"),
    ("rtt_ambiguous", "u4"),  # left out because something was retransmitted
    ("rtt_unsampled", "u4"),  # segments that were not followed: too many in flight
    ("data_packets", "u4"),
    ("retransmitted", "u4"),  # packets whose bytes, SYN or FIN had been sent before
    ("retransmitted_bytes", "i8"),
    ("lost_before", "u4"),  # of these, seen here for the first time: lost between the sender and here
    ("reordered", "u4"),  # packets that fill a hole too soon to be retransmitted
    ("duplicated", "u4"),  # the same IP packet again
    ("keepalives", "u4"),
    ("zero_windows", "u4"),
    ("unacknowledged", "i8"),  # bytes, SYN and FIN that the other side had not acknowledged at the end
    ("not_captured", "i8"),  # bytes that the other side acknowledged and the file does not have
    ("retransmitted_packet", "i8"),  # the first of them, and of the others
    ("zero_window_packet", "i8"),
    ("fin_packet", "i8"),
    ("rst_packet", "i8"),
]


KEY_FIELDS: list[Any] = [
    ("session", "i8"),  # from 1, in order of their first packets
    ("first_ns", "i8"),
    ("last_ns", "i8"),
    ("first_packet", "i8"),
    ("last_packet", "i8"),
]


EVIDENCE_FIELDS: list[Any] = [
    ("syn_packet", "i8"),
    ("syn_ns", "i8"),  # of the first, and of the last that was sent again
    ("syn_last_ns", "i8"),
    ("syn_ack_packet", "i8"),
    ("syn_ack_ns", "i8"),
    ("syn_ack_last_ns", "i8"),
    ("ack_packet", "i8"),  # of the handshake's third
    ("ack_ns", "i8"),
    ("rst_packet", "i8"),  # the first
    ("rst_ns", "i8"),
    ("icmp_packet", "i8"),  # the first error about this session, and who sent it
    ("icmp_high", "i8"),
    ("icmp_low", "i8"),
    ("server_ns", "i8"),  # the handshake's two parts; -1: none, or ambiguous
    ("client_ns", "i8"),
    ("first_byte_sum_ns", "i8"),
    ("syns", "u4"),
    ("syn_acks", "u4"),
    ("requests", "u4"),  # that got a first byte; DNS queries and echo requests answered
    ("unanswered", "u4"),  # DNS queries and echo requests without an answer
    ("repeated", "u4"),  # of them, asked more than once
    ("interface", "u4"),
    ("family", "u1"),
    ("protocol", "u1"),
    ("role", "u1"),
    ("handshake", "u1"),
    ("close", "u1"),
    ("icmp_type", "u1"),
    ("icmp_code", "u1"),
    ("rst_early", "u1"),  # before the server sent any payload
]


_ENDS: list[Any] = [
    *((f"{side}_{half}", "i8") for side in SIDES for half in ("high", "low")),
    *((f"{side}_port", "u2") for side in SIDES),
]


SESSION = np.dtype(
    [
        *KEY_FIELDS,
        *_ENDS,
        *EVIDENCE_FIELDS,
        ("client", np.dtype(SIDE_FIELDS, align=True)),
        ("server", np.dtype(SIDE_FIELDS, align=True)),
    ],
    align=True,
)
"""One row per conversation and interface."""


_session = cast(Any, namedtuple)("_session", SESSION.names)._make


_side = cast(Any, namedtuple)("_side", SESSION["client"].names)._make


def records(sessions: Table) -> Iterator[Any]:
    """The rows as plain objects with the dtype's fields as attributes: for loops, where an array's rows are slow."""
    for row in sessions.tolist():
        yield _session((*row[:-2], _side(row[-2]), _side(row[-1])))
