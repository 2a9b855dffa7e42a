"""Packets and ended sessions of captures -> sums by interface, protocol, host and service, and the largest sessions.

Memory is bounded: hosts and services beyond MOST are summed up as one.
"""

import heapq
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from capture.analysis.overview.throughput import Throughput
from capture.analysis.sessions.session_table import SIDES, records
from capture.arrays.aliases import Longs, Table
from capture.arrays.rows import alike, picked

MOST = 1 << 16
"""Hosts and services that are counted each for itself, at most."""
_LARGEST = 100
"""Sessions that are kept, at most."""

Key = TypeVar("Key", bound=Hashable)
Host = tuple[int, int, int]
"""Family, and the two halves of the address."""
Service = tuple[int, int, int, int, int]
"""Protocol, the server's host, and its port."""


@dataclass(slots=True)
class Sum:
    """Packets and bytes; of a host those that it sent, and `received`, of a service both directions."""

    sessions: int = 0
    packets: int = 0
    bytes: int = 0
    received: int = 0


@dataclass(slots=True)
class Sums(Generic[Key]):
    """Sums by key, up to MOST keys; those of all others are in `rest`."""

    by_key: dict[Key, Sum] = field(default_factory=dict)
    rest: Sum = field(default_factory=Sum)

    def of(self, key: Key) -> Sum:
        """Return the sum of a key, to be added to."""
        found = self.by_key.get(key)
        if found is None:
            if len(self.by_key) == MOST:
                return self.rest
            found = self.by_key[key] = Sum()
        return found

    def largest(self, count: int) -> list[tuple[Key, Sum]]:
        """Return the keys with most bytes, sent and received, the largest first."""
        return heapq.nlargest(count, self.by_key.items(), key=lambda one: one[1].bytes + one[1].received)


class Totals:
    """Sums of captures: give each batch to `add_packets`, and each table of ended sessions to `add_sessions`."""

    def __init__(self) -> None:
        self.packets = self.bytes = self.unordered = self.sessions = 0
        self.first_ns = self.last_ns = 0
        self.interfaces: defaultdict[int, Sum] = defaultdict(Sum)
        self.protocols: defaultdict[int | None, Sum] = defaultdict(Sum)
        """By number; None: packets that are not IP."""
        self.hosts: Sums[Host] = Sums()
        self.services: Sums[Service] = Sums()
        self.throughput = Throughput()
        self._largest: list[tuple[int, int, Any]] = []

    def add_packets(self, packets: Table) -> None:
        """Add a batch."""
        times, sizes = packets["time_ns"], packets["original"].astype(np.int64)
        if not self.packets:
            self.first_ns = self.last_ns = int(times[0])
        newest = np.maximum.accumulate(np.concatenate([[self.last_ns], times]))
        self.unordered += int((times < newest[:-1]).sum())
        self.first_ns, self.last_ns = min(self.first_ns, int(times.min())), int(newest[-1])
        self.packets += len(packets)
        self.bytes += int(sizes.sum())
        self.throughput.add(times, sizes)
        for (interface,), rows in _groups(packets["interface"]):
            _add(self.interfaces[interface], len(rows), int(sizes[rows].sum()))
        no_ip = packets["family"] == 0
        for (protocol,), rows in _groups(np.where(no_ip, -1, packets["protocol"].astype(np.int64))):
            _add(self.protocols[protocol if protocol >= 0 else None], len(rows), int(sizes[rows].sum()))

    def add_sessions(self, sessions: Table) -> None:
        """Add sessions that ended."""
        if not len(sessions):
            return
        self.sessions += len(sessions)
        both = {name: sessions["client"][name] + sessions["server"][name] for name in ("packets", "bytes")}
        for (protocol,), rows in _groups(sessions["protocol"]):
            self.protocols[protocol].sessions += len(rows)
        for (interface,), rows in _groups(sessions["interface"]):
            self.interfaces[interface].sessions += len(rows)
        for side, other in (SIDES, SIDES[::-1]):
            for key, rows in _groups(sessions["family"], sessions[f"{side}_high"], sessions[f"{side}_low"]):
                host = self.hosts.of((key[0], key[1], key[2]))
                host.sessions += len(rows)
                host.packets += int(sessions[side]["packets"][rows].sum())
                host.bytes += int(sessions[side]["bytes"][rows].sum())
                host.received += int(sessions[other]["bytes"][rows].sum())
        place = [sessions[name] for name in ("protocol", "family", "server_high", "server_low", "server_port")]
        for key, rows in _groups(*place):
            service = self.services.of((key[0], key[1], key[2], key[3], key[4]))
            service.sessions += len(rows)
            _add(service, int(both["packets"][rows].sum()), int(both["bytes"][rows].sum()))
        chosen = np.argsort(-both["bytes"], kind="stable")[:_LARGEST]
        for size, session in zip(both["bytes"][chosen].tolist(), records(picked(sessions, chosen)), strict=True):
            entry = (size, -session.session, session)
            if len(self._largest) < _LARGEST:
                heapq.heappush(self._largest, entry)
            elif entry > self._largest[0]:
                heapq.heapreplace(self._largest, entry)

    def largest(self, count: int) -> list[Any]:
        """Return up to _LARGEST sessions with most bytes (session_table.records), the largest first."""
        return [session for _, _, session in heapq.nlargest(count, self._largest)]


def _add(total: Sum, packets: int, size: int) -> None:
    total.packets += packets
    total.bytes += size


def _groups(*columns: Longs) -> Iterator[tuple[tuple[int, ...], Longs]]:
    """Return pairs (values of these columns, indices of the rows that have them)."""
    distinct, which = alike(*columns)
    order, ends = np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))
    yield from zip(distinct, np.split(order, ends[:-1]), strict=True)
