"""A TCP packet of a known session -> its row: handshake, timestamps, requests, answers; `segments` does the rest."""

import numpy as np

from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.analysis.sessions.compiled.closing import give_block_back, sample
from capture.analysis.sessions.compiled.round_trips import acknowledged_by, round_trip
from capture.analysis.sessions.compiled.segments import sent
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.open_table import OpenSession, OpenSide, Tables
from capture.analysis.sessions.session_table import Measure
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.protocols import ACK, FIN, RST, SYN

_TIMESTAMPS = int(Kind.TIMESTAMPS)
_HANDSHAKE, _TIMESTAMP = int(Measure.HANDSHAKE), int(Measure.TIMESTAMP)
_FIRST_BYTE, _LAST_BYTE = int(Measure.FIRST_BYTE), int(Measure.LAST_BYTE)
_CLIENT, _SERVER = 0, 1


@loop
def update(tables: Tables, number: int, packet: PacketRow, side: int) -> None:
    """Handle a packet from endpoint `side` of session `number`; needs room for six samples and a block."""
    row, here, there = tables.rows[number], tables.sides[number, side], tables.sides[number, 1 - side]
    by_client = side == row.client_side
    flags = np.int64(packet.tcp_flags)
    if flags & (SYN | RST | FIN) or (by_client and row.syn_ack_packet and not row.ack_packet):
        server_payload = there.payload if by_client else here.payload
        _handshake(tables, row, here, packet, by_client, side, server_payload)
    if flags & RST:
        if row.block >= 0:
            here.flight = there.flight = here.holes = there.holes = 0
            give_block_back(tables, row)
        return
    length = np.int64(packet.payload)
    occupies = length + ((flags >> 1) & 1) + (flags & 1)
    fresh = False
    if occupies:
        fresh = sent(tables, row, here, there, packet, side, occupies)
    elif here.has_next and distance(packet.sequence, here.next) == -1:
        here.keepalives += 1
    if flags & ACK and not flags & SYN:
        acknowledged_by(tables, row, here, there, packet, side, by_client)
    if packet.window == 0 and not flags & (SYN | FIN):
        here.zero_windows += 1
        if not here.zero_window_packet:
            here.zero_window_packet = packet.number
    if packet.kind & _TIMESTAMPS:
        _timestamps(tables, row, here, there, packet, occupies > 0, by_client)
    if length and fresh:
        _turn(tables, row, packet.time_ns, by_client)
    over = here.fin_packet > 0 and there.fin_packet > 0
    if over and row.block >= 0 and not (here.flight or there.flight or here.holes or there.holes):
        give_block_back(tables, row)


@loop
def _handshake(
    tables: Tables,
    row: OpenSession,
    here: OpenSide,
    packet: PacketRow,
    by_client: bool,
    side: int,
    server_payload: int,
) -> None:
    flags, now = np.int64(packet.tcp_flags), packet.time_ns
    if flags & RST:
        if not here.rst_packet:
            here.rst_packet = packet.number
        if not row.rst_packet:
            row.rst_packet = packet.number
            row.rst_ns = now
            row.rst_side = side
            row.rst_early = server_payload == 0
    elif flags & SYN and not flags & ACK:
        if not row.syns:
            row.syn_packet = packet.number
            row.syn_ns = now
            row.syn_sequence = packet.sequence
            row.syn_first_tsval = packet.tsval
        row.syn_last_ns = now
        row.syn_tsval = packet.tsval
        row.syns += 1
    elif flags & SYN:
        row.syn_ack_last_ns = now
        row.syn_acks += 1
        if row.syn_acks == 1:
            row.syn_ack_packet = packet.number
            row.syn_ack_ns = now
            _server_part(tables, row, packet)
    elif flags & ACK and by_client and row.syn_ack_packet and not row.ack_packet:
        row.ack_packet = packet.number
        row.ack_ns = now
        if row.syn_acks == 1 and now >= row.syn_ack_ns:  # it may acknowledge either copy of a repeated SYN-ACK
            row.client_ns = now - row.syn_ack_ns
            sample(tables, row.session, now, _HANDSHAKE, _CLIENT, row.client_ns)
    if flags & FIN and not flags & RST and not here.fin_packet:
        here.fin_packet = packet.number


@loop
def _server_part(tables: Tables, row: OpenSession, packet: PacketRow) -> None:
    """Add the sample from SYN to SYN-ACK.

    Several SYNs give a sample only if the SYN-ACK echoes the TSval of the first or the last.
    """
    syn_ns = row.syn_ns
    if row.syns == 0:
        return
    if row.syns > 1:
        if not packet.kind & _TIMESTAMPS or row.syn_tsval == row.syn_first_tsval:
            return
        if packet.tsecr == row.syn_tsval:
            syn_ns = row.syn_last_ns
        elif packet.tsecr != row.syn_first_tsval:
            return
    if packet.time_ns >= syn_ns:
        row.server_ns = packet.time_ns - syn_ns
        sample(tables, row.session, packet.time_ns, _HANDSHAKE, _SERVER, row.server_ns)


@loop
def _timestamps(
    tables: Tables,
    row: OpenSession,
    here: OpenSide,
    there: OpenSide,
    packet: PacketRow,
    occupies: bool,
    by_client: bool,
) -> None:
    """Follow one TSval at a time to its first echo; only one first seen on a packet that the other side will echo."""
    if there.echo_wait_ns and packet.tcp_flags & ACK:
        ahead = distance(packet.tsecr, there.tsval_followed)
        if ahead == 0:
            took = packet.time_ns - there.echo_wait_ns
            round_trip(tables, row, here, packet.time_ns, took, _TIMESTAMP, by_client)
        if ahead >= 0:
            there.echo_wait_ns = 0
    if not here.has_tsval or distance(packet.tsval, here.tsval_newest) > 0:
        here.has_tsval = 1
        here.tsval_newest = packet.tsval
        if occupies and here.echo_wait_ns == 0:
            here.tsval_followed = packet.tsval
            here.echo_wait_ns = packet.time_ns


@loop
def _turn(tables: Tables, row: OpenSession, now: int, by_client: bool) -> None:
    """Handle new payload, which begins or continues a request or its answer."""
    if by_client:
        if row.answer_ns:
            sample(tables, row.session, row.answer_ns, _LAST_BYTE, _SERVER, row.answer_ns - row.request_ns)
            row.answer_ns = 0
        row.request_ns = now
    elif row.request_ns:
        if not row.answer_ns:
            sample(tables, row.session, now, _FIRST_BYTE, _SERVER, now - row.request_ns)
            row.first_byte_sum_ns += max(now - row.request_ns, 0)
            row.requests += 1
        row.answer_ns = now
