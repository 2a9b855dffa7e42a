"""Drops of the kernel in the files of a comparison -> the reason of packets that were lost.

An event has the packet as the kernel had it, so it has the fingerprint of the packet at the points that it passed. An
equal fingerprint proves the reason; where event and point are in one file, and so on one clock, the drop must also
follow the packet within APART_NS. An event proves at most one packet of a point. What no event proves stays unknown:
another node may have dropped it, or the wire.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from capture.analysis.legs.compiled.fingerprint import fingerprints
from capture.analysis.packets.events import events_of
from capture.analysis.packets.packet_table import Kind
from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Bytes, Longs, Table
from capture.wire.drop_reasons import DROPPED, LOSSES, KernelReason

APART_NS = 10**9
"""Most time between a packet at a point and its drop on that node, ns."""
DROPS_MAX = 1 << 18
"""Drops that are kept; further ones prove nothing."""
_ETHERNET, _IP4_LENGTH, _IP6_LENGTH, _IP6_HEADER = 14, 16, 18, 40
"""Bytes of the Ethernet header; before the lengths in the headers of IP; of IPv6's header, which its length leaves
out."""
Proven = Mapping[tuple[int, int], KernelReason]
"""Reasons by point and number of the packet in the point's file."""


class DropProofs:
    """The drops of several files; `seed` is that of the fingerprints of packets."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of: defaultdict[int, list[tuple[int, int, KernelReason]]] = defaultdict(list)
        self._drops = 0

    def add(self, file: int, batch: Batch) -> None:
        """Add the drops among the events of a batch."""
        found = [(row, reason) for row, _, reason in events_of(batch.data, batch.packets) if _is_loss(reason)]
        found = found[: DROPS_MAX - self._drops]
        if not found:
            return
        self._drops += len(found)
        rows = _with_lengths(batch.data, batch.packets[[row for row, _ in found]])
        strict, loose = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        fingerprints(batch.data, rows, self._seed, strict, loose)
        for key, time_ns, (_, reason) in zip(loose.tolist(), rows["time_ns"].tolist(), found, strict=True):
            if key and reason is not None:
                self._of[key].append((time_ns, file, replace(reason, netns=0)))

    def of(self, observations: Table, files: Sequence[int]) -> Proven:
        """Return the reasons of packets that were dropped; `files` has the file of each point."""
        proven: dict[tuple[int, int], KernelReason] = {}
        used: set[tuple[int, int, int]] = set()
        rows = observations[np.isin(observations["loose"], np.array([*self._of], np.int64))]
        rows = rows[np.argsort(rows["time_ns"], kind="stable")]
        columns = [rows[name].tolist() for name in ("loose", "point", "number", "time_ns")]
        for loose, point, number, time_ns in zip(*columns, strict=True):
            for nth, (dropped_ns, file, reason) in enumerate(self._of[loose]):
                here = file != files[point] or 0 <= dropped_ns - time_ns <= APART_NS
                if here and (loose, nth, point) not in used:
                    used.add((loose, nth, point))
                    proven[point, number] = reason
                    break
        return proven


def _is_loss(reason: KernelReason | None) -> bool:
    return reason is not None and reason.what == DROPPED and reason.kind in LOSSES


def _with_lengths(data: Bytes, events: Table) -> Table:
    """Return events as packets: with the family and the bytes of payload that are taken from events."""
    rows = events.copy()
    at = rows["offset"].astype(np.int64)
    whole = (rows["kind"] & int(Kind.CUT)) == 0
    for family, ethertype, length_at, more in ((4, 0x0800, _IP4_LENGTH, 0), (6, 0x86DD, _IP6_LENGTH, _IP6_HEADER)):
        (mine,) = np.nonzero(whole & (_word(data, at + _ETHERNET - 2) == ethertype))
        payload = _word(data, at[mine] + length_at) + _ETHERNET + more - rows["payload_at"][mine].astype(np.int64)
        mine, payload = mine[payload >= 0], payload[payload >= 0]
        rows["family"][mine], rows["payload"][mine] = family, payload
    return rows


def _word(data: Bytes, at: Longs) -> Longs:
    return data[at].astype(np.int64) << 8 | data[at + 1]
