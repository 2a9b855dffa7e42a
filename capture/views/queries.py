"""Queries over a capture file -> the tables of packets and sessions that answer them, batch by batch."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capture.analysis.packets.reading import Batch
from capture.analysis.packets.several import CaptureSource
from capture.analysis.query.columns import APPLICATION
from capture.analysis.query.conditions import Filter
from capture.analysis.query.sorting import Spool, sort_key
from capture.analysis.sessions.notes import notes_of
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Mask, Table
from capture.arrays.rows import picked
from capture.errors import FormatError

if TYPE_CHECKING:
    from capture.analysis.application.session_fields import Applications
    from capture.analysis.packets.packet_filter import PacketFilter  # loads libpcap, which few queries need


def applications_for(columns: Iterable[str]) -> "Applications | None":
    """Return what reads the application fields, None if none of the columns needs them."""
    if frozenset(columns).isdisjoint(APPLICATION):
        return None
    from capture.analysis.application.session_fields import Applications

    return Applications()


def ended_sessions(
    capture: CaptureSource,
    batches: Iterable[Batch],
    across_interfaces: bool,
    damage: list[FormatError],
    only: Mask | None = None,
    applications: "Applications | None" = None,
    notes: list[str] | None = None,
) -> Iterator[tuple[Table, Table]]:
    """Return pairs (sessions that ended, samples) while a capture is read.

    `batches` are those of `capture`, `only` [session number] is true for the sessions to return. The application
    fields are filled by `applications`. An error in a file ends reading it, and is appended to `damage`. `notes` gets
    sentences about the capture at its end. Raises FormatError if no packet could be read.
    """
    for sessions, samples in _all_ended(capture, batches, across_interfaces, damage, applications, notes):
        if only is not None:
            sessions, samples = picked(sessions, only[sessions["session"]]), samples[only[samples["session"]]]
        yield sessions, samples


def _all_ended(
    capture: CaptureSource,
    batches: Iterable[Batch],
    across_interfaces: bool,
    damage: list[FormatError],
    applications: "Applications | None",
    notes: list[str] | None,
) -> Iterator[tuple[Table, Table]]:
    tracker = Tracker(by_interface=not across_interfaces)

    def filled(ended: Iterable[tuple[Table, Table]], batch: Batch | None) -> Iterable[tuple[Table, Table]]:
        if applications is None:
            return ended
        ended = list(ended)  # so that all packets of the batch have their sessions
        if batch is not None:
            applications.add(batch)
        for sessions, _ in ended:
            applications.fill(sessions)
        return ended

    try:
        for batch in batches:
            yield from filled(tracker.feed(batch.data, batch.packets), batch)
    except FormatError as error:
        if not capture.packets:
            raise
        damage.append(error)
    for ended in tracker.finish():
        yield from filled([ended], None)
    if notes is not None:
        notes += notes_of(capture.name, tracker)


def sessions_with(
    capture: CaptureSource, batches: Iterable[Batch], expression: "PacketFilter", across_interfaces: bool
) -> Mask:
    """Return a mask [session number] of the sessions of a capture of which a packet matches. Raises FilterError."""
    matched = np.zeros(1 << 10, np.bool_)
    tracker = Tracker(by_interface=not across_interfaces)
    with suppress(FormatError):  # the next reading reports it
        for batch in batches:
            for _ in tracker.feed(batch.data, batch.packets):
                pass
            numbers = batch.packets["session"]
            while int(numbers.max()) >= len(matched):
                matched = np.concatenate([matched, np.zeros_like(matched)])
            matched[numbers[expression.accepted(batch, capture.description.interfaces)]] = True
    matched[0] = False  # packets without a session
    return matched


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

    @property
    def columns(self) -> set[str]:
        """Names of the columns that it compares and sorts by."""
        return {condition.column for condition in self.conditions} | ({self.order[0]} if self.order else set())

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


def first_rows(tables: Iterable[Table], count: int | None) -> Iterator[Table]:
    """Return the first `count` rows of these tables, or all. No table after the last row is read."""
    left = count
    for table in tables:
        yield table if left is None else table[:left]
        if left is not None:
            left -= len(table)
            if left <= 0:
                return
