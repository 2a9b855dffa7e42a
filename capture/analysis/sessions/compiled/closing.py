"""The tables of open sessions: a hash of rows by both directions' tuple, in arrays that compiled loops share.

Open addressing with linear probing; a slot holds the upper half of the hash and the row's number + 1. A closed row
leaves the hash at once and waits in `done` until Python has taken it. The hash is seeded: a file cannot be made so
that its sessions collide.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from capture.analysis.packets.packet_table import Close, Measure
from capture.arrays.aliases import Longs
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.protocols import TCP

# Slots of `state`: the seed, whether interfaces are told apart, how much of each stack and list is used,
# and counts; no row from USED on was ever used.
SEED, BY_INTERFACE, FREE_ROWS, FREE_BLOCKS, DONE, SAMPLES, SESSIONS, OPEN = range(8)
NO_IP, LOST_FRAGMENTS, USED, STATE_SLOTS = 8, 9, 10, 11

_LAST_BYTE, _SERVER = int(Measure.LAST_BYTE), 1
_OPEN, _FIN, _HALF, _IDLE = int(Close.OPEN), int(Close.FIN), int(Close.HALF), int(Close.IDLE)
_BY_CLIENT, _BY_SERVER = int(Close.RESET_BY_CLIENT), int(Close.RESET_BY_SERVER)


class Tables(NamedTuple):
    """`rows` and `sides` are parallel; `sides` is [row, endpoint], the lower endpoint first."""

    slots: Longs
    rows: npt.NDArray[Any]
    sides: npt.NDArray[Any]
    blocks: npt.NDArray[Any]
    free_rows: Longs
    free_blocks: Longs
    done: Longs
    samples: npt.NDArray[Any]
    fragments: Longs
    state: Longs


@loop
def mix(value: int, more: int) -> int:
    """Fold one number into a hash (the multipliers are splitmix64's)."""
    value = (value ^ more) * -4658895280553007687
    value = (value ^ ((value >> 30) & 0x3FFFFFFFF)) * -7723592293110705685
    return value ^ ((value >> 31) & 0x1FFFFFFFF)


@loop
def swapped(packet: Any) -> bool:
    """Whether the packet goes from the higher endpoint to the lower."""
    if packet.source_high != packet.destination_high:
        return packet.source_high > packet.destination_high
    if packet.source_low != packet.destination_low:
        return packet.source_low > packet.destination_low
    return packet.source_port > packet.destination_port


@loop
def hash_of(packet: Any, interface: int, seed: int) -> int:
    """The same for both directions."""
    source = mix(mix(seed ^ np.int64(packet.source_port), packet.source_high), packet.source_low)
    other = mix(mix(seed ^ np.int64(packet.destination_port), packet.destination_high), packet.destination_low)
    return mix(source ^ other, np.int64(packet.protocol) << 40 | np.int64(packet.family) << 32 | interface)


@loop
def find(tables: Any, packet: Any, hashed: int, interface: int) -> int:
    """The row of the packet's session, -1 if there is none."""
    mask = len(tables.slots) - 1
    at = hashed & mask
    turned = swapped(packet)
    while tables.slots[at] != 0:
        slot = tables.slots[at]
        if slot >> 32 == hashed >> 32:
            number = (slot & 0xFFFFFFFF) - 1
            row = tables.rows[number]
            if turned:
                same = (
                    row.high_low == packet.source_low
                    and row.low_low == packet.destination_low
                    and row.high_port == packet.source_port
                    and row.low_port == packet.destination_port
                    and row.high_high == packet.source_high
                    and row.low_high == packet.destination_high
                )
            else:
                same = (
                    row.low_low == packet.source_low
                    and row.high_low == packet.destination_low
                    and row.low_port == packet.source_port
                    and row.high_port == packet.destination_port
                    and row.low_high == packet.source_high
                    and row.high_high == packet.destination_high
                )
            if (
                same
                and row.protocol == packet.protocol
                and row.family == packet.family
                and row.interface == interface
            ):
                return number
        at = (at + 1) & mask
    return -1


@loop
def insert(slots: Longs, hashed: int, number: int) -> None:
    """Put a row into the hash."""
    mask = len(slots) - 1
    at = hashed & mask
    while slots[at] != 0:
        at = (at + 1) & mask
    slots[at] = (hashed >> 32) << 32 | (number + 1)


@loop
def _remove(tables: Any, number: int) -> None:
    """Take a row out of the hash, and move those behind it up."""
    slots = tables.slots
    mask = len(slots) - 1
    at = tables.rows[number].hash & mask
    while (slots[at] & 0xFFFFFFFF) != number + 1:
        at = (at + 1) & mask
    hole = at
    while True:
        slots[hole] = 0
        while True:
            at = (at + 1) & mask
            if slots[at] == 0:
                return
            home = tables.rows[(slots[at] & 0xFFFFFFFF) - 1].hash & mask
            if ((at - home) & mask) >= ((at - hole) & mask):
                break
        slots[hole] = slots[at]
        hole = at


@loop
def sample(tables: Any, session: int, time_ns: int, measure: int, side: int, duration_ns: int) -> None:
    """Add a row to the samples; a clock that went back makes none."""
    if duration_ns < 0:
        return
    at = tables.state[SAMPLES]
    row = tables.samples[at]
    row.time_ns = time_ns
    row.session = session
    row.duration_ns = duration_ns
    row.measure = measure
    row.side = side
    tables.state[SAMPLES] = at + 1


@loop
def give_block_back(tables: Any, row: Any) -> None:
    """The session needs no room to follow segments any more."""
    tables.free_blocks[tables.state[FREE_BLOCKS]] = row.block
    tables.state[FREE_BLOCKS] += 1
    row.block = -1


@loop
def close(tables: Any, number: int, why: int) -> None:
    """End a session: out of the hash, its last measures taken, ready to be taken."""
    row = tables.rows[number]
    _remove(tables, number)
    row.live = 0
    state = tables.state
    if row.answer_ns:
        sample(tables, row.session, row.answer_ns, _LAST_BYTE, _SERVER, row.answer_ns - row.request_ns)
    if row.block >= 0:
        if row.protocol != TCP:
            row.unanswered += tables.sides[number, 0].flight
        give_block_back(tables, row)
    row.close = ended(tables, number) if ended(tables, number) != _OPEN else why
    tables.done[state[DONE]] = number
    state[DONE] += 1
    state[OPEN] -= 1


@loop
def ended(tables: Any, number: int) -> int:
    """How the packets themselves ended the session; OPEN if they did not."""
    row = tables.rows[number]
    if row.protocol != TCP:
        return _OPEN
    if row.rst_packet:
        return _BY_CLIENT if row.rst_side == row.client_side else _BY_SERVER
    one, other = tables.sides[number, 0].fin_packet, tables.sides[number, 1].fin_packet
    if one and other:
        return _FIN
    return _HALF if one or other else _OPEN


@loop
def silent_limit(tables: Any, number: int, idle: Longs) -> int:
    """Nanoseconds after which a session without packets is over; `idle` is by the kind of session."""
    row = tables.rows[number]
    if row.protocol != TCP:
        return idle[2] if row.protocol == 17 else idle[3]
    how = ended(tables, number)
    return idle[0] if how in (_OPEN, _HALF) else idle[1]


@loop
def expire(tables: Any, now_ns: int, idle: Longs, start: int) -> int:
    """Close rows from `start` on that were silent too long; where to go on, or USED."""
    for number in range(start, tables.state[USED]):
        if not _room(tables):
            return number
        row = tables.rows[number]
        if row.live and now_ns - row.last_ns > silent_limit(tables, number, idle):
            close(tables, number, _IDLE)
    return tables.state[USED]


@loop
def close_until(tables: Any, last_ns: int, start: int, why: int) -> int:
    """Close rows from `start` on whose last packet is not younger; where to go on, or USED."""
    for number in range(start, tables.state[USED]):
        if not _room(tables):
            return number
        if tables.rows[number].live and tables.rows[number].last_ns <= last_ns:
            close(tables, number, why)
    return tables.state[USED]


@loop
def _room(tables: Any) -> bool:
    """Whether one more session can be closed."""
    return tables.state[DONE] < len(tables.done) and tables.state[SAMPLES] < len(tables.samples)
