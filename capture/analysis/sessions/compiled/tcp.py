"""A TCP packet of a known session -> its row: handshake, timestamps, requests, answers.

Copies and packets whose numbers do not belong to the connection stop here (`copies`, `windows`); `segments` and
`round_trips` follow the numbers of the others.
"""

import numpy as np

from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.analysis.sessions.compiled.copies import keep_last, repeats_last, repeats_syn
from capture.analysis.sessions.compiled.flight import allocate_block, give_block_back, holes_at
from capture.analysis.sessions.compiled.round_trips import acknowledged_by, round_trip
from capture.analysis.sessions.compiled.samples import end_answer, sample
from capture.analysis.sessions.compiled.segments import COPY, FRESH, OLD, know_as_sent, sent
from capture.analysis.sessions.compiled.sequence import distance
from capture.analysis.sessions.compiled.windows import answers_syn, is_next, is_stray, start_at
from capture.analysis.sessions.open_table import HOLES, RECENT, OpenSession, OpenSide, Tables
from capture.analysis.sessions.session_table import Measure
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.jit import inlined_loop
from capture.wire.protocols import ACK, FIN, RST, SYN

_TIMESTAMPS, _FOREIGN = int(Kind.TIMESTAMPS), int(Kind.FOREIGN)
_HANDSHAKE, _TIMESTAMP = int(Measure.HANDSHAKE), int(Measure.TIMESTAMP)
_FIRST_BYTE = int(Measure.FIRST_BYTE)
_CLIENT, _SERVER = 0, 1


@loop
def is_plain(here: OpenSide, there: OpenSide, packet: PacketRow) -> bool:
    """True if a packet of `here` is what most are, and so raises none of the counts in `marks`.

    It goes on where its side ended, is no copy of the packet before it, has room for data, and fills no hole.
    """
    return (
        is_next(here, there, packet)
        and packet.tcp_flags & SYN == 0
        and packet.window != 0
        and there.holes == 0
        and (packet.acknowledgment != here.last_acknowledgment or packet.sequence != here.last_sequence)
    )


@inlined_loop
def update(tables: Tables, number: int, packet: PacketRow, side: int, plain: bool) -> None:
    """Handle a packet from endpoint `side` of session `number`; needs room for six samples and a block.

    `plain` is what `is_plain` says of it.
    """
    row, here, there = tables.rows[number], tables.sides[number, side], tables.sides[number, 1 - side]
    by_client = side == row.client_side
    flags = np.int64(packet.tcp_flags)
    length = np.int64(packet.payload)
    occupies = length + ((flags >> 1) & 1) + (flags & 1)
    if plain:
        keep_last(here, packet)
        here.strays = 0
    elif not _belongs(row, here, there, packet, occupies):
        return
    if flags & (SYN | RST | FIN) or (by_client and not row.ack_packet and (row.syns or row.syn_acks)):
        _handshake(tables, row, here, there, packet, by_client, side)
    if flags & RST:
        here.flight_first += here.flight
        there.flight_first += there.flight
        here.flight = there.flight = 0
        if row.block >= 0 and not (here.holes or there.holes):
            _end_following(tables, number, packet)
        return
    if not here.goes_on and not flags & SYN:
        here.goes_on = 1
    outcome = OLD
    if occupies:
        if row.block < 0 and (length or not flags & SYN):
            allocate_block(tables, number)
        outcome = sent(tables.segments, tables.state[0], row, here, there, packet, side, occupies)
        if outcome == COPY:
            return
    if not occupies and here.has_next and distance(packet.sequence, here.next) == -1:
        here.keepalives += 1
    acknowledged = False
    if flags & ACK and not (here.has_acked and packet.acknowledgment == here.acked):
        if row.block < 0 and there.has_next and distance(packet.acknowledgment, there.next) > 0:
            allocate_block(tables, number)
        acknowledged = acknowledged_by(
            tables.segments, tables.samples, tables.state[0], row, here, there, packet, side, by_client
        )
    later = row.rst_packet and side == row.rst_side and packet.time_ns > row.rst_ns
    if later and (acknowledged or flags & SYN or (outcome == FRESH and occupies)):
        forget_reset(row, here)
    if here.no_room:
        here.no_room = 0
    if packet.window == 0 and not flags & (SYN | FIN):
        here.no_room = 1
        here.zero_windows += 1
        if not here.zero_window_packet:
            here.zero_window_packet = packet.number
    if packet.kind & _TIMESTAMPS:
        took = _timestamps(here, there, packet, occupies > 0)
        if took >= 0:
            round_trip(tables.samples, tables.state[0], row, here, packet.time_ns, took, _TIMESTAMP, by_client)
    if length and outcome == FRESH:
        if by_client:
            if row.answer_ns:
                end_answer(tables.samples, tables.state[0], row)
            row.request_ns = packet.time_ns
        elif row.request_ns:
            if not row.answer_ns:
                _begin_answer(tables, row, packet.time_ns)
            row.answer_ns = packet.time_ns
    over = here.fin_packet > 0 and there.fin_packet > 0
    if over and row.block >= 0 and not (here.flight or there.flight or here.holes or there.holes):
        _end_following(tables, number, packet)


@loop
def _end_following(tables: Tables, number: int, packet: PacketRow) -> None:
    """Free the block of a session of which nothing more is expected; what comes late gets a new one."""
    row = tables.rows[number]
    for side in range(2):
        at = holes_at(row, side) + HOLES
        know_as_sent(tables.sides[number, side], tables.segments[at : at + RECENT])
    give_block_back(tables, number)
    row.over_ns = packet.time_ns


@loop
def _belongs(row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow, occupies: int) -> bool:
    """True unless a packet is a copy, which is counted, or has numbers of another connection, which is marked."""
    if repeats_last(here, there, packet, occupies) or (packet.tcp_flags & SYN and repeats_syn(here, there, packet)):
        here.duplicated += 1
        here.data_packets += packet.payload > 0
        return False
    if packet.tcp_flags & SYN:
        stray = packet.tcp_flags & ACK and not answers_syn(row, here, there, packet)
    else:
        stray = is_stray(row, here, there, packet)
    if stray:
        packet.kind |= _FOREIGN
        return False
    return True


@loop
def forget_reset(row: OpenSession, here: OpenSide) -> None:
    """Forget an RST after which its sender goes on: it was of an earlier try, or did not end the connection."""
    row.rst_packet = here.rst_packet = 0


@loop
def _handshake(
    tables: Tables,
    row: OpenSession,
    here: OpenSide,
    there: OpenSide,
    packet: PacketRow,
    by_client: bool,
    side: int,
) -> None:
    flags, now = np.int64(packet.tcp_flags), packet.time_ns
    if flags & RST:
        if not here.rst_packet:
            here.rst_packet = packet.number
        if not row.rst_packet and not _closed(here, there):
            row.rst_packet = packet.number
            row.rst_ns = now
            row.rst_side = side
            row.rst_early = (there.payload if by_client else here.payload) == 0 and not (
                here.fin_packet or there.fin_packet
            )
            row.rst_syn_ns = row.syn_last_ns if row.syns_open == 1 else 0
        row.syns_open = 0
    elif flags & SYN and not flags & ACK:
        if not row.syns:
            row.syn_packet = packet.number
            row.syn_ns = now
            row.syn_sequence = packet.sequence
            row.syn_first_tsval = packet.tsval
        row.syn_last_ns = now
        row.syn_tsval = packet.tsval
        row.syns += 1
        row.syns_open += 1
    elif flags & SYN:
        _syn_ack(tables, row, here, there, packet)
    elif flags & ACK and by_client and not row.ack_packet and (row.syns or row.syn_acks):
        row.ack_packet = packet.number
        row.ack_ns = now
        if row.syn_acks == 1:  # it may acknowledge either copy of a repeated SYN-ACK
            _client_part(tables, row, here, now)
    if flags & FIN and not flags & RST and not here.fin_packet:
        here.fin_packet = packet.number


@loop
def _closed(here: OpenSide, there: OpenSide) -> bool:
    """True if both sides sent FIN and acknowledged the other's: an RST then answers a packet that came late."""
    return (
        here.fin_packet > 0
        and there.fin_packet > 0
        and distance(here.acked, there.next) >= 0
        and distance(there.acked, here.next) >= 0
    )


@loop
def _syn_ack(tables: Tables, row: OpenSession, here: OpenSide, there: OpenSide, packet: PacketRow) -> None:
    """Handle a SYN-ACK that answers the SYN of this session."""
    now = packet.time_ns
    if row.rst_packet and now > row.rst_ns:
        there.rst_packet = 0
        forget_reset(row, here)
    if row.syn_acks and packet.sequence != row.syn_ack_sequence and here.has_next:
        start_at(here, np.int64(packet.sequence), True)  # nobody acknowledged the one before
    row.syn_ack_sequence = packet.sequence
    row.syn_ack_last_ns = now
    row.syn_acks += 1
    row.syns_open = 0
    if row.syn_acks == 1:
        row.syn_ack_packet = packet.number
        row.syn_ack_ns = now
        _server_part(tables, row, here, packet)
        if row.ack_packet:  # behind the ACK in the file
            _client_part(tables, row, there, row.ack_ns)
    elif row.ack_packet and row.syn_acks > row.syns and now - row.ack_ns > row.syn_ack_ns - row.syn_ns:
        # Not the answer to a repeated SYN, and sent after the ACK must have arrived.
        row.syn_acks_late += 1


@loop
def _client_part(tables: Tables, row: OpenSession, client: OpenSide, ack_ns: int) -> None:
    """Add the sample from SYN-ACK to ACK."""
    if ack_ns < row.syn_ack_ns:
        return
    row.client_ns = ack_ns - row.syn_ack_ns
    client.rtt_least_ns = max(row.client_ns, 1)
    sample(tables.samples, tables.state[0], row.session, ack_ns, _HANDSHAKE, _CLIENT, row.client_ns)


@loop
def _server_part(tables: Tables, row: OpenSession, server: OpenSide, packet: PacketRow) -> None:
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
        server.rtt_least_ns = max(row.server_ns, 1)
        sample(tables.samples, tables.state[0], row.session, packet.time_ns, _HANDSHAKE, _SERVER, row.server_ns)


@loop
def _timestamps(here: OpenSide, there: OpenSide, packet: PacketRow, occupies: bool) -> int:
    """Follow one TSval at a time to its first echo; only one first seen on a packet that the other side will echo.

    Return the time from it to this packet, if this is the echo, ns; else -1.
    """
    took = np.int64(-1)
    if there.echo_wait_ns and packet.tcp_flags & ACK:
        ahead = distance(packet.tsecr, there.tsval_followed)
        if ahead == 0:
            took = packet.time_ns - there.echo_wait_ns
        if ahead >= 0:
            there.echo_wait_ns = 0
    if not here.has_tsval or distance(packet.tsval, here.tsval_newest) > 0:
        here.has_tsval = 1
        here.tsval_newest = packet.tsval
        if occupies and here.echo_wait_ns == 0:
            here.tsval_followed = packet.tsval
            here.echo_wait_ns = packet.time_ns
    return took


@loop
def _begin_answer(tables: Tables, row: OpenSession, now: int) -> None:
    """Add the sample from a request to the first byte of its answer."""
    sample(tables.samples, tables.state[0], row.session, now, _FIRST_BYTE, _SERVER, now - row.request_ns)
    row.first_byte_sum_ns += max(now - row.request_ns, 0)
    row.requests += 1
