"""The dtypes of the tables that a Tracker returns, sessions and samples, with units.

Numbers are in host byte order. Times are nanoseconds since 1970 (int64), durations nanoseconds, sizes bytes on the
wire. An address is two int64, the upper and the lower eight bytes of its number; IPv4 is in the lower. In a
session `client` is the side that asks, `server` the side that answers. A packet number of 0, or a duration of -1,
means "none".
"""

from collections import namedtuple
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, cast

from capture.arrays.aliases import Table
from capture.arrays.row_types import I64, U8, U16, U32, Record, dtype_of

SIDES = ("client", "server")


class Handshake(IntEnum):
    """Outcome of a TCP handshake."""

    NONE = 0
    "not TCP"
    COMPLETE = 1
    UNANSWERED = 2
    REFUSED = 3
    UNREACHABLE = 4
    UNACKNOWLEDGED = 5
    "SYN-ACK sent, never acknowledged"
    ACK_LOST = 6
    "acknowledged here, but the server repeats its SYN-ACK"
    ABORTED = 7
    "the client answered the SYN-ACK with RST"
    RESET_AT_ONCE = 8
    "complete, then reset before the server sent payload or either side FIN"
    STARTED_BEFORE = 9
    NOT_CAPTURED = 10
    "packets that must have been sent are not in the file"


class Close(IntEnum):
    """How a session ended."""

    OPEN = 0
    "the file ended first"
    FIN = 1
    "both sides sent FIN"
    HALF = 2
    "one side sent FIN"
    RESET_BY_CLIENT = 3
    RESET_BY_SERVER = 4
    IDLE = 5
    REUSED = 6
    "its ports were used for a new connection"
    CROWDED_OUT = 7
    "too many sessions were open: this was one of those silent longest"


class Role(IntEnum):
    """Evidence for which side is the client."""

    ASKED = 0
    "it sent the SYN or the echo request, or received a SYN-ACK"
    PORTS = 1
    "its port is from the ephemeral range, the other's is not (Linux: from 32768)"
    FIRST = 2
    "it sent the first packet in the file"


class Measure(IntEnum):
    """Kind of a measured duration. Round trips are from the capture point to the sample's side and back."""

    HANDSHAKE = 0
    "server: SYN to SYN-ACK; client: SYN-ACK to ACK"
    ACKNOWLEDGMENT = 1
    "a segment sent once to its acknowledgment (Karn's rule)"
    PARTIAL = 2
    "the same, for a part of a large segment (GSO)"
    PIGGYBACK = 8
    "the same, acknowledged by a packet with payload: includes the wait for that payload"
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
    """One measured duration."""

    time_ns: I64  # end of the duration
    session: I64
    duration_ns: I64
    measure: U8
    side: U8  # 0 client, 1 server


SAMPLE = dtype_of(Sample)


class SideCounts(Record):
    """Counts of one side of a session."""

    packets: I64  # sent by this side
    bytes: I64  # of these packets on the wire
    payload: I64  # TCP and UDP payload, repeated bytes included
    rtt_sum_ns: I64  # ACKNOWLEDGMENT samples from the capture point to this side: sum, least, most, number
    rtt_min_ns: I64
    rtt_max_ns: I64
    rtt_count: U32
    rtt_ambiguous: U32  # acknowledgments left out because of a retransmission
    rtt_unsampled: U32  # segments that were not followed: too many in flight
    data_packets: U32  # with payload
    retransmitted: U32  # packets whose bytes, SYN or FIN had been sent before
    retransmitted_bytes: I64
    lost_before: U32  # retransmitted packets seen for the first time: lost between sender and capture point
    reordered: U32  # packets that fill a hole too soon to be retransmitted
    duplicated: U32  # copies of the same IP packet
    keepalives: U32
    zero_windows: U32
    largest_acknowledged: U32  # bytes of the largest segment that the other side acknowledged
    stuck: U32  # times that the first unacknowledged bytes were sent again, while the other side had room
    stuck_size: U32  # bytes of the smallest of these segments
    unacknowledged: I64  # bytes, SYN and FIN that the other side had not acknowledged at the end
    not_captured: I64  # bytes that the other side acknowledged and the file does not have
    retransmitted_packet: I64  # number of the first such packet; so for those below
    zero_window_packet: I64
    fin_packet: I64
    rst_packet: I64


class SessionSpan(Record):
    """Number of a session, and the part of the file that it covers."""

    session: I64  # from 1, in order of first packets
    first_ns: I64
    last_ns: I64
    first_packet: I64
    last_packet: I64


class SessionEvidence(Record):
    """Evidence from the packets of a session, and their numbers."""

    syn_packet: I64  # the first SYN
    syn_ns: I64
    syn_last_ns: I64  # the last repetition
    syn_ack_packet: I64
    syn_ack_ns: I64
    syn_ack_last_ns: I64
    ack_packet: I64  # the third packet of the handshake
    ack_ns: I64
    rst_packet: I64  # the RST that ended it
    rst_ns: I64
    reset_after_ns: I64  # from the SYN or the ACK that the RST follows to the RST; -1: unknown
    icmp_packet: I64  # the first ICMP error about this session, preferably one that says unreachable
    icmp_high: I64  # address of its sender
    icmp_low: I64
    server_ns: I64  # SYN to SYN-ACK; -1: none, or ambiguous
    client_ns: I64  # SYN-ACK to ACK; -1: none, or ambiguous
    vlan: I64  # of its first packet with a tag, as in PacketRow; 0: none
    first_byte_sum_ns: I64  # sum over `requests`: end of the request to first byte of the answer
    syns: U32
    syn_acks: U32
    requests: U32  # with a first byte of an answer; for DNS and ICMP echo, with an answer
    unanswered: U32  # DNS queries and echo requests without an answer
    repeated: U32  # repetitions of DNS queries and echo requests
    interface: U32
    family: U8
    protocol: U8
    role: U8
    handshake: U8
    close: U8
    icmp_type: U8
    icmp_code: U8
    rst_early: U8  # 1: the RST came before any payload of the server and any FIN


class SessionApplication(Record):
    """What the payload says (analysis.application); 0 unless it was looked at. Texts are numbers of arrays.texts."""

    application: U32  # text: dns, tls, http or quic
    server_name: U32  # text, of TLS and QUIC
    alpn: U32  # text: the protocol that the server chose, else those that the client offered
    tls_version: U32  # of the server's hello
    tls_alert: U32  # the first one
    tls_alert_side: U32  # 1 client, 2 server
    http_method: U32  # text, of the first request; so http_host and http_path
    http_host: U32
    http_path: U32
    http_status: U32  # of the first answer from 500 on, or else from 400 on, or else of the first; 0: none
    http_requests: U32
    http_answers: U32
    http_4xx: U32  # answers from 400 to 499; so http_5xx
    http_5xx: U32
    http_5xx_others: U32  # of these, with another status than http_status
    dns_name: U32  # text, of the first question
    dns_type: U32
    dns_code: U32  # 1 + that of the first answer, or of the first answer with an error; 0: none
    dns_errors: U32  # answers with an error
    error_packet: I64  # number of the first packet with an alert, an error of DNS, or an HTTP status from 500 on


class SessionEnds(Record):
    """Client and server: addresses in two halves, and ports."""

    client_high: I64
    client_low: I64
    server_high: I64
    server_low: I64
    client_port: U16
    server_port: U16


class SessionRow(SessionSpan, SessionEnds, SessionEvidence, SessionApplication):
    """One row per conversation and interface."""

    client: SideCounts
    server: SideCounts


SESSION = dtype_of(SessionRow)
_session = cast(Any, namedtuple)("_session", SESSION.names)._make
_side = cast(Any, namedtuple)("_side", SESSION["client"].names)._make


def records(sessions: Table) -> Iterator[Any]:
    """Return the rows as plain objects with the dtype's fields as attributes: in loops, an array's rows are slow."""
    for row in sessions.tolist():
        yield _session((*row[:-2], _side(row[-2]), _side(row[-1])))
