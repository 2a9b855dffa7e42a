"""Samples of durations -> which server, client or pod is slower now than it usually is.

The median of the latest samples is compared with that of the five minutes before them. A median, because one slow
answer among a hundred is ordinary, and a mean follows it. The usual durations are counted in bins of 1/16 octave
(4 %), ten seconds a set, so memory does not grow with the traffic.
"""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from statistics import median

from capture.analysis.sessions.session_table import Measure

USUAL_SPAN_NS = 300 * 10**9
"""Time whose median is the usual one, ns."""
USUAL_LEAST, RECENT_LEAST = 20, 5
"""Samples without which there is no usual median, and no present one."""
RECENT_MOST = 1000
"""Latest samples of which the present median is made, at most."""
PLACES_MOST = 4096
"""Servers, clients or pods that are known, those with the latest samples."""
_SET_NS, _COUNTED_NS = 10 * 10**9, 10**9
_SETS = USUAL_SPAN_NS // _SET_NS
_BINS = 16
MEASURES = {
    "server_rtt": (frozenset({Measure.HANDSHAKE, Measure.ACKNOWLEDGMENT}), 1),
    "client_rtt": (frozenset({Measure.HANDSHAKE, Measure.ACKNOWLEDGMENT}), 0),
    "first_byte": (frozenset({Measure.FIRST_BYTE}), 1),
}
"""By the word in a rule: kinds of samples, and their side."""


class _Place:
    """The samples of one server, client or pod."""

    def __init__(self) -> None:
        self.recent: deque[tuple[int, int]] = deque()
        self.slow = False
        self._sets: deque[Counter[int]] = deque([Counter()], _SETS)
        self._set_ns = self._counted_ns = 0
        self._usual_ns: float | None = None

    def add(self, time_ns: int, duration_ns: int, window_ns: int) -> None:
        """Add a sample; those that are older than the window, or too many, count as usual ones."""
        self.recent.append((time_ns, duration_ns))
        while self.recent[0][0] < time_ns - window_ns or len(self.recent) > RECENT_MOST:
            self._grow_old(*self.recent.popleft())

    def _grow_old(self, time_ns: int, duration_ns: int) -> None:
        if time_ns >= self._set_ns + _SET_NS:
            for _ in range(min(_SETS, (time_ns - self._set_ns) // _SET_NS) if self._set_ns else 0):
                self._sets.append(Counter())
            self._set_ns = time_ns - time_ns % _SET_NS
        self._sets[-1][round(math.log2(max(duration_ns, 1)) * _BINS)] += 1

    def usual_ns(self) -> float | None:
        """Return the usual median, at most a second old; None if there are too few samples."""
        now_ns = self.recent[-1][0]
        if self._usual_ns is None or now_ns >= self._counted_ns + _COUNTED_NS:
            together: Counter[int] = Counter()
            for one in self._sets:
                together.update(one)
            self._counted_ns, half = now_ns, together.total() / 2
            if together.total() < USUAL_LEAST:
                return None
            for number in sorted(together):
                half -= together[number]
                if half <= 0:
                    self._usual_ns = 2 ** (number / _BINS)
                    break
        return self._usual_ns


class UsualMedians:
    """Tells where the median of the latest samples, those of a window, rises above `times` the usual one."""

    def __init__(self, times: float, window_ns: int) -> None:
        self._times, self._window_ns = times, window_ns
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def add(self, place: Hashable, time_ns: int, duration_ns: int) -> None:
        """Add a sample; samples come in order of time, or nearly so."""
        known = self._places.get(place)
        if known is None:
            known = self._places[place] = _Place()
            if len(self._places) > PLACES_MOST:
                self._places.popitem(last=False)
        self._places.move_to_end(place)
        known.add(time_ns, duration_ns, self._window_ns)

    def risen(self, place: Hashable) -> float | None:
        """Return the present median of a place, ns, if it has risen above the bound since the last call."""
        known = self._places.get(place)
        if known is None:
            return None
        usual = known.usual_ns()
        if usual is None or len(known.recent) < RECENT_LEAST:
            return None
        now = median(duration for _, duration in known.recent)
        was, known.slow = known.slow, now > self._times * usual
        return now if known.slow and not was else None
