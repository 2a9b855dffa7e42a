"""The tables that a tracker gives: dtypes of sessions and samples, with their units.

Numbers are in host byte order. Times are nanoseconds since 1970 (int64), durations nanoseconds, sizes bytes on the
wire. An address is two int64, the upper and the lower eight bytes of its number; IPv4 is in the lower. In a
session `client` is who asked and `server` who answers. A packet number of 0, or a duration of -1, is "none".
"""

from collections import namedtuple
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, cast

from capture.arrays.aliases import Table
from capture.arrays.row_types import I64, U8, U16, U32, Record, dtype_of

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


class Sample(Record):
    """How long something took, once."""

    time_ns: I64  # when it ended
    session: I64
    duration_ns: I64
    measure: U8
    side: U8  # 0 client, 1 server


SAMPLE = dtype_of(Sample)


class SideCounts(Record):
    """What one side of a session did."""

    packets: I64  # sent by this side
    bytes: I64
    payload: I64  # TCP and UDP payload, repeated bytes included
    rtt_sum_ns: I64  # ACKNOWLEDGMENT samples to this side and back: their sum, least, most, number
    rtt_min_ns: I64
    rtt_max_ns: I64
    rtt_count: U32
    rtt_ambiguous: U32  # left out because something was retransmitted
    rtt_unsampled: U32  # segments that were not followed: too many in flight
    data_packets: U32
    retransmitted: U32  # packets whose bytes, SYN or FIN had been sent before
    retransmitted_bytes: I64
    lost_before: U32  # of these, seen here for the first time: lost between the sender and here
    reordered: U32  # packets that fill a hole too soon to be retransmitted
    duplicated: U32  # the same IP packet again
    keepalives: U32
    zero_windows: U32
    unacknowledged: I64  # bytes, SYN and FIN that the other side had not acknowledged at the end
    not_captured: I64  # bytes that the other side acknowledged and the file does not have
    retransmitted_packet: I64  # the first of them, and of the others
    zero_window_packet: I64
    fin_packet: I64
    rst_packet: I64


class SessionSpan(Record):
    """Which session this is, and what of the file it covers."""

    session: I64  # from 1, in order of their first packets
    first_ns: I64
    last_ns: I64
    first_packet: I64
    last_packet: I64


class SessionEvidence(Record):
    """What its packets prove, and where."""

    syn_packet: I64
    syn_ns: I64  # of the first, and of the last that was sent again
    syn_last_ns: I64
    syn_ack_packet: I64
    syn_ack_ns: I64
    syn_ack_last_ns: I64
    ack_packet: I64  # of the handshake's third
    ack_ns: I64
    rst_packet: I64  # the first
    rst_ns: I64
    icmp_packet: I64  # the first error about this session, and who sent it
    icmp_high: I64
    icmp_low: I64
    server_ns: I64  # the handshake's two parts; -1: none, or ambiguous
    client_ns: I64
    first_byte_sum_ns: I64
    syns: U32
    syn_acks: U32
    requests: U32  # that got a first byte; DNS queries and echo requests answered
    unanswered: U32  # DNS queries and echo requests without an answer
    repeated: U32  # of them, asked more than once
    interface: U32
    family: U8
    protocol: U8
    role: U8
    handshake: U8
    close: U8
    icmp_type: U8
    icmp_code: U8
    rst_early: U8  # before the server sent any payload


class SessionEnds(Record):
    """Who asked and who answered: addresses in two halves, and ports."""

    client_high: I64
    client_low: I64
    server_high: I64
    server_low: I64
    client_port: U16
    server_port: U16


class SessionRow(SessionSpan, SessionEnds, SessionEvidence):
    """One row per conversation and interface."""

    client: SideCounts
    server: SideCounts


SESSION = dtype_of(SessionRow)


_session = cast(Any, namedtuple)("_session", SESSION.names)._make


_side = cast(Any, namedtuple)("_side", SESSION["client"].names)._make


def records(sessions: Table) -> Iterator[Any]:
    """The rows as plain objects with the dtype's fields as attributes: for loops, where an array's rows are slow."""
    for row in sessions.tolist():
        yield _session((*row[:-2], _side(row[-2]), _side(row[-1])))
