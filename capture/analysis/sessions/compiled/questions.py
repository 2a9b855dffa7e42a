"""Questions and answers (DNS, ICMP echo) -> samples of their latency, and counts of repeated and unanswered ones."""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.closing import sample
from capture.analysis.sessions.compiled.segments import allocate_block
from capture.analysis.sessions.open_table import FLIGHT, OpenSide, Segment, Tables
from capture.analysis.sessions.session_table import Measure
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.hashing import mix
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import ICMP

_DNS, _ECHO, _SERVER = int(Measure.DNS), int(Measure.ECHO), 1


@loop
def _add_question(tables: Tables, number: int, now: int, key: int, more: int) -> None:
    """Note a question that waits for its answer. If it waits already, it was repeated."""
    row = tables.rows[number]
    allocate_block(tables, row)
    side, block = tables.sides[number, 0], tables.blocks[row.block, 0]
    for i in range(side.flight):
        if block[i].start == key and block[i].end == more:
            block[i].sampled = 1
            row.repeated += 1
            return
    if side.flight == FLIGHT:
        _remove_question(side, block, 0)
        row.unanswered += 1
    question = block[side.flight]
    question.time_ns = now
    question.start = key
    question.end = more
    question.sampled = 0
    side.flight += 1


@loop
def _add_answer(tables: Tables, number: int, now: int, key: int, more: int, measure: int) -> None:
    """Remove the question of an answer, and add a sample unless the question was repeated."""
    row = tables.rows[number]
    if row.block < 0:
        return
    side, block = tables.sides[number, 0], tables.blocks[row.block, 0]
    for i in range(side.flight):
        if block[i].start == key and block[i].end == more:
            if not block[i].sampled:
                took = now - block[i].time_ns
                sample(tables, row.session, now, measure, _SERVER, took)
                row.first_byte_sum_ns += max(took, 0)
            row.requests += 1
            _remove_question(side, block, i)
            return


@loop
def _remove_question(side: OpenSide, block: Rows[Segment], i: int) -> None:
    """Remove question i; later ones move up, so that the oldest stays first."""
    side.flight -= 1
    for k in range(i, side.flight):
        block[k].time_ns = block[k + 1].time_ns
        block[k].start = block[k + 1].start
        block[k].end = block[k + 1].end
        block[k].sampled = block[k + 1].sampled


@loop
def echo(tables: Tables, number: int, packet: PacketRow) -> None:
    """Handle an ICMP echo request or reply, known by its sequence number."""
    if packet.icmp_type == (8 if packet.protocol == ICMP else 128):
        _add_question(tables, number, packet.time_ns, packet.sequence, 0)
    elif packet.icmp_type == (0 if packet.protocol == ICMP else 129):
        _add_answer(tables, number, packet.time_ns, packet.sequence, 0, _ECHO)


@loop
def dns(data: Bytes, tables: Tables, number: int, packet: PacketRow) -> None:
    """Handle a DNS message with one question, known by identifier, name, type and class (RFC 1035, section 4.1)."""
    at, end = packet.offset + packet.payload_at, packet.offset + packet.captured
    if at + 12 > end or data[at + 4] != 0 or data[at + 5] != 1:
        return
    question = np.int64(0)
    name = at + 12
    while name < end and data[name] != 0:
        length = np.int64(data[name])
        if length > 63 or name + 1 + length > end:
            return
        for k in range(name, name + 1 + length):
            question = mix(question, np.int64(data[k]))
        name += 1 + length
    if name + 5 > end:
        return
    for k in range(name, name + 5):
        question = mix(question, np.int64(data[k]))
    identifier = np.int64(data[at]) << 8 | np.int64(data[at + 1])
    if data[at + 2] & 0x80:
        _add_answer(tables, number, packet.time_ns, identifier, question & 0xFFFFFFFF, _DNS)
    else:
        _add_question(tables, number, packet.time_ns, identifier, question & 0xFFFFFFFF)
