"""Random connections, of which everything is known -> counts and verdicts that are right, or say nothing."""

import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from capture.analysis.sessions.compiled.windows import STRAYS
from capture.analysis.sessions.session_table import Close, Handshake, Measure
from tests.unit.analysis.scripted_packets import MS, R, Tracked, track
from tests.unit.analysis.simulated_connections import A, F, Path, PathPacket, S, connection, frame, passed

Seen = list[tuple[float, PathPacket]]
SEEDS = st.integers(0, 1 << 32)


def tracked(seen: Seen, firsts: tuple[int, int]) -> Tracked:
    return track([(ms, frame(packet, firsts)) for ms, packet in seen])


def union(spans: list[tuple[int, int]]) -> int:
    """Return how many numbers are in any of the spans."""
    size, upto = 0, 0
    for start, end in sorted(spans):
        size += max(end - max(start, upto), 0)
        upto = max(upto, end)
    return size


class Truth:
    """What is true of one side, by the packets that are in the file."""

    def __init__(self, seen: Seen, side: int) -> None:
        mine = [(ms, one) for ms, one in seen if one.side == side]
        acks = [one.acknowledges for _, one in seen if one.side != side and one.flags & A]
        numbered = [(at, one) for at, (_, one) in enumerate(seen) if one.side == side and one.end > one.start]
        at, first = numbered[0] if numbered else (0, None)
        before = [one.acknowledges for _, one in seen[:at] if one.side != side and one.flags & A]
        self.begin = min([first.start, *([max(before)] if before else [])]) if first else 0
        lowest = min((one.start for _, one in mine if one.end > one.start), default=0)
        self.begins = lowest >= self.begin or lowest == 0
        """It is known where its stream begins: no later packet is below the first one."""
        self.begin = min(self.begin, lowest)
        self.acknowledged = max(acks, default=0) if first else 0
        spans = [(one.start, min(one.end, self.acknowledged)) for _, one in mine if one.start < self.acknowledged]
        self.not_captured = max(self.acknowledged - self.begin, 0) - union([s for s in spans if s[1] > s[0]])
        self.repeated = [(ms, one) for ms, one in mine if one.again]
        covered: set[int] = set()
        self.visible = self.lost_before = 0
        """Repetitions that the file shows, of bytes that passed or below such; and those with bytes that had not."""
        for _, one in self.repeated:
            covered = {n for _, other in mine[: mine.index((_, one))] for n in range(other.start, other.end)}
            numbers = set(range(one.start, one.end))
            shown = bool(covered) and (bool(numbers & covered) or max(numbers) < max(covered))
            self.visible += shown
            self.lost_before += shown and any(n not in covered and n < max(covered) for n in numbers)
        self.overtaken = any(
            one.order < other.order and one.end > one.start and one.start < other.end
            for at, (_, one) in enumerate(mine)
            for _, other in mine[max(at - 40, 0) : at]
        )


def path(chance: random.Random, **more: Any) -> Path:
    return Path(
        loss=chance.choice((0, 0, 0.02, 0.2)),
        overtaking=chance.choice((0, 0, 0.1)),
        overtaken_ms=chance.choice((0.5, 5, 40)),
        delays_ms=(chance.choice((0.02, 1, 20)), chance.choice((0.02, 1, 20))),
        timestamps=chance.random() < 0.5,
        **more,
    )


def handshake(seen: Seen) -> Handshake | None:
    """Return the verdict on a connection without an RST of which the file has every packet; None: depends."""
    client, server = ([one for _, one in seen if one.side == side] for side in (0, 1))
    if not server:
        return Handshake.UNANSWERED
    if any(one.flags & A and not one.flags & S for one in client):
        return Handshake.COMPLETE if any(one.flags == A | F or not one.flags & S for one in server) else None
    return Handshake.UNACKNOWLEDGED


def check_samples(found: Tracked, seen: Seen) -> None:
    """A round trip is from a segment that was sent once to the first acknowledgment of all of it."""
    for side, name in enumerate(("server", "client")):
        sent = [(ms, one) for ms, one in seen if one.side == side and one.payload + bool(one.flags & F)]
        acks = [(ms, one.acknowledges) for ms, one in seen if one.side != side and one.flags & A]
        trips = set()
        for ms, one in sent:
            shared = [then for then, other in sent if other.start < one.end and other.end > one.start]
            trips |= {
                round((then - ms) * MS)
                for then, end in acks
                if end == one.end and then >= ms and sum(at <= then for at in shared) == 1
            }
        for took in found.durations_ms(Measure.ACKNOWLEDGMENT, name):
            assert any(abs(took * MS - trip) < 3 for trip in trips), (name, took)


@settings(deadline=None)
@given(SEEDS)
def test_a_capture_of_everything_gives_what_happened(seed: int) -> None:
    """With the sender's clock or counter, whatever the path loses, delays and turns around."""
    chance = random.Random(seed)
    made, firsts = connection(chance, path(chance, counting=True))
    seen = passed(made)
    if not seen:
        return
    found = tracked(seen, firsts)
    session = found.only
    for side, one in enumerate((session.client, session.server)):
        truth = Truth(seen, side)
        assert one.not_captured == truth.not_captured, side
        assert one.duplicated == 0, side
        assert one.keepalives == 0, side
        if not truth.overtaken:
            assert (one.retransmitted, one.lost_before) == (truth.visible, truth.lost_before), side
            assert one.reordered == 0
        assert one.retransmitted <= len(truth.repeated), side
    expected = handshake(seen)
    assert expected is None or session.handshake == expected
    assert session.close in (Close.OPEN, Close.HALF, Close.FIN)
    check_samples(found, seen)


SAME = ("not_captured", "unacknowledged", "payload", "packets", "bytes", "data_packets", "retransmitted")


def values(session: Any, names: tuple[str, ...] = SAME) -> dict[str, Any]:
    found = {
        f"{side}.{name}": getattr(getattr(session, side), name) for side in ("client", "server") for name in names
    }
    return found | {name: getattr(session, name) for name in ("handshake", "close", "syns", "syn_acks", "first_ns")}


@settings(deadline=None)
@example(129935)  # a copy of a SYN-ACK behind the next packet of its side
@given(SEEDS)
def test_what_a_capture_missed_is_missing_and_nothing_else(seed: int) -> None:
    """Packets that the capture lost, copied or cut; without clock or counter of the senders."""
    chance = random.Random(seed)
    way = path(chance, counting=chance.random() < 0.5)
    made, firsts = connection(chance, way)
    kept = [one for one in passed(made) if chance.random() >= 0.1]
    if not kept:
        return
    copies = [(ms + chance.random() / 50, one) for ms, one in kept if chance.random() < 0.1]
    both = sorted([*kept, *copies], key=lambda one: (one[0], one[1].order))
    cut = chance.choice((65535, 54))
    frames = [(ms, frame(packet, firsts)) for ms, packet in both]
    session = track(frames, captured=cut).only
    for side, one in enumerate((session.client, session.server)):
        truth = Truth(kept, side)
        assert one.not_captured <= truth.not_captured, side
        assert one.not_captured == truth.not_captured or not truth.begins, side
        assert one.duplicated <= sum(packet.side == side for _, packet in copies), side
        if not truth.overtaken:
            assert one.retransmitted <= len(truth.repeated), side
    expected = handshake(passed(made))
    unknown = {Handshake.NOT_CAPTURED, Handshake.STARTED_BEFORE}
    assert expected is None or session.handshake in unknown | {expected} | could_be(kept)


def could_be(seen: Seen) -> set[Handshake]:
    """Return verdicts that a file without some packets also allows."""
    return {verdict} if (verdict := handshake(seen)) is not None else set()


@settings(deadline=None)
@given(SEEDS)
def test_packets_that_stand_a_little_out_of_order_in_the_file_change_nothing(seed: int) -> None:
    """Shuffled within small windows: with their times, as threads write them, and without."""
    chance = random.Random(seed)
    way = path(chance, counting=True)
    way.loss, way.overtaking = chance.choice((0, 0.1)), 0
    made, firsts = connection(chance, way)
    seen = passed(made)
    if not seen:
        return
    frames = [(ms, frame(packet, firsts)) for ms, packet in seen]
    late_ms = chance.choice((0.2, 1)) * min(sum(way.delays_ms), 5)  # up to half of a round trip
    order = sorted(range(len(frames)), key=lambda at: frames[at][0] + late_ms * chance.random())
    moved = [frames[at] for at in order]
    timed = [(frames[at][0], moved[at][1]) for at in range(len(frames))]
    expected, in_time, in_order = (track(one).only for one in (frames, moved, timed))
    assert values(in_time) == values(expected)
    assert values(in_order, SAME[:6]) == values(expected, SAME[:6])
    for side in ("client", "server"):  # a repetition behind its acknowledgment: it is not known what was lost
        assert getattr(in_time, side).lost_before <= getattr(expected, side).lost_before


@settings(deadline=None)
@given(SEEDS)
def test_packets_of_another_connection_on_the_same_ports_change_nothing(seed: int) -> None:
    """An old connection's data, acknowledgments and resets, between those of the new one, and before its answer."""
    chance = random.Random(seed)
    made, firsts = connection(chance, path(chance, counting=True))
    seen = passed(made)
    if not seen or not seen[0][1].flags & S:
        return
    frames = [(ms, frame(packet, firsts)) for ms, packet in seen]
    old, old_firsts = connection(chance, path(chance, counting=True))
    away = 1 << 27
    old_firsts = tuple((first + chance.randrange(away, (1 << 32) - away)) % (1 << 32) for first in firsts)  # type: ignore[assignment]
    strays = [one for one in old if not one.flags & S and one.acknowledges]
    mixed, left = frames[:1], STRAYS
    for ms, made_frame in frames[1:]:
        if strays and left and chance.random() < 0.2:
            left -= 1
            stray = chance.choice(strays)
            resets = chance.random() < 0.3
            if resets:
                stray = PathPacket(stray.side, ms, R, stray.start, 0, 0, stray.identification, None, False)
            mixed.append((ms, frame(stray, old_firsts)))
        mixed.append((ms, made_frame))
    found, expected = track(mixed).only, track(frames).only
    names = ("not_captured", "unacknowledged", "retransmitted", "lost_before", "reordered", "rtt_count", "rtt_sum_ns")
    assert values(found, names) == values(expected, names)
    assert (found.requests, found.rst_packet) == (expected.requests, 0)


@settings(deadline=None)
@given(SEEDS)
def test_a_new_connection_on_the_same_ports_is_a_session_of_its_own(seed: int) -> None:
    """At once, as from a client with few ports, or later; whatever the file has of the one before."""
    chance = random.Random(seed)
    old, old_firsts = connection(chance, path(chance, counting=True))
    before = [one for one in passed(old) if chance.random() >= chance.choice((0, 0.3))]
    if not before:
        return
    new, firsts = connection(chance, path(chance, counting=True), before[-1][0] + chance.choice((0.1, 1000, 59_000)))
    after = passed(new)
    if not after or not after[0][1].flags & S:
        return
    frames = [
        [(ms, frame(one, numbers)) for ms, one in seen] for seen, numbers in ((before, old_firsts), (after, firsts))
    ]
    first, second = track(frames[0] + frames[1]).sessions
    alone = [track(each).only for each in frames]
    replaced = {Close.OPEN: Close.REUSED}
    assert values(first) == values(alone[0]) | {"close": replaced.get(alone[0].close, alone[0].close)}
    assert values(second) == values(alone[1])


@settings(deadline=None)
@given(SEEDS)
def test_packets_that_pass_twice_change_nothing(seed: int) -> None:
    """A SPAN port, all interfaces together, or a network that duplicates: sooner than a sender repeats."""
    chance = random.Random(seed)
    way = path(chance, counting=True)
    made, firsts = connection(chance, way)
    seen = passed(made)
    if not seen:
        return
    late_ms = chance.choice((0.02, min(sum(way.delays_ms), 2.9)))
    copies = [(ms + late_ms * chance.random(), one) for ms, one in seen if chance.random() < 0.2]
    both = sorted([*seen, *copies], key=lambda one: one[0])
    found, expected = tracked(both, firsts).only, tracked(seen, firsts).only
    names = ("not_captured", "unacknowledged", "retransmitted", "lost_before", "keepalives", "zero_windows")
    assert values(found, names) == values(expected, names)
    for side, one in enumerate((found.client, found.server)):
        assert one.duplicated <= sum(packet.side == side for _, packet in copies)
