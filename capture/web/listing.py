"""Conditions, an order and a grouping -> the list of sessions that the page shows, by windows.

A condition is one of `bicap sessions --filter`; in the page an address may also be written by its name in the file,
with a port behind it. The list is made again when the capture has grown.
"""

import re
import shlex
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from capture.analysis.query.columns import COLUMNS
from capture.analysis.query.conditions import Filter
from capture.analysis.query.names import endpoints
from capture.analysis.query.sorting import sort_key
from capture.arrays.aliases import Longs, Mask, Table
from capture.arrays.cells import lines
from capture.arrays.rows import alike, picked
from capture.errors import SpecError
from capture.web.opened import Opened
from capture.web.page_rows import session_rows
from capture.web.short_verdicts import KINDS, kinds, troubled
from capture.wire.addresses import Names

GROUPINGS = ("none", "server", "client", "verdict")
_LISTS = 8
_GROUPS_MAX = 2000
_WHEN_BINS = 96
_NAMED = re.compile(r"\s*(client|server|address)\s*(!?=)\s*(.+?)\s*")


def split_conditions(text: str) -> list[str]:
    """Return the conditions in a line of them; quotes hold spaces together. Raises SpecError."""
    try:
        return shlex.split(text)
    except ValueError:
        raise SpecError(f"filter {text!r}: a quote has no end") from None


def as_filters(text: str, names: Names) -> list[str]:
    """Return the condition as one or more of --filter, with an address in place of its name. Raises SpecError."""
    match = _NAMED.fullmatch(text)
    if match is None:
        return [text]
    column, sign, value = match.groups()
    name, _, port = value.rpartition(":")
    for candidate, behind in ((value, ""), (name, port)):
        found = [str(address) for address, known in list(names.items()) if known == candidate]
        if found and (not behind or behind.isdecimal()):
            place = f"{column}{sign}{found[0]}"
            return (
                [place, f"{'port' if column == 'address' else column + '_port'}{sign}{behind}"] if behind else [place]
            )
    return [text]


@dataclass(slots=True)
class RowGroup:
    """A group of the list: `start` is the index of its first session in the order."""

    name: str
    start: int
    count: int
    bad: int
    packets: tuple[int, int]
    bytes: tuple[int, int]
    again: int
    verdicts: list[tuple[str, int]]
    when: list[int]
    """By bin of the file's time: 0 nothing, 1 sessions, 2 sessions in trouble."""


@dataclass(slots=True)
class Listing:
    """Numbers of sessions in the order shown, groups, and what each condition hides."""

    version: int
    order: Longs
    total: int
    hidden: list[tuple[str, int]] = field(default_factory=list)
    groups: list[RowGroup] = field(default_factory=list)


class Listings:
    """Lists of one capture; the last few are kept."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._kept: OrderedDict[tuple[str, str, str], Listing] = OrderedDict()

    def get(self, conditions: str, order: str, grouping: str) -> Listing:
        """Return the list for a line of conditions, a column and a grouping. Raises SpecError."""
        if grouping not in GROUPINGS:
            raise SpecError(f"group {grouping!r} is not known; groups are {', '.join(GROUPINGS)}")
        key = conditions, order, grouping
        kept = self._kept.get(key)
        if kept is not None and kept.version == self._opened.version:
            self._kept.move_to_end(key)
            return kept
        made = self._make(conditions, order, grouping)
        self._kept[key] = made
        while len(self._kept) > _LISTS:
            self._kept.popitem(last=False)
        return made

    def window(self, listing: Listing, start: int, count: int) -> list[dict[str, Any]]:
        """Return the rows at these places of the order."""
        return session_rows(self._opened, listing.order[max(start, 0) : max(start, 0) + count])

    def _make(self, conditions: str, order: str, grouping: str) -> Listing:
        opened = self._opened
        version = opened.version
        table = opened.sessions.rows
        left: Mask = table["session"] > 0
        total = int(left.sum())
        hidden = []
        for text in split_conditions(conditions):
            before = int(left.sum())
            try:
                mask = np.logical_and.reduce(
                    [Filter(one)(table) for one in as_filters(text, opened.description.names)]
                )
            except SpecError as error:
                raise SpecError(str(error).replace("--filter ", "")) from None
            left = left & mask
            match = re.match(r"\s*(\w+)", text)
            hidden.append((match[1] if match else text, before - int(left.sum())))
        at = np.flatnonzero(left)
        column, falling = sort_key(order)
        keys = np.asarray(COLUMNS[column](table))[at].astype(np.int64)
        at = at[np.lexsort((at, -keys if falling else keys))]
        listing = Listing(version, at + 1, total, hidden)
        if grouping != "none" and len(at):
            _group(listing, table, grouping, opened)
        return listing


def _group(listing: Listing, table: Table, grouping: str, opened: Opened) -> None:
    """Put the order into groups, those with most trouble first."""
    at = listing.order - 1
    rows = picked(table, at)
    if grouping == "verdict":
        keys = np.unique(kinds(rows), return_inverse=True)[1]
    else:
        columns = [rows[name].astype(np.int64) for name in ("family", f"{grouping}_high", f"{grouping}_low")]
        columns += [rows["server_port"].astype(np.int64)] if grouping == "server" else []
        keys = alike(*columns)[1]
    bad = troubled(rows)
    count, wrong = np.bincount(keys), np.bincount(keys, bad)
    rank = np.lexsort((np.arange(len(count)), -count, -wrong))
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    order = np.argsort(place[keys], kind="stable")
    listing.order = listing.order[order]
    rows, bad, keys = picked(rows, order), bad[order], keys[order]
    names = opened.description.names
    start, span = 0, max(opened.last_ns - opened.first_ns, 1)
    for number in rank[:_GROUPS_MAX].tolist():
        end = start + int(count[number])
        mine, trouble = rows[start:end], bad[start:end]
        if grouping == "verdict":
            name = KINDS[int(kinds(mine[:1])[0])]
        else:
            name = lines(endpoints(mine[:1], grouping, names))[0]
            name = name if grouping == "server" else name.rsplit(":", 1)[0]
        found, many = np.unique(kinds(mine[trouble]), return_counts=True)
        tally = sorted(
            zip((KINDS[one] for one in found.tolist()), many.tolist(), strict=True), key=lambda one: -one[1]
        )
        listing.groups.append(
            RowGroup(
                name, start, end - start, int(trouble.sum()),
                _sums(mine, "packets"), _sums(mine, "bytes"), sum(_sums(mine, "retransmitted")),
                tally[:3], _when(mine, trouble, opened.first_ns, span),
            )
        )  # fmt: skip
        start = end


def _sums(rows: Table, name: str) -> tuple[int, int]:
    return int(rows["client"][name].sum(dtype=np.int64)), int(rows["server"][name].sum(dtype=np.int64))


def _when(rows: Table, bad: Mask, first_ns: int, span: int) -> list[int]:
    covered = np.zeros(_WHEN_BINS + 1, np.int64), np.zeros(_WHEN_BINS + 1, np.int64)
    low = np.clip((rows["first_ns"] - first_ns) * _WHEN_BINS // span, 0, _WHEN_BINS - 1)
    high = np.clip((rows["last_ns"] - first_ns) * _WHEN_BINS // span, 0, _WHEN_BINS - 1)
    for line, chosen in zip(covered, (slice(None), bad), strict=True):
        np.add.at(line, low[chosen], 1)
        np.add.at(line, high[chosen] + 1, -1)
    every, wrong = (np.cumsum(line)[:_WHEN_BINS] > 0 for line in covered)
    states: list[int] = (every.astype(int) + wrong.astype(int)).tolist()
    return states
