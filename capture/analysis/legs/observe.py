"""Capture files -> observations, in PARTS files that are each small enough to be sorted in memory.

A point is an interface of a file. An observation is a packet at a point. All observations of one packet go into the
same file, even if addresses were translated between points. The packets must be those inside tunnels (CaptureFile,
`inner`).
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from capture.analysis.legs.compiled.fingerprint import fingerprints, hosts
from capture.analysis.legs.proofs import DropProofs, Proven
from capture.analysis.packets.events import is_of_events
from capture.analysis.packets.packet_table import Kind
from capture.analysis.packets.reading import Batch
from capture.analysis.sessions.notes import notes_of
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Table
from capture.arrays.scratch import Scratch
from capture.errors import SpecError
from capture.pcapng.describe import Description
from capture.wire.drop_reasons import KernelReason

PARTS = 64
"""Files of observations."""
POINTS_MAX = 8

OBSERVATION = np.dtype(
    [
        ("strict", "i8"),  # fingerprints
        ("loose", "i8"),
        ("time_ns", "i8"),
        ("number", "i8"),  # of the packet in its file
        ("session", "i8"),  # in its file
        ("hosts", "i8"),  # hash of client and server addresses and server port, as this point sees them
        ("sequence", "u4"),
        ("payload", "u4"),
        ("point", "u1"),
        ("side", "u1"),
        ("protocol", "u1"),
    ],
    align=True,
)
_COLUMNS = ("time_ns", "number", "session", "sequence", "payload", "side", "protocol")


@dataclass(frozen=True, slots=True)
class Point:
    """A place where packets were captured; `file` is an index into the list of files."""

    file: int
    interface: int
    name: str


def _of_packets(batch: Batch) -> Batch:
    """Return a batch without the events of the kernel, which passed no point."""
    events = (batch.packets["kind"] & int(Kind.EVENT)) != 0
    return Batch(batch.data, batch.packets[~events]) if events.any() else batch


class Observations:
    """Observations of several files. Add files one after the other, then read `parts`."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.spans: list[tuple[int, int]] = []
        """Time of the first and last packet of each file, ns by its own clock; (0, -1) without packets."""
        self.sessions: list[int] = []
        """Number of sessions in each file."""
        self.notes: list[str] = []
        """Sentences about the files that a reader must know."""
        self.left_out = 0
        """Packets without a fingerprint: not IP, headers cut off, or multicast."""
        self._seed = secrets.randbits(62)
        self.has_reasons = False
        """True if a file has the kernel's reasons: then a loss without one is unknown."""
        self._proofs = DropProofs(self._seed)
        self._parts = [Scratch(OBSERVATION) for _ in range(PARTS)]

    def __enter__(self) -> "Observations":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._parts:
            part.close()

    def add(self, name: str, batches: Iterable[Batch], description: Description) -> None:
        """Add all packets of a file. Raises SpecError for too many interfaces, and what `batches` raises."""
        file, tracker, known = len(self.spans), Tracker(), dict[int, int]()
        first, last = 0, -1
        self.spans.append((first, last))
        self.sessions.append(0)
        for whole in batches:
            self._proofs.add(file, whole)
            batch = _of_packets(whole)
            packets = batch.packets
            if not len(packets):
                continue
            for _ in tracker.feed(batch.data, packets):
                pass
            times = packets["time_ns"]
            first = int(times.min()) if last < first else min(first, int(times.min()))
            last = max(last, int(times.max()))
            self.spans[file] = first, last
            self.sessions[file] = max(self.sessions[file], int(packets["session"].max()))
            for interface in np.unique(packets["interface"]).tolist():
                if interface not in known:
                    known[interface] = self._point(file, name, interface, description)
            self._write(batch, known)
        self.has_reasons |= any(map(is_of_events, description.interfaces))
        self.notes += notes_of(name, tracker)

    def proven(self) -> Proven:
        """Return the kernel's reasons of packets that it dropped."""
        found: dict[tuple[int, int], KernelReason] = {}
        files = [point.file for point in self.points]
        if self.has_reasons:
            for part in self.parts():
                found |= self._proofs.of(part, files)
        return found

    def _point(self, file: int, name: str, interface: int, description: Description) -> int:
        if len(self.points) == POINTS_MAX:
            raise SpecError(
                f"{name} has too many interfaces with packets: at most {POINTS_MAX} in all files together can be "
                "compared; leave some out, for example with tshark -Y"
            )
        label = description.interfaces[interface].name or f"interface {interface}"
        self.points.append(Point(file, interface, label))
        return len(self.points) - 1

    def _write(self, batch: Batch, known: dict[int, int]) -> None:
        packets = batch.packets
        rows = np.zeros(len(packets), OBSERVATION)
        strict, loose = np.empty(len(packets), np.int64), np.empty(len(packets), np.int64)
        fingerprints(batch.data, packets, self._seed, strict, loose)
        hosts(packets, self._seed, rows["hosts"])
        for column in _COLUMNS:
            rows[column] = packets[column]
        rows["strict"], rows["loose"] = strict, loose
        places = np.zeros(max(known) + 1, np.uint8)
        places[list(known)] = list(known.values())
        rows["point"] = places[packets["interface"]]
        rows = rows[loose != 0]
        self.left_out += len(packets) - len(rows)
        part = rows["loose"] & (PARTS - 1)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=PARTS))
        for number, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
            if end > start:
                self._parts[number].add(rows[order[start:end]])

    def parts(self) -> Iterator[Table]:
        """Return tables of observations; all observations of a packet are in the same table."""
        for part in self._parts:
            yield from part.chunks(-1)
