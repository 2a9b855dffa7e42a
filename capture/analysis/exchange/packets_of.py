"""Batches with the packets of one session -> their columns: numbers relative to the first byte, windows in bytes.

The packets go through a Tracker of their own, which knows no other session: marks and samples are those of the
whole file, because a session depends on its own packets alone. Relative numbers count as in Wireshark: 0 is the SYN,
1 the first byte; where the SYN is not in the file, the first byte seen is 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.packets.compiled.tcp_options import TCP_OPTIONS, tcp_options
from capture.analysis.packets.packet_table import PACKET, Kind, Mark
from capture.analysis.packets.reading import Batch
from capture.analysis.sessions.session_table import SAMPLE
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Longs, Mask, Table
from capture.arrays.rows import picked
from capture.wire.protocols import ACK, RST, SYN, TCP

_HALF, _CIRCLE = 1 << 31, 1 << 32
_KEPT: dict[str, str] = (
    dict.fromkeys(("number", "time_ns", "payload", "captured", "original", "sequence", "acknowledgment"), "i8")
    | dict.fromkeys(("interface", "payload_at"), "u4")
    | dict.fromkeys(("tcp_flags", "window"), "u2")
    | dict.fromkeys(("side", "marks", "kind", "protocol", "icmp_type", "icmp_code"), "u1")
)
"""Columns of packets that are kept, and their types."""
_OPEN_MAX = 1 << 6


@dataclass(slots=True)
class Exchange:
    """The packets of a session, one element each. `sequence` and `acknowledgment` are relative and never wrap."""

    session: int
    columns: dict[str, npt.NDArray[Any]]
    sequence: Longs
    acknowledgment: Longs
    window: Longs
    """Bytes, scaled where the scale is known."""
    scales: tuple[int, int]
    """Shift of the windows of client and server; -1: not known."""
    has_syn: tuple[bool, bool]
    mss: Longs
    """Maximum segment size that the packet announces; 0: none."""
    sacks: Longs
    """[block, 3]: index of the packet, first and last relative number."""
    first_copy: Longs
    """Index of the packet that this one repeats; -1: none."""
    samples: Table
    """Durations that were measured, of SAMPLE."""
    _flight: tuple[Longs, Longs] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.sequence)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    @property
    def is_tcp(self) -> bool:
        """True if its first packet is TCP."""
        return len(self) > 0 and int(self["protocol"][0]) == TCP

    @property
    def bytes_held(self) -> int:
        """Memory of all columns."""
        return sum(column.nbytes for column in self.columns.values()) + 6 * self.sequence.nbytes

    @property
    def data(self) -> Mask:
        """Mask of packets that carry payload of this connection."""
        mask: Mask = (self["payload"] > 0) & (self["kind"] & (Kind.LATER_FRAGMENT | Kind.FOREIGN) == 0)
        return mask

    @property
    def in_flight(self) -> tuple[Longs, Longs]:
        """By side: bytes of that side that were sent and not yet acknowledged, after each packet."""
        if self._flight is None:
            self._flight = (self._flight_of(0), self._flight_of(1))
        return self._flight

    def _flight_of(self, side: int) -> Longs:
        mine = (self["side"] == side) & self._numbered
        ends = np.where(mine, self.sequence + self["payload"], 0)
        answers = (self["side"] != side) & self._numbered & (self["tcp_flags"] & ACK > 0)
        acked = np.where(answers, self.acknowledgment, 0)
        flight: Longs = np.maximum(np.maximum.accumulate(ends) - np.maximum.accumulate(acked), 0)
        return flight

    @property
    def _numbered(self) -> Mask:
        mask: Mask = (
            (self["protocol"] == TCP)
            & (self["kind"] & (Kind.LATER_FRAGMENT | Kind.FOREIGN | Kind.CUT) == 0)
            & (self["tcp_flags"] & RST == 0)
        )
        return mask

    @property
    def numbered(self) -> Mask:
        """Mask of TCP packets whose numbers belong to the connection."""
        return self._numbered


def exchange(session: int, batches: Iterable[Batch], wanted: Longs) -> Exchange:
    """Return the exchange of a session; `wanted` are the sorted numbers of its packets in the file."""
    tracker = Tracker(by_interface=False, open_max=_OPEN_MAX)
    kept: list[list[npt.NDArray[Any]]] = []
    options: list[Table] = []
    samples: list[Table] = []
    client: tuple[int, int] | None = None
    for batch in batches:
        numbers = batch.packets["number"]
        at = np.searchsorted(wanted, numbers)
        chosen = wanted[np.minimum(at, len(wanted) - 1)] == numbers
        if not chosen.any():
            continue
        mine = batch.packets if chosen.all() else picked(batch.packets, chosen)
        samples += [found for _, found in tracker.feed(batch.data, mine)]
        client = _client(mine[0]) if client is None else client
        _place_errors(mine, client)
        said = np.zeros(len(mine), TCP_OPTIONS)
        tcp_options(batch.data, mine, said)
        kept.append([np.ascontiguousarray(mine[name], _KEPT[name]) for name in _KEPT])
        options.append(said)
    samples += [found for _, found in tracker.finish()]
    said = np.concatenate(options) if options else np.zeros(0, TCP_OPTIONS)
    columns = {
        name: np.concatenate([parts[i] for parts in kept]) if kept else np.zeros(0, kind)
        for i, (name, kind) in enumerate(_KEPT.items())
    }
    return _numbered(session, columns, said, np.concatenate(samples) if samples else np.zeros(0, SAMPLE))


def _client(first: Any) -> tuple[int, int]:
    """Return the client's address, from any packet of the session."""
    end = "destination" if int(first["side"]) else "source"
    return int(first[f"{end}_high"]), int(first[f"{end}_low"])


def _place_errors(packets: Table, client: tuple[int, int]) -> None:
    """Give ICMP errors the side that they came from: they are packets of a router or host, about the session."""
    errors = np.flatnonzero(packets["kind"] & Kind.ICMP_ERROR)
    to_client = (packets["destination_high"][errors] == client[0]) & (packets["destination_low"][errors] == client[1])
    packets["side"][errors] = to_client


def _numbered(session: int, columns: dict[str, npt.NDArray[Any]], said: Table, samples: Table) -> Exchange:
    side, flags = columns["side"].astype(np.int64), columns["tcp_flags"].astype(np.int64)
    usual = (columns["protocol"] == TCP) & (columns["kind"] & (Kind.FOREIGN | Kind.LATER_FRAGMENT | Kind.CUT) == 0)
    steady = usual & (flags & RST == 0)
    raw, answer = columns["sequence"], columns["acknowledgment"]
    bases, syns = [], []
    for one in (0, 1):
        first = np.flatnonzero(steady & (side == one) & (flags & SYN > 0))
        if len(first):
            bases.append(int(raw[first[-1 if one else 0]]))
            syns.append(True)
            continue
        syns.append(False)
        sent = np.flatnonzero(steady & (side == one))
        acked = np.flatnonzero(steady & (side != one) & (flags & ACK > 0))
        bases.append(int(raw[sent[0]]) - 1 if len(sent) else int(answer[acked[0]]) - 1 if len(acked) else 0)
    sequence, acknowledgment = np.zeros(len(raw), np.int64), np.zeros(len(raw), np.int64)
    for one in (0, 1):
        mine = side == one
        sequence[mine] = _unwrapped(raw[mine], bases[one], steady[mine])
        acknowledgment[mine] = _unwrapped(answer[mine], bases[1 - one], steady[mine] & (flags[mine] & ACK > 0))
    scales = _scales(side, flags, said)
    shift = np.where(flags & SYN > 0, 0, np.maximum(np.array(scales)[side], 0)) if len(side) else side
    return Exchange(
        session=session,
        columns=columns,
        sequence=sequence,
        acknowledgment=np.where(flags & ACK > 0, acknowledgment, 0),
        window=columns["window"].astype(np.int64) << shift,
        scales=scales,
        has_syn=(syns[0], syns[1]),
        mss=said["mss"].astype(np.int64),
        sacks=_sacks(said, side, raw, answer, acknowledgment),
        first_copy=_first_copies(columns, side, flags, sequence),
        samples=samples,
    )


def _unwrapped(numbers: Longs, base: int, steady: Mask) -> Longs:
    """Return numbers relative to the base; steady ones follow each other, others lie around the base."""
    near = (numbers - base + _HALF) % _CIRCLE - _HALF
    at = np.flatnonzero(steady)
    if len(at):
        steps = (np.diff(numbers[at]) + _HALF) % _CIRCLE - _HALF
        near[at] = near[at[0]] + np.r_[0, np.cumsum(steps)]
    return near


def _scales(side: Longs, flags: Longs, said: Table) -> tuple[int, int]:
    """Return the shifts: known if both SYNs are in the file, and used if both have the option (RFC 7323)."""
    found = []
    for one in (0, 1):
        syns = np.flatnonzero((side == one) & (flags & SYN > 0) & (said["header_at"] >= 0))
        found.append(int(said["scale"][syns[-1]]) if len(syns) else -1)
    if -1 in found:
        return -1, -1
    return (found[0] - 1, found[1] - 1) if found[0] and found[1] else (0, 0)


def _sacks(said: Table, side: Longs, raw: Longs, answer: Longs, acknowledgment: Longs) -> Longs:
    parts = []
    for block in range(4):
        at = np.flatnonzero(said["blocks"] > block)
        if len(at):
            low, high = (said[f"sack_{2 * block + end}"][at].astype(np.int64) for end in (0, 1))
            first = acknowledgment[at] + (low - answer[at] + _HALF) % _CIRCLE - _HALF
            parts.append(np.stack([at, first, first + (high - low) % _CIRCLE], axis=1))
    blocks: Longs = np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)
    return blocks[np.argsort(blocks[:, 0], kind="stable")]


def _first_copies(columns: dict[str, npt.NDArray[Any]], side: Longs, flags: Longs, sequence: Longs) -> Longs:
    """Return for each repeated packet the index of the packet that first had its number."""
    first = np.full(len(side), -1, np.int64)
    repeated = (columns["marks"] & Mark.REPEATED > 0) & (columns["protocol"] == TCP)
    carries = ((columns["payload"] > 0) | (flags & SYN > 0)) & (columns["marks"] & Mark.COPY == 0)
    for one in (0, 1):
        again = np.flatnonzero(repeated & (side == one))
        fresh = np.flatnonzero((side == one) & ~repeated & carries)
        if not len(again) or not len(fresh):
            continue
        starts, earliest = np.unique(sequence[fresh], return_index=True)
        at = np.searchsorted(starts, sequence[again], "right") - 1
        found = fresh[earliest[np.maximum(at, 0)]]
        length = np.maximum(columns["payload"][found], 1)
        fits = (at >= 0) & (found < again) & (sequence[found] + length > sequence[again])
        first[again[fits]] = found[fits]
    return first


def compiled() -> None:
    """Compile the loop over options, or load it from the cache."""
    tcp_options(np.zeros(1, np.uint8), np.zeros(0, PACKET), np.zeros(0, TCP_OPTIONS))
