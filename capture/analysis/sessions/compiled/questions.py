"""Questions and answers (DNS, ICMP echo) -> samples of their latency, and counts of repeated and unanswered ones."""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.compiled.copies import is_copy
from capture.analysis.sessions.compiled.samples import sample
from capture.analysis.sessions.compiled.waiting import add_question, find_question, key_of, remove_question
from capture.analysis.sessions.open_table import Tables
from capture.analysis.sessions.session_table import Measure
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.hashing import mix
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.protocols import ICMP

_DNS, _ECHO, _SERVER = int(Measure.DNS), int(Measure.ECHO), 1


@loop
def _ask(tables: Tables, number: int, packet: PacketRow, side: int, identifier: int, name: int) -> None:
    """Note a question that waits for its answer. If it waits already, it was sent again, or the capture copied it."""
    row, key = tables.rows[number], key_of(tables.rows[number], identifier, name)
    at = find_question(tables, key)
    if at < 0:
        add_question(tables, number, key, packet.time_ns, np.int64(packet.identification))
        return
    question, here = tables.questions[at], tables.sides[number, side]
    apart_ns = packet.time_ns - question.time_ns
    if question.identification == packet.identification and is_copy(
        here, tables.sides[number, 1 - side], np.int64(packet.identification), apart_ns
    ):
        here.duplicated += 1
        return
    question.repeated = 1
    row.repeated += 1


@loop
def _answer(tables: Tables, number: int, packet: PacketRow, identifier: int, name: int, measure: int) -> None:
    """Remove the question of an answer, and add a sample unless the question was repeated."""
    row = tables.rows[number]
    if not row.questions:
        return
    at = find_question(tables, key_of(row, identifier, name))
    if at < 0:
        return
    if not tables.questions[at].repeated:
        took = packet.time_ns - tables.questions[at].time_ns
        sample(tables.samples, tables.state[0], row.session, packet.time_ns, measure, _SERVER, took)
        row.first_byte_sum_ns += max(took, 0)
    row.requests += 1
    remove_question(tables, row, at)


@loop
def echo(tables: Tables, number: int, packet: PacketRow, side: int) -> None:
    """Handle an ICMP echo request or reply, known by its sequence number."""
    if packet.icmp_type == (8 if packet.protocol == ICMP else 128):
        _ask(tables, number, packet, side, np.int64(packet.sequence), 0)
    elif packet.icmp_type == (0 if packet.protocol == ICMP else 129):
        _answer(tables, number, packet, np.int64(packet.sequence), 0, _ECHO)


@loop
def dns(data: Bytes, tables: Tables, number: int, packet: PacketRow, side: int) -> None:
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
        _answer(tables, number, packet, identifier, question, _DNS)
    else:
        _ask(tables, number, packet, side, identifier, question)
