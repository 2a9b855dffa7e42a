"""Passages -> legs: delays and losses of packets between two points.

A leg goes from one point to the next on a route. A packet that was seen at the beginning of a leg and at no later
point was lost on it, if the capture at the end of the leg was running when the packet was due. A packet that was seen
at the end and not at the beginning was not captured there. Where TCP segments are split or merged between two points
(GSO, GRO), packets differ though their bytes are the same: such packets are neither lost nor measured, but counted
(`one_end`).

The order of the steps follows from their inputs: sessions are joined from all passages; routes need the
joined sessions; clocks need the routes, for the direction of each packet; delays and losses need the clocks. So
passages are kept in a file, and read three times, a chunk at a time. The invariant: a packet is lost at most once, on
the leg after the last point that saw it; an undecided case is counted as such, never as a loss.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.legs.clocks import Bounds
from capture.analysis.legs.joined import JoinedSessions
from capture.analysis.legs.leg import Alone, Leg
from capture.analysis.legs.observe import Observations, Point
from capture.analysis.legs.one_end import overlaps, seen_once
from capture.analysis.legs.pairing import NEVER, pair, passage
from capture.analysis.legs.proofs import Proven
from capture.analysis.legs.routes import Routes
from capture.arrays.aliases import Table
from capture.arrays.scratch import Scratch

_CHUNK = 1 << 16


class Comparison:
    """Observations -> `legs` and `alone`. `one_clock`: all files were written by one machine."""

    def __init__(self, observations: Observations, one_clock: bool = False) -> None:
        self.points = observations.points
        self.left_out = observations.left_out
        self._spans = observations.spans
        self._clocks = [0 if one_clock else point.file for point in self.points]
        self._conversations = JoinedSessions([point.file for point in self.points], observations.sessions)
        self._bounds: dict[tuple[int, int], Bounds] = {}
        self._uncertainty: dict[tuple[int, int], int] = {}
        self._legs: dict[tuple[int, int], Leg] = {}
        self._missed: dict[tuple[int, int], list[Table]] = {}
        self._unseen: dict[tuple[int, int], list[Table]] = {}
        self._alone = np.zeros(len(self.points), np.int64)
        self._elsewhere = np.zeros(len(self.points), np.int64)
        scratch = Scratch(passage(len(self.points)))
        with closing(scratch):
            for part in observations.parts():
                rows = pair(part, len(self.points))
                self._conversations.join(rows)
                scratch.add(rows)
            self._conversations.close()
            self._routes = Routes(self._conversations, self._clocks)
            for rows in scratch.chunks(_CHUNK):
                self._routes.add(rows)
            self._routes.close()
            for rows in scratch.chunks(_CHUNK):
                self._routes.learn(rows)
                self._bound(rows)
            self._routes.compare_answers(self._was_running)
            for rows in scratch.chunks(_CHUNK):
                self._add(rows)
        self.has_reasons = observations.has_reasons
        self._judge(observations.proven())

    @property
    def legs(self) -> list[Leg]:
        """Legs in order of their points."""
        return [self._legs[key] for key in sorted(self._legs)]

    @property
    def alone(self) -> list[Alone]:
        """Points with packets whose route is unknown, so that no other point could be searched for them."""
        return [Alone(point, count) for point, count in zip(self.points, self._alone.tolist(), strict=True) if count]

    @property
    def elsewhere(self) -> list[Alone]:
        """Points with packets of sessions that take another way than the points that were compared."""
        counts = self._elsewhere.tolist()
        return [Alone(point, count) for point, count in zip(self.points, counts, strict=True) if count]

    def _was_running(self, point: int, other: int, first_ns: int, last_ns: int) -> bool:
        """True if the capture at another point was running at some of these times, which are by the point's clock."""
        offsets, _ = self._offsets(point, other, np.array([first_ns, last_ns]), point)
        begin, end = self._spans[self.points[other].file]
        return bool(first_ns + offsets[0] <= end and last_ns + offsets[1] >= begin)

    def _by_route(self, rows: Table) -> Iterator[tuple[tuple[int, ...], Table, npt.NDArray[np.int64]]]:
        """Return (route, () for none; its passages; their streams). A stream is 2 * conversation + side."""
        conversations, sides = self._conversations.of(rows)
        routes = self._routes.of(rows, conversations, sides)
        for number in np.unique(routes).tolist():
            mine = routes == number
            yield self._routes.routes[number], rows[mine], conversations[mine] * 2 + sides[mine]

    def _clock_of(self, one: int, other: int) -> tuple[tuple[int, int], int]:
        """Return the two clocks in order, and 1, or -1 if they were swapped for that."""
        a, b = self._clocks[one], self._clocks[other]
        return ((a, b), 1) if a < b else ((b, a), -1)

    def _bound(self, rows: Table) -> None:
        """Add the bounds of clocks that packets between points of different clocks prove."""
        rows = rows[rows["doubtful"] == 0]
        for route, passages, _ in self._by_route(rows):
            times = passages["times_ns"]
            for source, target in combinations(route, 2):
                if self._clocks[source] == self._clocks[target]:
                    continue
                at_both = (times[:, source] != NEVER) & (times[:, target] != NEVER)
                clocks, sign = self._clock_of(source, target)
                bounds = self._bounds.setdefault(clocks, Bounds())
                by_first_clock = times[at_both, source if sign > 0 else target]
                bounds.add(by_first_clock, times[at_both, target] - times[at_both, source], sign)

    def _offsets(self, source: int, target: int, times_ns: Any, of: int) -> tuple[Any, Any]:
        """Return (offsets of the target's clock, uncertainties; -1: unknown), ns. Times are by the clock of `of`."""
        if self._clocks[source] == self._clocks[target]:
            return np.zeros(len(times_ns), np.int64), np.zeros(len(times_ns), np.int64)
        clocks, sign = self._clock_of(source, target)
        bounds = self._bounds.setdefault(clocks, Bounds())
        if self._clocks[of] != clocks[0]:
            times_ns = times_ns - bounds.of(times_ns)[0]
        offsets, uncertain = bounds.of(times_ns)
        return sign * offsets, uncertain

    def _add(self, rows: Table) -> None:
        for route, passages, streams in self._by_route(rows):
            if not route:
                seen = passages["times_ns"] != NEVER
                other_way = self._routes.elsewhere(passages, streams >> 1)
                self._elsewhere += seen[other_way].sum(axis=0)
                self._alone += seen[~other_way].sum(axis=0)
                continue
            seen = passages["times_ns"][:, list(route)] != NEVER
            on_route = seen.any(axis=1)
            first = seen.argmax(axis=1)
            last = len(route) - 1 - seen[:, ::-1].argmax(axis=1)
            for at, (source, target) in enumerate(pairwise(route)):
                leg = self._legs.setdefault((source, target), Leg(self.points[source], self.points[target]))
                self._measure(leg, source, target, passages[seen[:, at] & seen[:, at + 1]])
                gone = on_route & (last == at)
                self._missed.setdefault((source, target), []).append(seen_once(passages[gone], streams[gone], source))
                new = on_route & (first == at + 1)
                self._unseen.setdefault((source, target), []).append(seen_once(passages[new], streams[new], target))
                leg.not_captured += int((on_route & ~seen[:, at] & (first < at) & (last > at)).sum())

    def _measure(self, leg: Leg, source: int, target: int, rows: Table) -> None:
        leg.paired += len(rows)
        doubtful = rows["doubtful"] == 1
        leg.doubtful += int(doubtful.sum())
        rows = rows[~doubtful]
        times = rows["times_ns"]
        first = min(source, target, key=self._clocks.__getitem__)
        offsets, uncertain = self._offsets(source, target, times[:, first], first)
        delays = times[:, target] - times[:, source] - offsets
        placed, early = uncertain >= 0, delays < -uncertain
        leg.unplaced += int((~placed).sum())
        leg.early += int((placed & early).sum())
        good = placed & ~early
        if good.any():
            leg.delays.add(np.maximum(delays[good], 0))  # nothing takes less
        self._uncertainty[source, target] = int(uncertain.max(initial=self._uncertainty.get((source, target), 0)))

    def _judge(self, proven: Proven) -> None:
        """Decide which of the packets seen at one end of a leg only were lost, resegmented or not captured."""
        for (source, target), leg in self._legs.items():
            if self._clocks[source] != self._clocks[target]:
                clocks, sign = self._clock_of(source, target)
                bounds = self._bounds.setdefault(clocks, Bounds())
                leg.clock = bounds.overall(sign, self._uncertainty.get((source, target), 0))
            missed = np.concatenate(self._missed[source, target])
            unseen = np.concatenate(self._unseen[source, target])
            cut, grown = overlaps(missed, unseen), overlaps(unseen, missed)
            leg.resegmented = int(cut.sum() + grown.sum())
            arrived = unseen[~grown]["time_ns"]
            left = arrived - self._offsets(source, target, arrived, target)[0]
            leg.not_captured += int(self._within(left, leg.source, leg).sum())
            missed = missed[~cut]
            due = missed["time_ns"] + self._offsets(source, target, missed["time_ns"], source)[0]
            judged = self._within(due, leg.target, leg)
            leg.undecided = int((~judged).sum())
            leg.lost = np.sort(missed["number"][judged]).tolist()
            found = (proven.get((source, number)) for number in leg.lost)
            leg.reasons = dict(Counter(reason for reason in found if reason is not None).most_common())

    def _within(self, times_ns: Any, point: Point, leg: Leg) -> Any:
        """Return a mask of times at which the capture at a point was running, and ran on for the longest delay."""
        first, last = self._spans[point.file]
        return (times_ns >= first) & (times_ns + leg.delays.most <= last)
