"""Packets as they come -> the sessions of now: their numbers, their rates, and what goes wrong with them.

Memory is that of the tracker. Nothing waits for this: whoever feeds it counts what it could not read in time.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.application.session_fields import Applications
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.reading import Batch
from capture.analysis.query.columns import COLUMNS
from capture.analysis.query.conditions import Filter
from capture.analysis.reasons.session_events import SessionEvents
from capture.analysis.sessions.session_table import Handshake
from capture.analysis.sessions.tracker import OPEN_MAX, Tracker
from capture.arrays.aliases import Table
from capture.arrays.rows import picked

SHOWN_NS = 10 * 10**9
"""Time for which a session without packets is shown, ns."""
ENDED_MOST = 1 << 12
"""Sessions that ended lately, at most."""
RATES: dict[str, Callable[[Table], Any]] = {"packet_rate": COLUMNS["packets"], "byte_rate": COLUMNS["bytes"]}
"""Further columns to order by: what is added per second to a column of sessions."""


def judged_so_far(sessions: Table) -> Table:
    """Return open sessions without verdicts that may still change: unanswered needs a SYN that was sent again."""
    undecided = (sessions["handshake"] == Handshake.UNANSWERED) & (sessions["syns"] < 2)
    undecided |= (sessions["handshake"] == Handshake.UNACKNOWLEDGED) & (sessions["syn_acks"] < 2)
    sessions["handshake"][undecided] = Handshake.NONE
    return sessions


@dataclass(frozen=True, slots=True)
class LiveView:
    """The sessions of one moment, in an order, and totals over all of them."""

    sessions: Table
    rates: dict[str, npt.NDArray[np.float64]]
    """By name in RATES: values per second, for each of `sessions`."""
    total: int
    """Number of sessions before they were cut to the most that are shown."""
    packets_per_second: float
    bytes_per_second: float
    findings: Sequence[Finding]


class LiveSessions:
    """Sessions of a running recorder or capture. `feed` packets, then take a `view` now and then.

    `on_ended` gets each table of sessions that ended, with its samples; then payload is read, too, for the findings
    that need it. `open_max` sessions are followed at a time, and so bound the memory.
    """

    def __init__(self, on_ended: Callable[[Table, Table], None] | None = None, open_max: int = OPEN_MAX) -> None:
        self._tracker = Tracker(open_max=open_max)
        self._events, self._on_ended = SessionEvents(), on_ended
        self._applications = None if on_ended is None else Applications()
        self._ended: list[Table] = []
        self._before: dict[str, dict[int, int]] = {name: {} for name in RATES}
        self._looked_ns = 0
        self._packets = self._bytes = 0

    def feed(self, batch: Batch) -> None:
        """Add packets."""
        self._events.add(batch)
        ended = list(self._tracker.feed(batch.data, batch.packets))
        if self._applications is not None:
            self._applications.add(batch)
        self._packets += len(batch.packets)
        self._bytes += int(batch.packets["original"].sum())
        for sessions, samples in ended:
            self._end(sessions, samples)

    def finish(self) -> None:
        """End all open sessions, at the end of the packets."""
        for sessions, samples in self._tracker.finish():
            self._end(sessions, samples)

    def _end(self, sessions: Table, samples: Table) -> None:
        self._events.fill(sessions)
        if self._applications is not None:
            self._applications.fill(sessions)
        if self._on_ended is not None:
            self._on_ended(sessions, samples)
        self._ended.append(sessions)
        if sum(map(len, self._ended)) > 2 * ENDED_MOST:  # while nobody looks
            self._ended = [np.concatenate(self._ended)[-ENDED_MOST:]]

    def view(
        self,
        now_ns: int,
        order: str,
        most: int,
        conditions: Sequence[Filter] = (),
        ended_before: Diagnosis | None = None,
    ) -> LiveView:
        """Return the sessions with packets lately, the largest by a column or rate first, at most so many.

        `now_ns` is on the packets' clock. Findings are of the sessions with packets lately; with `ended_before`,
        the diagnosis of all sessions that ended, they are of these and of all that are open.
        """
        seconds = max(now_ns - self._looked_ns, 1) / 1e9 if self._looked_ns else 1.0
        self._looked_ns = now_ns
        since_ns = now_ns - SHOWN_NS
        still = self._tracker.open_sessions()
        ended = np.concatenate(self._ended)[-ENDED_MOST:] if self._ended else still[:0]
        ended = picked(ended, ended["last_ns"] >= since_ns)
        self._ended = [ended] if len(ended) else []
        still = judged_so_far(still)
        self._events.fill(still)
        if self._applications is not None:
            self._applications.show(still)
        sessions = np.concatenate([picked(still, still["last_ns"] >= since_ns), ended])
        rates = {name: self._rate(name, sessions, seconds) for name in RATES}
        if ended_before is None:
            findings = self._findings(Diagnosis(TROUBLES), sessions)
        else:
            findings = self._findings(deepcopy(ended_before), still)
        chosen = np.logical_and.reduce([np.ones(len(sessions), np.bool_), *(one(sessions) for one in conditions)])
        values = rates[order] if order in rates else np.asarray(COLUMNS[order](sessions))
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(-values[rows].astype(np.float64), kind="stable")]
        view = LiveView(
            sessions=picked(sessions, rows[:most]),
            rates={name: values[rows[:most]] for name, values in rates.items()},
            total=len(rows),
            packets_per_second=self._packets / seconds,
            bytes_per_second=self._bytes / seconds,
            findings=findings,
        )
        self._packets = self._bytes = 0
        return view

    def _rate(self, name: str, sessions: Table, seconds: float) -> npt.NDArray[np.float64]:
        before, numbers = self._before[name], sessions["session"].tolist()
        values = np.asarray(RATES[name](sessions)).tolist()
        added = [value - before.get(number, 0) for number, value in zip(numbers, values, strict=True)]
        self._before[name] = dict(zip(numbers, values, strict=True))
        return np.array(added, np.float64) / seconds

    @staticmethod
    def _findings(diagnosis: Diagnosis, sessions: Table) -> Sequence[Finding]:
        if len(sessions):
            diagnosis.add("", sessions, several=len(np.unique(sessions["interface"])) > 1)
        return diagnosis.findings(Completeness(), {})
