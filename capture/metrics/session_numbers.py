"""Packets of a running capture -> counts of its sessions and histograms of its latencies, with bounded labels.

Counters must not go back, and verdicts may change while a session goes on. So a session is counted once, with the
verdict that it has SETTLED_NS after it began, or at its end if that comes first. Sessions are numbered in the order
of their first packets: those that are counted are all up to one number, and nothing is kept for each of them.
"""

from collections import Counter, deque
from collections.abc import Sequence

import msgspec
import numpy as np

from capture.analysis.packets.packet_table import Mark
from capture.analysis.packets.reading import Batch
from capture.analysis.query.names import CLOSES, HANDSHAKES
from capture.analysis.sessions.session_table import SIDES, Close, Handshake, Measure
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Longs, Table
from capture.metrics.bounded_labels import INTERFACES_MAX, OTHERS
from capture.pcapng.describe import InterfaceDescription
from capture.wire.protocols import PROTOCOLS, TCP, protocol_name

SETTLED_NS = 10 * 10**9
"""Age at which the verdict on a session's handshake is counted, ns: by then a SYN was sent four times (RFC 6298)."""
BOUNDS_SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram's buckets, seconds; one more bucket has what is longer."""
_BOUNDS_NS = np.array([round(bound * 1e9) for bound in BOUNDS_SECONDS])
ROUND_TRIPS = (Measure.HANDSHAKE, Measure.ACKNOWLEDGMENT, Measure.ECHO)
RESPONSES = (Measure.FIRST_BYTE, Measure.LAST_BYTE, Measure.DNS)
"""Measures that have histograms; the others are further forms of the same round trips."""


class LabelledCount(msgspec.Struct, frozen=True):
    """A counter's value."""

    labels: tuple[str, ...]
    count: int


class LabelledDurations(msgspec.Struct, frozen=True):
    """A histogram: number of durations in each bucket alone, and the sum of all, seconds."""

    labels: tuple[str, ...]
    buckets: list[int]
    sum_seconds: float


class SessionNumbers(msgspec.Struct, frozen=True):
    """What a page says about sessions; labels are interface first, then as named."""

    packets: int
    """Packets that were looked at so far."""
    unread_files: int
    """Files that were removed before they were read to their end, or are damaged."""
    open: int
    """Sessions that have not ended."""
    sessions: list[LabelledCount]
    """By protocol and handshake."""
    closed: list[LabelledCount]
    """By protocol and close."""
    retransmitted: list[LabelledCount]
    """Packets of TCP, by side."""
    round_trips: list[LabelledDurations]
    """By measure and side."""
    responses: list[LabelledDurations]
    """By measure and side."""


class SessionCounts:
    """The counts so far. `feed` packets, `look` now and then, and read `numbers`."""

    def __init__(self, interfaces: Sequence[InterfaceDescription]) -> None:
        self._interfaces, self._tracker = interfaces, Tracker()
        self.packets = self.unread_files = 0
        self._settled = 0
        """Number of the last session that was counted."""
        self._begun: deque[tuple[int, int]] = deque()
        """Times, ns, and the number of sessions then, for those that are not counted yet."""
        self._sessions: Counter[tuple[str, ...]] = Counter()
        self._closed: Counter[tuple[str, ...]] = Counter()
        self._retransmitted: Counter[tuple[str, ...]] = Counter()
        self._durations: dict[tuple[int, Measure, int], tuple[Longs, list[float]]] = {}
        self._interface_of: dict[int, int] = {}
        """Interface of each session that had packets since the last look: samples are about these."""

    def feed(self, batch: Batch) -> None:
        """Add packets, whose interfaces are numbered as in the list."""
        packets = batch.packets
        ended = list(self._tracker.feed(batch.data, packets))
        self.packets += len(packets)
        sessions, first = np.unique(packets["session"], return_index=True)
        self._interface_of.update(zip(sessions.tolist(), packets["interface"][first].tolist(), strict=True))
        again = packets[(packets["marks"] & Mark.REPEATED > 0) & (packets["protocol"] == TCP)]
        for (interface, side), count in _counted(again["interface"], again["side"]):
            self._retransmitted[self._label(interface), SIDES[side]] += count
        if self._tracker.sessions > (self._begun[-1][1] if self._begun else self._settled):
            self._begun.append((int(packets["time_ns"][-1]), self._tracker.sessions))
        for sessions_ended, samples in ended:
            self._add(sessions_ended, samples)

    def look(self, now_ns: int) -> None:
        """Count what has become certain; `now_ns` is the wall clock, or the time of the last packet."""
        for sessions, samples in self._tracker.ended_so_far():
            self._add(sessions, samples)
        self._interface_of.clear()
        settled = self._settled
        while self._begun and self._begun[0][0] < now_ns - SETTLED_NS:
            settled = self._begun.popleft()[1]
        if settled > self._settled:
            rows = self._tracker.open_sessions(after=self._settled, until=settled)
            self._count_verdicts(rows)
            self._settled = settled

    def numbers(self) -> SessionNumbers:
        """Return the numbers of now."""
        return SessionNumbers(
            packets=self.packets,
            unread_files=self.unread_files,
            open=self._tracker.open,
            sessions=_listed(self._sessions),
            closed=_listed(self._closed),
            retransmitted=_listed(self._retransmitted),
            round_trips=self._histograms(ROUND_TRIPS),
            responses=self._histograms(RESPONSES),
        )

    def _histograms(self, measures: Sequence[Measure]) -> list[LabelledDurations]:
        return [
            LabelledDurations((self._label(interface), measure.name.lower(), SIDES[side]), counts.tolist(), total[0])
            for (interface, measure, side), (counts, total) in self._durations.items()
            if measure in measures
        ]

    def _add(self, sessions: Table, samples: Table) -> None:
        if len(sessions):
            self._interface_of.update(zip(sessions["session"].tolist(), sessions["interface"].tolist(), strict=True))
            for (interface, protocol, close), count in _counted(
                sessions["interface"], sessions["protocol"], sessions["close"]
            ):
                self._closed[self._label(interface), _protocol(protocol), CLOSES[Close(close)]] += count
            self._count_verdicts(sessions[sessions["session"] > self._settled])
        chosen = samples[np.isin(samples["measure"], [*ROUND_TRIPS, *RESPONSES])]
        if not len(chosen):
            return
        interfaces = np.array([self._interface_of.get(number, -1) for number in chosen["session"].tolist()])
        for (interface, measure, side), _ in _counted(interfaces, chosen["measure"], chosen["side"]):
            picked = chosen["duration_ns"][
                (interfaces == interface) & (chosen["measure"] == measure) & (chosen["side"] == side)
            ]
            key = (min(interface, INTERFACES_MAX), Measure(measure), side)
            counts, total = self._durations.setdefault(key, (np.zeros(len(_BOUNDS_NS) + 1, np.int64), [0.0]))
            counts += np.bincount(np.searchsorted(_BOUNDS_NS, picked), minlength=len(counts))
            total[0] += float(picked.sum()) / 1e9

    def _count_verdicts(self, sessions: Table) -> None:
        columns = (sessions[name] for name in ("interface", "protocol", "handshake"))
        for (interface, protocol, handshake), count in _counted(*columns):
            self._sessions[self._label(interface), _protocol(protocol), HANDSHAKES[Handshake(handshake)]] += count

    def _label(self, number: int) -> str:
        if 0 <= number < min(len(self._interfaces), INTERFACES_MAX):
            return self._interfaces[number].name or str(number)
        return OTHERS


def _protocol(number: int) -> str:
    """Return a label: protocols without a name of their own are one, as anybody may send any of them."""
    name = protocol_name(number)
    return name if name in PROTOCOLS else "other"


def _counted(*columns: Table) -> list[tuple[tuple[int, ...], int]]:
    """Return each combination of values, and how often it is there."""
    if not len(columns[0]):
        return []
    rows, counts = np.unique(np.stack([np.asarray(one, np.int64) for one in columns], 1), axis=0, return_counts=True)
    return list(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True))


def _listed(counts: Counter[tuple[str, ...]]) -> list[LabelledCount]:
    return [LabelledCount(labels, count) for labels, count in counts.items()]
