"""Packets in order of time -> rules that fire: the same evaluation for a recorder and for old captures.

Packets go through the tracker of `bicap sessions`. At each look the sessions that had packets, open or ended, are
compared with the rules. A rule fires when it becomes true: once for each session, or once for each client, server or
pod until it is false again. Memory is that of the tracker, and a number for each open session and rule.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capture.analysis.application.session_fields import Applications
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.events import events_of
from capture.analysis.packets.reading import Batch
from capture.analysis.query.names import endpoints
from capture.analysis.sessions.tracker import Tracker
from capture.arrays.aliases import Table
from capture.arrays.cells import lines
from capture.arrays.rows import picked
from capture.live.trigger_rules import RATE_NS, USUAL_NS, TriggerRule
from capture.live.usual_medians import MEASURES, UsualMedians
from capture.wire.frame_ends import conversation_of_frame
from capture.wire.protocols import PROTOCOLS, protocol_name

LOOK_NS = 20_000_000
"""Time of packets between two looks at the sessions, ns."""
STEP_BACK_NS = 10**9
"""Time by which packets are earlier than the last look where a clock was set back, ns."""
FIRED_KEPT = 1 << 16
"""Sessions for which a rule has fired that are remembered, the latest."""
_ICMP = (PROTOCOLS["icmp"], PROTOCOLS["icmpv6"])
_BUCKET_NS = 100_000_000
_SETTLED_BUCKETS = 50
"""Buckets of a rate's history without which there is no usual rate: 5 s."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired. Times are those of the packets, ns."""

    rule: str
    at_ns: int
    value: float | str | None = None
    session: str | None = None
    packet_ns: int | None = None
    reason: str = ""
    """The kernel's reason in words, of a rule about such."""


class Watcher:
    """Rules and the sessions that they are about. `lost` is not among them: packets do not say it."""

    def __init__(self, rules: Sequence[TriggerRule]) -> None:
        self._rules = rules
        self._tracker = Tracker()
        self._applications = Applications() if any(rule.needs_payload for rule in rules) else None
        self._once = [
            _OncePerSession(rule) for rule in rules if rule.condition is not None and rule.window_ns is None
        ]
        self._windows = [
            _CountInTime(rule) for rule in rules if rule.condition is not None and rule.window_ns is not None
        ]
        self._findings = [_FindingRule(rule) for rule in rules if rule.finding is not None]
        self._rates = [_RateRule(rule) for rule in rules if rule.rate is not None]
        self._usual = [_UsualRule(rule) for rule in rules if rule.usual is not None]
        self._reasons = [rule for rule in rules if rule.reason is not None]
        self._samples: list[Table] = []
        self._ended: list[Table] = []
        self._seen: set[int] = set()
        self._icmp_ns: dict[int, int] = {}
        self._looked_ns = 0

    def feed(self, batch: Batch) -> Iterator[Fired]:
        """Add packets, and return what fires, in order of time."""
        times = batch.packets["time_ns"]
        if len(times) and int(times[0]) < self._looked_ns - STEP_BACK_NS:  # the clock was set back
            self._looked_ns = int(times[0])
        at = 0
        while at < len(times):
            if self._looked_ns == 0:
                self._looked_ns = int(times[0])
            next_look = self._looked_ns + LOOK_NS
            end = at + int(np.searchsorted(times[at:], next_look))
            if end > at:
                part = Batch(batch.data, batch.packets[at:end], events=batch.events)
                if self._reasons and batch.events:
                    yield from _fired_by_events(self._reasons, part)
                self._track(part)
                at = end
            if at < len(times):
                yield from self.look(max(next_look, int(times[at]) - LOOK_NS))

    def _track(self, batch: Batch) -> None:
        ended = self._keep(self._tracker.feed(batch.data, batch.packets))
        if self._applications is not None:
            self._applications.add(batch)
            for sessions in ended:
                self._applications.fill(sessions)
        self._ended += ended
        packets = batch.packets[np.isin(batch.packets["protocol"], _ICMP)]
        self._icmp_ns.update(zip(packets["number"].tolist(), packets["time_ns"].tolist(), strict=True))
        self._seen.update(np.unique(batch.packets["session"]).tolist())
        for rate in self._rates:
            rate.add(batch.packets)

    def _keep(self, ended: Iterable[tuple[Table, Table]]) -> list[Table]:
        found = []
        for sessions, samples in ended:
            found.append(sessions)
            if self._usual:
                self._samples.append(samples)
        return found

    def look(self, now_ns: int) -> Iterator[Fired]:
        """Compare the sessions that had packets since the last look with the rules; `now_ns` is after all packets."""
        self._looked_ns = now_ns
        if self._usual:
            self._ended += self._keep(self._tracker.ended_so_far())
        if self._once or self._windows or self._findings or self._usual:
            touched = self._tracker.touched(
                np.array([*self._seen], np.int64), np.array([*self._icmp_ns], np.int64), now_ns
            )
            if self._applications is not None:
                self._applications.show(touched)
            table = np.concatenate([*self._ended, touched]) if self._ended else touched
            if len(table):
                yield from self._compare(table, now_ns)
            for window in self._windows:
                window.forget(self._ended)
        self._seen.clear()
        self._icmp_ns.clear()
        self._ended.clear()
        for rate in self._rates:
            yield from rate.look(now_ns)

    def _compare(self, sessions: Table, now_ns: int) -> Iterator[Fired]:
        # An ICMP error belongs to a session, and is not one of its packets.
        at_ns = [self._icmp_ns.get(number, 0) for number in sessions["icmp_packet"].tolist()]
        sessions["last_ns"] = np.maximum(sessions["last_ns"], np.array(at_ns, np.int64))
        for once in self._once:
            yield from once.look(sessions)
        for window in self._windows:
            yield from window.look(sessions, now_ns)
        for finding in self._findings:
            yield from finding.look(sessions)
        if self._samples:
            samples = np.concatenate(self._samples)
            self._samples.clear()
            for usual in self._usual:
                yield from usual.look(sessions, samples)

    def finish(self) -> Iterator[Fired]:
        """Look at the last packets of a file, and return what fires."""
        yield from self.look(self._looked_ns + max(LOOK_NS, _BUCKET_NS))


def _ends(sessions: Table, row: int) -> str:
    one = sessions[row : row + 1]
    client, server = (lines(endpoints(one, side))[0] for side in ("client", "server"))
    return f"{protocol_name(int(one['protocol'][0]))} {client} > {server}"


def _fired(rule: TriggerRule, sessions: Table, row: int, value: Any) -> Fired:
    last_ns = int(sessions["last_ns"][row])
    plain = value.item() if isinstance(value, np.generic) else value
    return Fired(rule.text, last_ns, plain, _ends(sessions, row), last_ns)


def _fired_by_events(rules: Sequence[TriggerRule], batch: Batch) -> Iterator[Fired]:
    """Return what fires because of the kernel's events among packets: they are no packets of a session."""
    for row, _, reason in events_of(batch.data, batch.packets):
        if reason is None:
            continue
        packet = batch.packets[row]
        start, time_ns = int(packet["offset"]), int(packet["time_ns"])
        ends = conversation_of_frame(bytes(batch.data[start : start + int(packet["captured"])]))
        for rule in rules:
            if rule.reason is not None and rule.reason(reason):
                yield Fired(rule.text, time_ns, str(reason), ends, time_ns, reason.sentence)


_KEY_COLUMNS = {
    "session": ("session",),
    "client": ("family", "client_high", "client_low"),
    "server": ("family", "protocol", "server_high", "server_low", "server_port"),
    "pod": ("interface",),
}


def _key_of(sessions: Table, row: int, per: str) -> Hashable:
    return tuple(int(sessions[name][row]) for name in _KEY_COLUMNS[per])


class _OncePerSession:
    """A condition without a time: fires once for each session."""

    def __init__(self, rule: TriggerRule) -> None:
        self._rule = rule
        self._done: OrderedDict[int, None] = OrderedDict()

    def look(self, sessions: Table) -> Iterator[Fired]:
        """Return what fires."""
        condition = self._rule.condition
        assert condition is not None
        true = np.flatnonzero(condition(sessions))
        if not len(true):
            return
        values = condition.values(sessions)
        for row in true.tolist():
            number = int(sessions["session"][row])
            if number not in self._done:
                self._done[number] = None
                if len(self._done) > FIRED_KEPT:
                    self._done.popitem(last=False)
                yield _fired(self._rule, sessions, row, None if values is None else values[row])


class _CountInTime:
    """A count within a time: of what sessions count, or with `times` of sessions for which it became true."""

    def __init__(self, rule: TriggerRule) -> None:
        self._rule = rule
        self._before: dict[int, int] = {}
        self._events: dict[Hashable, deque[tuple[int, int]]] = defaultdict(deque)
        self._sums: dict[Hashable, int] = defaultdict(int)
        self._true: set[Hashable] = set()

    def look(self, sessions: Table, now_ns: int) -> Iterator[Fired]:
        """Return what fires; `now_ns` is after all packets so far."""
        rule, condition = self._rule, self._rule.condition
        assert condition is not None
        assert rule.window_ns is not None
        needed = rule.times if rule.times is not None else condition.counts
        assert needed is not None
        values = condition.values(sessions) if rule.times is None else condition(sessions).astype(np.int64)
        for row in np.flatnonzero(np.asarray(values) > 0).tolist():
            number, value = int(sessions["session"][row]), int(values[row])
            more = value - self._before.get(number, 0)
            if more <= 0:
                continue
            self._before[number] = value
            key, at_ns = self._key(sessions, row), int(sessions["last_ns"][row])
            self._events[key].append((at_ns, more))
            self._sums[key] += more
            self._drop_old(key, at_ns)
            if self._sums[key] >= needed and key not in self._true:
                self._true.add(key)
                yield _fired(rule, sessions, row, self._sums[key])
        for key in [key for key in self._events if self._drop_old(key, now_ns) < needed]:
            self._true.discard(key)
            if not self._events[key]:
                del self._events[key], self._sums[key]

    def _drop_old(self, key: Hashable, now_ns: int) -> int:
        events = self._events[key]
        while events and events[0][0] < now_ns - (self._rule.window_ns or 0):
            self._sums[key] -= events.popleft()[1]
        return self._sums[key]

    def _key(self, sessions: Table, row: int) -> Hashable:
        return _key_of(sessions, row, self._rule.per) if self._rule.per else None

    def forget(self, ended: Sequence[Table]) -> None:
        """Forget sessions that ended."""
        for sessions in ended:
            for number in sessions["session"].tolist():
                self._before.pop(number, None)


class _FindingRule:
    """A finding of `bicap diagnose` about the sessions that had packets; fires once for each session."""

    def __init__(self, rule: TriggerRule) -> None:
        self._rule = rule
        self._kinds = [trouble for trouble in TROUBLES if trouble.name == rule.finding]
        self._done: OrderedDict[int, None] = OrderedDict()

    def look(self, sessions: Table) -> Iterator[Fired]:
        """Return what fires."""
        diagnosis = Diagnosis(self._kinds)
        diagnosis.add("", sessions)
        for finding in diagnosis.findings(Completeness(), {}):
            for evidence in finding.evidence:
                if evidence.session in self._done:
                    continue
                self._done[evidence.session] = None
                if len(self._done) > FIRED_KEPT:
                    self._done.popitem(last=False)
                (row,) = np.flatnonzero(sessions["session"] == evidence.session)[-1:].tolist()
                yield _fired(self._rule, sessions, row, finding.what)


class _RateRule:
    """A rate over a time, and the usual one over the time before it. Fires when it becomes true."""

    def __init__(self, rule: TriggerRule) -> None:
        assert rule.rate is not None
        self._rule, self._rate = rule, rule.rate
        self._window = max(1, (rule.window_ns or RATE_NS) // _BUCKET_NS)
        self._buckets: deque[int] = deque(maxlen=self._window + USUAL_NS // _BUCKET_NS)
        self._bucket_ns, self._filling, self._newest, self._true = 0, 0, 0, False

    def add(self, packets: Table) -> None:
        """Count packets."""
        if self._rate.what == "packets":
            self._filling += len(packets)
        elif self._rate.what == "bytes":
            self._filling += int(packets["original"].sum())
        else:
            newest = int(packets["session"].max(initial=0))
            self._filling += max(0, newest - self._newest)
            self._newest = max(self._newest, newest)

    def look(self, now_ns: int) -> Iterator[Fired]:
        """Close the buckets that are over."""
        if self._bucket_ns == 0:
            self._bucket_ns = now_ns + _BUCKET_NS
        elif not -STEP_BACK_NS < now_ns - self._bucket_ns < (self._buckets.maxlen or 0) * _BUCKET_NS:
            # A pause that is longer than what is known, or a step of the clock: it begins anew.
            self._buckets.clear()
            self._filling, self._bucket_ns, self._true = 0, now_ns + _BUCKET_NS, False
        while now_ns >= self._bucket_ns:
            self._buckets.append(self._filling)
            self._filling, self._bucket_ns = 0, self._bucket_ns + _BUCKET_NS
            yield from self._compare()

    def _compare(self) -> Iterator[Fired]:
        if len(self._buckets) < self._window:
            return
        counts = list(self._buckets)
        recent, earlier = counts[-self._window :], counts[: -self._window]
        if self._rate.times_usual and len(earlier) < _SETTLED_BUCKETS:
            return
        rate = sum(recent) * 1e9 / (len(recent) * _BUCKET_NS)
        usual = sum(earlier) * 1e9 / (len(earlier) * _BUCKET_NS) if earlier else 0.0
        was, self._true = self._true, self._rate(rate, usual)
        if self._true and not was:
            yield Fired(self._rule.text, self._bucket_ns - _BUCKET_NS, round(rate, 1))


class _UsualRule:
    """A median above a multiple of the usual one. Fires for a place when it becomes true."""

    def __init__(self, rule: TriggerRule) -> None:
        assert rule.usual is not None
        assert rule.window_ns is not None
        self._rule = rule
        self._kinds, self._side = MEASURES[rule.usual.measure]
        self._medians = UsualMedians(rule.usual.times, rule.window_ns)

    def look(self, sessions: Table, samples: Table) -> Iterator[Fired]:
        """Add samples of these sessions, and return what fires."""
        mine = picked(samples, np.isin(samples["measure"], list(self._kinds)) & (samples["side"] == self._side))
        mine = mine[np.argsort(mine["time_ns"], kind="stable")]
        rows = {number: row for row, number in enumerate(sessions["session"].tolist())}
        latest: dict[Hashable, tuple[int, int]] = {}
        columns = (mine[name].tolist() for name in ("session", "time_ns", "duration_ns"))
        for number, time_ns, duration_ns in zip(*columns, strict=True):
            row = rows.get(number)
            if row is not None:
                place = _key_of(sessions, row, self._rule.per)
                self._medians.add(place, time_ns, duration_ns)
                latest[place] = row, time_ns
        for place, (row, time_ns) in latest.items():
            now = self._medians.risen(place)
            if now is not None:
                yield Fired(self._rule.text, time_ns, round(now), _ends(sessions, row), time_ns)
