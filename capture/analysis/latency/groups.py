"""Sessions and their values of a column, then their samples -> a Latency for each of the most frequent values.

A session's value is complete at its end, its samples come before: so sessions are read twice, with `see`, then `add`.
Sessions of all other values are together in one more Latency.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from capture.analysis.latency.waits import Latency
from capture.arrays.aliases import Longs, Table
from capture.arrays.rows import picked

VALUES_MAX = 1 << 16
"""Values that are told apart at most; sessions with further ones are among the others."""
_OTHERS = 0


class LatencyGroups:
    """Latencies by a column of sessions; `most` is the number of groups beside the others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: dict[Any, int] = {}
        self._sessions: Counter[int] = Counter()
        self._group_of: Longs = np.zeros(1 << 10, np.int64)  # by session number: number of a value, 0 is the others
        self._latencies: dict[int, Latency] = {}

    def see(self, sessions: Table, values: Iterable[Any]) -> None:
        """Note which value each session has."""
        numbers = np.array([self._number(value) for value in values], np.int64)
        while len(sessions) and int(sessions["session"].max()) >= len(self._group_of):
            self._group_of = np.concatenate([self._group_of, np.zeros_like(self._group_of)])
        self._group_of[sessions["session"]] = numbers
        self._sessions.update(numbers.tolist())

    def add(self, sessions: Table, samples: Table) -> None:
        """Add sessions that ended, and samples of any sessions, all of which were seen before."""
        if not self._latencies:
            self._choose()
        of_sessions, of_samples = (self._group_of[table["session"]] for table in (sessions, samples))
        for number in np.union1d(of_sessions, of_samples).tolist():
            self._latencies[number].add(picked(sessions, of_sessions == number), samples[of_samples == number])

    @property
    def groups(self) -> Mapping[Any, tuple[int, Latency]]:
        """By value, its number of sessions and their latency, the most frequent value first."""
        values = {number: value for value, number in self._numbers.items()}
        ranked = sorted(self._latencies.items(), key=lambda item: -self._sessions[item[0]])
        return {values[number]: (self._sessions[number], latency) for number, latency in ranked if number}

    @property
    def others(self) -> tuple[int, Latency] | None:
        """Number of the sessions with other values, and their latency; None if there are none."""
        count = self._sessions[_OTHERS]
        return (count, self._latencies[_OTHERS]) if count and self._latencies else None

    def _number(self, value: Any) -> int:
        if value not in self._numbers and len(self._numbers) == VALUES_MAX:
            return _OTHERS
        return self._numbers.setdefault(value, len(self._numbers) + 1)

    def _choose(self) -> None:
        ranked = [number for number, _ in self._sessions.most_common() if number != _OTHERS]
        for number in ranked[self._most :]:
            self._sessions[_OTHERS] += self._sessions.pop(number)
        chosen = np.zeros(len(self._numbers) + 1, np.int64)
        kept = ranked[: self._most]
        chosen[kept] = kept
        self._group_of = chosen[self._group_of]
        self._latencies = {number: Latency() for number in (_OTHERS, *kept)}
