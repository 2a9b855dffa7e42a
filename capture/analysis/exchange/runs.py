"""Packets of a exchange -> items of a ladder: single packets, and runs of data that are alike.

A run is data of one side with the other side's pure acknowledgments between: four or more packets, of which none has
a flag but ACK and PSH, a mark, or a missing part, and between which there is no pause of more than a quarter of the
round trip.
"""

from dataclasses import dataclass

import numpy as np

from capture.analysis.exchange.packets_of import Exchange
from capture.analysis.packets.packet_table import Kind
from capture.arrays.aliases import Longs, Mask
from capture.wire.protocols import ACK

_PSH = 0x08
LEAST = 4
_PAUSE_NS = 5_000_000
"""Pause that ends a run where no round trip is known."""


@dataclass(frozen=True, slots=True)
class Items:
    """Items in order: packets [first, last] of each, and the side whose data a run is; -1 for a single packet."""

    first: Longs
    last: Longs
    run_of: Longs


def items(talk: Exchange, round_trip_ns: int, folded: bool, single: frozenset[int] = frozenset()) -> Items:
    """Return the items; `single` are numbers of packets that stay alone, if not `folded` all do."""
    count = len(talk)
    every = np.arange(count, dtype=np.int64)
    if not folded or not count:
        return Items(every, every, np.full(count, -1, np.int64))
    alike, of = _alike(talk, single)
    pause = max(round_trip_ns // 4, 1) if round_trip_ns > 0 else _PAUSE_NS
    breaks = ~alike[1:] | ~alike[:-1] | (of[1:] != of[:-1]) | (np.diff(talk["time_ns"]) > pause)
    first = np.r_[0, np.flatnonzero(breaks) + 1].astype(np.int64)
    last = np.r_[first[1:] - 1, count - 1]
    carrying = np.add.reduceat((talk["payload"] > 0).astype(np.int64), first)
    is_run = (last - first + 1 >= LEAST) & (carrying >= 2) & alike[first]
    lengths = np.where(is_run, 1, last - first + 1)
    starts = np.repeat(first, lengths)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    run = np.repeat(is_run, lengths)
    return Items(
        np.where(run, starts, starts + within),
        np.where(run, np.repeat(last, lengths), starts + within),
        np.where(run, of[starts], -1),
    )


def _alike(talk: Exchange, single: frozenset[int]) -> tuple[Mask, Longs]:
    """Return a mask of packets that may be in a run, and the side whose data the run would be."""
    side = talk["side"].astype(np.int64)
    alike = (talk["marks"] == 0) & (talk["kind"] & (Kind.CUT | Kind.FOREIGN | Kind.ICMP_ERROR) == 0)
    if talk.is_tcp:
        alike &= (talk["tcp_flags"] & (0xFF ^ (ACK | _PSH)) == 0) & (talk["tcp_flags"] & ACK > 0)
    if single:
        alike &= ~np.isin(talk["number"], list(single))
    return alike, np.where(talk["payload"] > 0, side, 1 - side)
