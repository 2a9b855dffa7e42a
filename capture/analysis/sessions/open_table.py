"""The tables of open sessions that compiled loops share: rows, sides and followed segments.

Arrays are allocated once and reused: a row without a session is all zero.
"""

from typing import NamedTuple

from capture.analysis.sessions.session_table import Sample, SessionEvidence, SessionSpan, SideCounts
from capture.arrays.aliases import Longs
from capture.arrays.row_types import I64, U8, U16, U32, Record, RowPairs, Rows, dtype_of, names_of


class OrderedEnds(Record):
    """Both endpoints, the lower one first: so both directions find the session."""

    low_high: I64
    low_low: I64
    high_high: I64
    high_low: I64
    low_port: U16
    high_port: U16


class OpenSession(OrderedEnds, SessionSpan, SessionEvidence):
    """A session that has not ended."""

    hash: I64
    block: I64  # number of its block of followed segments and holes; -1: none
    questions: I64  # number of questions that wait, and index + 1 of the oldest and the newest
    oldest_question: I64
    newest_question: I64
    request_ns: I64  # last byte of the present request; 0: none
    answer_ns: I64  # last byte of its answer; 0: none yet
    low_vlan: U32  # of the lower endpoint's latest packet with one; 0: it sent none, or none with a tag
    high_vlan: U32  # likewise of the higher endpoint
    live: U8  # 1: the row has a session
    client_side: U8  # 0: the lower of the two endpoints
    over_ns: I64  # when its block was last given back, because nothing more was expected; 0: never
    rst_syn_ns: I64  # the SYN that the RST answers; 0: none, or one of several
    syn_sequence: U32
    syn_tsval: U32  # of the last SYN
    syn_first_tsval: U32  # of the first SYN
    syn_ack_sequence: U32
    syns_open: U32  # SYNs since the last answer
    syn_acks_late: U32  # SYN-ACKs that the server repeated after the ACK must have arrived
    rst_side: U8  # endpoint of the RST: 0 lower, 1 higher


class OpenSide(SideCounts):
    """One side of an open session."""

    rtt_least_ns: I64  # over all kinds of samples; 0: none
    echo_wait_ns: I64  # time at which tsval_followed was first seen; 0: none is followed
    flight: I64  # number of followed segments, and index of the first, which only grows: see `flight.place`
    flight_first: I64
    flight_ring: I64  # index in `segments` of its long ring; 0: it has none
    last_ns: I64  # of its last packet, and the fields that a copy of it would share
    last_shape: I64  # payload << 16 | TCP flags
    syn_ns: I64  # of its last SYN or SYN-ACK; 0: none
    syn_sequence: U32
    syn_identification: U32
    last_sequence: U32
    last_acknowledgment: U32
    last_identification: U32
    advances: U32  # number of times that its acknowledgment has grown
    next: U32  # the sequence number after the highest sent
    base: U32  # lowest number that can belong to this connection: its SYN's, or one a window behind `next`
    known: U32  # every number from here to `next` was seen or is in a hole
    acked: U32  # the highest acknowledgment sent
    recover: U32  # acknowledgments up to here are ambiguous
    tsval_newest: U32
    tsval_followed: U32
    identification: U32  # of the segment with the highest numbers
    holes: U8  # number of known holes
    olds: U32  # number of its segments below `next` so far, of which the last RECENT are kept
    has_next: U8
    has_acked: U8
    recovering: U8
    has_tsval: U8
    forgot: U8  # 1: there was no room for a hole, so numbers below `known` may be seen for the first time
    counting: U8  # 1: the identification of its last new segment was a little above that of the one before
    goes_on: U8  # 1: it sent more than SYN and RST
    no_room: U8  # 1: its last packet announced a window of 0
    strays: U8  # packets in a row whose numbers do not belong to this connection


class Segment(Record):
    """An entry of a block or ring: a followed segment, a hole, or one of the last packets."""

    time_ns: I64  # of the segment; of a hole, of the packet that showed it
    start: U32
    end: U32
    identification: U32  # likewise; so tsval
    tsval: U32
    state: U32  # of a segment, 1: gave a sample; of a hole: see `holes`


class Question(Record):
    """A question that waits for its answer."""

    time_ns: I64
    key: I64  # hash of its session, identifier and name
    row: I64  # number of its session's row
    after: I64  # next question in the same place of the hash; so these: index + 1, 0 is none
    older: I64  # questions of the same session, in order
    newer: I64
    identification: U32
    repeated: U32  # 1: it was sent again


class Fragment(Record):
    """A first fragment: the key of its packet, and the ports, which later fragments lack."""

    key: I64  # hash of addresses, identification and protocol
    ports: I64  # source port << 16 | destination port


class State(Record):
    """Use of the tables, and counts."""

    seed: I64  # of the hash
    by_interface: I64  # 1: the same tuple on two interfaces is two sessions
    free_rows: I64  # length of this stack; so free_blocks, done and samples
    free_blocks: I64
    done: I64
    samples: I64
    sessions: I64  # number of sessions so far
    open: I64  # number of open sessions
    no_ip: I64  # packets that are not IP
    used: I64  # rows from this number on were never used
    no_ports: I64  # packets whose ports are unknown: cut off, or in a first fragment that is not in the file
    disordered: I64  # packets that stand behind younger ones in the file
    newest_ns: I64  # the largest time so far
    free_ring: I64  # index in `segments` of a long ring given back, whose time_ns is that of another; 0: none
    unused_ring: I64  # index in `segments` of the first long ring that was never used
    free_question: I64  # index + 1 of a question that was removed, whose `after` is that of another; 0: none
    unused_question: I64  # index of the first one that was never used
    forgotten: I64  # questions that were not followed for lack of room


OPEN_SESSION, OPEN_SIDE, SEGMENT, FRAGMENT, QUESTION, STATE = map(
    dtype_of, (OpenSession, OpenSide, Segment, Fragment, Question, State)
)
FLIGHT, HOLES, RECENT = 16, 16, 16
"""Entries of a side's block, in this order: followed segments (a power of two), known holes, last old segments."""
SIDE_BLOCK = FLIGHT + HOLES + RECENT
LONG_FLIGHT = 1 << 12
"""Followed segments in a long ring, a power of two: a window of 6 MiB (tcp_rmem) in full Ethernet frames."""
SPAN_FIELDS, EVIDENCE_FIELDS, SIDE_FIELDS = map(names_of, (SessionSpan, SessionEvidence, SideCounts))
"""Fields that open and ended sessions have in common, in the same order."""


class Tables(NamedTuple):
    """Arrays that compiled loops read and write. `rows` and `sides` are parallel; side 0 is the lower endpoint."""

    slots: Longs
    """[slot] int64, the hash table: upper half of a row's hash, and its number + 1; 0 is empty."""
    rows: Rows[OpenSession]
    """[row]"""
    sides: RowPairs[OpenSide]
    """[row, endpoint]"""
    segments: Rows[Segment]
    """[block, endpoint, SIDE_BLOCK], then [ring, LONG_FLIGHT], in one row after the other: see `flight.place`."""
    free_rows: Longs
    """int64, a stack of row numbers: the first `state.free_rows` are free."""
    free_blocks: Longs
    """int64, a stack of block numbers: the first `state.free_blocks` are free."""
    done: Longs
    """int64: the first `state.done` are numbers of rows whose sessions ended, until the Tracker copies them."""
    samples: Rows[Sample]
    """The first `state.samples` rows wait until the Tracker copies them."""
    questions: Rows[Question]
    question_slots: Longs
    """[hash], int64: index + 1 of the first question in that place."""
    fragments: Rows[Fragment]
    """Latest first fragments, by hash."""
    state: Rows[State]
    """[1]"""
