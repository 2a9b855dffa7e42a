"""Queries over a capture file -> the tables of packets and sessions that answer them, batch by batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from capture.analysis.packets.reading import Batch, CaptureFile
from capture.analysis.query.conditions import Filter
from capture.analysis.query.sorting import Spool, sort_key
from capture.analysis.sessions.tracker import QUESTIONS_MAX, Tracker
from capture.analysis.streams.followed import no_such_session
from capture.arrays.aliases import Table
from capture.arrays.rows import picked
from capture.errors import FormatError
from capture.units import format_count


def ended_sessions(
    file: CaptureFile,
    batches: Iterable[Batch],
    across_interfaces: bool,
    damage: list[FormatError],
    notes: list[str] | None = None,
) -> Iterator[tuple[Table, Table]]:
    """Return pairs (sessions that ended, samples) while the file is read.

    `batches` are those of `file`. An error in the file ends reading, and is appended to `damage`. `notes` gets
    sentences about the file at its end. Raises FormatError if no packet of the file could be read.
    """
    tracker = Tracker(by_interface=not across_interfaces)
    try:
        for batch in batches:
            yield from tracker.feed(batch.data, batch.packets)
    except FormatError as error:
        if not file.packets:
            raise
        damage.append(error)
    yield from tracker.finish()
    if notes is not None:
        notes += notes_of(file.name, tracker)


def notes_of(name: str, tracker: Tracker) -> list[str]:
    """Return what a reader of the file `name` must know: sentences, none for most files."""
    notes = []
    if count := tracker.disordered:
        stand = format_count(count, "packet stands", "packets stand")
        notes.append(f"{name}: {stand} behind younger ones, so the file is not in order of time")
    if count := tracker.no_ports:
        are = format_count(count, "packet is", "packets are")
        notes.append(f"{name}: {are} in no session: ports were cut off, or are in a fragment that is not there")
    if count := tracker.forgotten:
        were = format_count(count, "question was", "questions were")
        notes.append(f"{name}: {were} not followed: more than {QUESTIONS_MAX:,} waited for an answer at a time")
    return notes


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Sessions to show, their order and their number. Without an order they come as they end."""

    conditions: tuple[Filter, ...] = ()
    order: tuple[str, bool] | None = None
    count: int | None = None

    @classmethod
    def parse(cls, conditions: Sequence[str], order: str, count: int | None) -> "SessionQuery":
        """Read conditions like bytes>1MiB, and a column, -COLUMN or "none" to order by. Raises SpecError."""
        return cls(tuple(Filter(text) for text in conditions), None if order == "none" else sort_key(order), count)

    def of(self, ended: Iterable[tuple[Table, Table]]) -> Iterator[Table]:
        """Return tables of the chosen ones of `ended_sessions`. Raises SinkError if there is no room to sort."""
        return first_rows(self._ordered(self._chosen(ended)), self.count)

    def _chosen(self, ended: Iterable[tuple[Table, Table]]) -> Iterator[Table]:
        for table, _ in ended:
            for condition in self.conditions:
                table = picked(table, condition(table))
            if len(table):
                yield table

    def _ordered(self, tables: Iterable[Table]) -> Iterator[Table]:
        if self.order is None:
            yield from tables
            return
        with Spool(*self.order) as spool:
            for table in tables:
                spool.add(table)
            yield from spool.in_order()


def packets_of(
    batches: Iterable[Batch], sessions: Sequence[int], across_interfaces: bool, count: int | None = None
) -> Iterator[Table]:
    """Return at most `count` packets with their session numbers: of these sessions, or of all if there are none.

    Raises SpecError at the end if the file has no such session.
    """
    return first_rows(_packets_of(batches, sessions, across_interfaces), count)


def _packets_of(batches: Iterable[Batch], sessions: Sequence[int], across_interfaces: bool) -> Iterator[Table]:
    tracker, missing, number = Tracker(by_interface=not across_interfaces), set(sessions), 0
    for batch in batches:
        for _ in tracker.feed(batch.data, batch.packets):
            pass
        packets = batch.packets
        if sessions:
            number = max(number, int(packets["session"].max()))
            packets = picked(packets, np.isin(packets["session"], sessions))
            missing -= set(packets["session"].tolist())
        if len(packets):
            yield packets
    if missing:
        raise no_such_session(", ".join(map(str, sorted(missing))), number)


def first_rows(tables: Iterable[Table], count: int | None) -> Iterator[Table]:
    """Return the first `count` rows of these tables, or all. No table after the last row is read."""
    left = count
    for table in tables:
        yield table if left is None else table[:left]
        if left is not None:
            left -= len(table)
            if left <= 0:
                return
