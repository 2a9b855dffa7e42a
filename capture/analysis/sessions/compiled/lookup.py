"""The hash table of open sessions: row numbers by five-tuple and VLAN, the same for both directions.

Open addressing with linear probing; a slot holds the upper half of the hash and the row's number + 1. The hash is
seeded, so nobody can make a file whose sessions collide.

The same five-tuple in two VLANs is two sessions: two tenants with the same addresses, or a packet before and behind a
router. But an answer may come in another VLAN than its request, and a port may remove the tags of one direction. So a
packet belongs to the session in which its sender uses the packet's VLAN. If there is none, it belongs to one in which
its sender has shown no VLAN so far, the session whose other side uses the packet's VLAN first. A packet without a tag
belongs to any session of its tuple.
"""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.analysis.sessions.open_table import Tables
from capture.arrays.aliases import Longs
from capture.arrays.compiled.hashing import mix
from capture.arrays.jit import borrowing_loop as loop


@loop
def swapped(packet: PacketRow) -> bool:
    """True if the packet goes from the higher endpoint to the lower."""
    if packet.source_high != packet.destination_high:
        return packet.source_high > packet.destination_high
    if packet.source_low != packet.destination_low:
        return packet.source_low > packet.destination_low
    return packet.source_port > packet.destination_port


@loop
def hash_of(packet: PacketRow, interface: int, seed: int) -> int:
    """Return a hash that is the same for both directions."""
    source = mix(mix(seed ^ np.int64(packet.source_port), packet.source_high), packet.source_low)
    other = mix(mix(seed ^ np.int64(packet.destination_port), packet.destination_high), packet.destination_low)
    return mix(source ^ other, np.int64(packet.protocol) << 40 | np.int64(packet.family) << 32 | interface)


@loop
def find(tables: Tables, packet: PacketRow, hashed: int, interface: int) -> int:
    """Return the row number of the packet's session, -1 if there is none."""
    mask, possible = len(tables.slots) - 1, np.int64(-1)
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
                if packet.vlan == 0:
                    return number
                own, other = (row.high_vlan, row.low_vlan) if turned else (row.low_vlan, row.high_vlan)
                if own == packet.vlan:
                    return number
                if own == 0 and (possible < 0 or other == packet.vlan):
                    possible = number
        at = (at + 1) & mask
    return possible


@loop
def insert(slots: Longs, hashed: int, number: int) -> None:
    """Add a row to the hash table."""
    mask = len(slots) - 1
    at = hashed & mask
    while slots[at] != 0:
        at = (at + 1) & mask
    slots[at] = (hashed >> 32) << 32 | (number + 1)


@loop
def remove(tables: Tables, number: int) -> None:
    """Remove a row from the hash table, and move up the rows that its slot had displaced."""
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
