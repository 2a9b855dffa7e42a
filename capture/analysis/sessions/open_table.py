"""The tables of open sessions that compiled loops share: rows, sides and followed segments.

Arrays are allocated once and reused: a row without a session is all zero.
"""

from typing import NamedTuple

from capture.analysis.sessions.session_table import Sample, SessionEvidence, SessionSpan, SideCounts
from capture.arrays.aliases import Longs
from capture.arrays.row_types import I64, U8, U16, U32, Record, RowBlocks, RowPairs, Rows, dtype_of, names_of


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
    request_ns: I64  # last byte of the present request; 0: none
    answer_ns: I64  # last byte of its answer; 0: none yet
    live: U8  # 1: the row has a session
    client_side: U8  # 0: the lower of the two endpoints
    syn_sequence: U32
    syn_tsval: U32  # of the last SYN
    syn_first_tsval: U32  # of the first SYN
    rst_side: U8  # endpoint of the first RST: 0 lower, 1 higher


class OpenSide(SideCounts):
    """One side of an open session."""

    rtt_least_ns: I64  # over all kinds of samples; 0: none
    echo_wait_ns: I64  # time at which tsval_followed was first seen; 0: none is followed
    advances: U32  # number of times that its acknowledgment has grown
    next: U32  # the sequence number after the highest sent
    acked: U32  # the highest acknowledgment sent
    recover: U32  # acknowledgments up to here are ambiguous
    tsval_newest: U32
    tsval_followed: U32
    has_next: U8
    has_acked: U8
    recovering: U8
    has_tsval: U8
    flight: U8  # number of followed segments
    holes: U8  # number of known holes


class Segment(Record):
    """An entry of a block: a segment in flight, a hole, one of the last packets, or a question without an answer."""

    time_ns: I64
    start: U32
    end: U32
    identification: U32
    sampled: U32


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
    lost_fragments: I64  # later ones without their first
    used: I64  # rows from this number on were never used


OPEN_SESSION, OPEN_SIDE, SEGMENT, FRAGMENT, STATE = map(dtype_of, (OpenSession, OpenSide, Segment, Fragment, State))
FLIGHT, HOLES, RECENT = 16, 16, 8
"""Entries of a side's block, in this order: followed segments, known holes, last packets."""
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
    blocks: RowBlocks[Segment]
    """[block, endpoint, FLIGHT + HOLES + RECENT]"""
    free_rows: Longs
    """int64, a stack of row numbers: the first `state.free_rows` are free."""
    free_blocks: Longs
    """int64, a stack of block numbers: the first `state.free_blocks` are free."""
    done: Longs
    """int64: the first `state.done` are numbers of rows whose sessions ended, until the Tracker copies them."""
    samples: Rows[Sample]
    """The first `state.samples` rows wait until the Tracker copies them."""
    fragments: Rows[Fragment]
    """Latest first fragments, by hash."""
    state: Rows[State]
    """[1]"""
