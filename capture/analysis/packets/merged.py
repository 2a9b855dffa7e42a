"""Captures -> batches as if they were one file, merged by time.

Each capture is read in its own order; the key of a packet is the latest time of its capture so far, so packets that a
capture has out of order stay as they are. With a batch of each capture in hand, all packets up to the earliest of the
batches' last keys are complete: nothing older can come. They are sorted, and become one batch. The capture with that
key is then used up, so each round makes progress. A capture is opened when the merge has come to its first packet.

Bytes are copied once, and only where captures overlap in time. Packets are numbered in the merged order. The name of
an interface is that of its capture, a slash, and its own: captures are different points even if their interfaces have
one name.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import TracebackType

import numpy as np

from capture.analysis.packets.capture_parts import Parts, captures_of, files_of, name_of
from capture.analysis.packets.gathered import Gathered, Numbering
from capture.analysis.packets.reading import Batch, CaptureFile
from capture.analysis.packets.several import CaptureSource, Several, open_parts
from capture.arrays.aliases import Longs
from capture.errors import FormatError
from capture.pcapng.describe import InterfaceDescription

_EARLIEST = int(np.iinfo(np.int64).min)


def open_captures(words: Sequence[str], inner: bool = False) -> CaptureSource:
    """Return the captures that words of a command line name, as one. Raises TargetError."""
    captures = captures_of(files_of(words))
    return open_parts(captures[0], inner) if len(captures) == 1 else MergedCaptures(captures, inner)


class MergedCaptures(Several):
    """Captures merged by time."""

    def __init__(self, captures: Sequence[Parts], inner: bool = False) -> None:
        super().__init__(", ".join(map(name_of, captures)), [file for parts in captures for file in parts])
        names = [name_of(parts) for parts in captures]
        short = [os.path.basename(name) for name in names]
        labels = short if len(set(short)) == len(short) else names
        self._waiting = [
            _Source(parts, inner, label, self.description) for parts, label in zip(captures, labels, strict=True)
        ]
        self._waiting.sort(key=lambda source: source.first_ns, reverse=True)
        self._begun: list[_Source] = []

    def __enter__(self) -> "MergedCaptures":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for source in self._begun:
            source.capture.__exit__(kind, error, trace)

    @property
    def position(self) -> int:
        """Bytes that were read so far."""
        return sum(source.position for source in self._begun)

    def __iter__(self) -> Iterator[Batch]:
        live: list[_Source] = []
        while self._waiting or live:
            until = min((source.last_ns for source in live), default=None)
            while self._waiting and (until is None or self._waiting[-1].first_ns <= until):
                source = self._waiting.pop()
                source.open()
                self._begun.append(source)
                if self._filled(source):
                    live.append(source)
                    until = source.last_ns if until is None else min(until, source.last_ns)
            if until is not None:
                batch = _merged([source.taken(until) for source in live])
                batch.packets["number"] = np.arange(self.packets + 1, self.packets + 1 + len(batch.packets))
                self.packets += len(batch.packets)
                yield batch
            live = [source for source in live if self._filled(source)]
        self._raise_damage()

    def _filled(self, source: "_Source") -> bool:
        try:
            return source.fill()
        except FormatError as error:
            self._damage.append(error)
            return False


class _Source:
    """A capture that is merged with others, and the rest of its present batch."""

    capture: CaptureSource

    def __init__(self, parts: Parts, inner: bool, label: str, gathered: Gathered) -> None:
        self._parts, self._inner, self._label, self._gathered = parts, inner, label, gathered
        self._keys: Longs = np.zeros(0, np.int64)
        self._at, self._newest_ns = 0, _EARLIEST
        self._ended = False
        self.first_ns = _first_ns(parts)

    def open(self) -> None:
        """Open the capture. Raises TargetError."""
        self.capture = open_parts(self._parts, self._inner)
        self._numbering = Numbering(self._gathered, self.capture.description, self._renamed)
        self._batches = iter(self.capture)

    def _renamed(self, interface: InterfaceDescription, number: int) -> InterfaceDescription:
        return replace(interface, name=f"{self._label}/{interface.name or number}")

    @property
    def position(self) -> int:
        """Bytes that were read so far."""
        return (self.capture.size or 0) if self._ended else self.capture.position

    @property
    def last_ns(self) -> int:
        """Key of the last packet of the present batch."""
        return int(self._keys[-1])

    def fill(self) -> bool:
        """Read the next batch if the present one is used up; return False at the end. Raises FormatError."""
        if self._at < len(self._keys):
            return True
        self._ended = True  # unless there is another batch
        for batch in self._batches:
            self._ended = False
            self._numbering.replace(batch.packets)
            self._batch = batch
            self._keys = np.maximum(np.maximum.accumulate(batch.packets["time_ns"]), self._newest_ns)
            self._newest_ns, self._at = self.last_ns, 0
            return True
        self.capture.__exit__(None, None, None)
        return False

    def taken(self, until_ns: int) -> tuple[Batch, Longs]:
        """Return the next packets up to a key, and their keys."""
        end = int(np.searchsorted(self._keys, until_ns, "right"))
        rows, keys = self._batch.packets[self._at : end], self._keys[self._at : end]
        self._at = end
        return Batch(self._batch.data, rows), keys


def _first_ns(parts: Parts) -> int:
    """Return the time of the first packet, ns; the earliest possible if it cannot be known before reading."""
    for file in parts:
        if not os.path.isfile(file):
            break
        try:
            with CaptureFile(file, decoded=False) as capture:
                for batch in capture:
                    return int(batch.packets["time_ns"][0])
        except FormatError:
            break
    return _EARLIEST


def _merged(taken: Sequence[tuple[Batch, Longs]]) -> Batch:
    """Return the packets of several batches as one, by their keys; of equal keys the first batch's come first."""
    taken = [(batch, keys) for batch, keys in taken if len(keys)]
    if len(taken) == 1:
        return taken[0][0]
    pieces, tables, filled = [], [], 0
    for batch, _ in taken:
        rows = batch.packets.copy()
        start = int(rows["offset"].min())
        pieces.append(batch.data[start : int((rows["offset"] + rows["captured"]).max())])
        rows["offset"] += filled - start
        tables.append(rows)
        filled += len(pieces[-1])
    order = np.argsort(np.concatenate([keys for _, keys in taken]), kind="stable")
    return Batch(np.concatenate(pieces), np.concatenate(tables)[order])
