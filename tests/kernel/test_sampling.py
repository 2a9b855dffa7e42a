"""The packets that samplers keep: the law of each sampler, on thousands of conversations.

The kernel's choice of conversations is held against tests/kernel/sampler_runs.py, which computes it anew.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from ctypes import create_string_buffer
from fractions import Fraction
from functools import lru_cache
from math import sqrt
from random import Random
from typing import Any

import numpy as np
import pytest

from capture.abi import PRESSURE, REVERSE
from capture.errors import VerifierError
from capture.filters.expression import parse_expression
from capture.filters.ruletext import RuleText
from capture.kernel import syscall
from capture.sampling.levels import OnPressure
from capture.spec import SNAPLEN_MAX
from capture.wire.direction import Direction
from testbed import generate, packets
from tests import oracle
from tests.conftest import SEED
from tests.kernel.harness import RING_BYTES, Programs
from tests.kernel.sampler_runs import (
    Conversations,
    Yes,
    conversations,
    counts,
    is_kept,
    kept,
    mix,
    records,
    sampled,
)
from tests.kernel.verdicts import runnable

FLOWS = 100_000
TENTH = Fraction(1, 10)
RULES = {"rules": [RuleText(source="10.0.0.0/8").rule(), RuleText(source="fd00::/16").rule()]}
EXPRESSION = {"expression": parse_expression("src net 10.0.0.0/8 or src net fd00::/16")}


@lru_cache(1)
def everybody() -> tuple[list[Conversations], list[bytes], list[bytes]]:
    """Return the conversations, a packet of each, and an answer in each."""
    all_of_them = conversations(FLOWS)
    forward, reverse = ([frame for some in all_of_them for frame in some.frames(back)] for back in (False, True))
    return all_of_them, forward, reverse


def chosen(programs: Programs, every: int = 1) -> Yes:
    """Return a mask of the conversations that the programs keep, both ways or neither; tests each `every`th."""
    forward, reverse = (frames[::every] for frames in everybody()[1:])
    there, back = np.array(kept(programs, forward)), np.array(kept(programs, reverse, "to_pod"))
    assert not np.count_nonzero(there != back), "conversations with one direction only"
    both: Yes = there == 1
    return both


def expected(share: Fraction, seed: int = 0) -> Yes:
    return np.concatenate([some.in_share(share, seed) for some in everybody()[0]])


def assert_about(count: int, of: int, share: float, sigmas: float = 4) -> None:
    """Assert that a count is within `sigmas` standard deviations of the binomial distribution."""
    assert abs(count - of * share) < sigmas * sqrt(of * share * (1 - share)), f"{count} of {of} is not {share:.2%}"


def test_of_100_000_conversations_a_tenth_is_kept_both_ways_or_not_at_all() -> None:
    with sampled("flow:1/10") as programs:
        found = chosen(programs)
        forward, reverse = counts(programs), counts(programs, "to_pod", "reverse")
    assert_about(int(found.sum()), FLOWS, 0.1)
    for some in np.split(found, 4):  # each family and protocol
        assert_about(int(some.sum()), len(some), 0.1)
    assert np.array_equal(found, expected(TENTH))
    assert forward == reverse
    assert forward == dict.fromkeys(forward, 0) | {"matched": FLOWS, "sampled_by_flow": FLOWS - int(found.sum())}


@pytest.mark.parametrize("slot", [0, 5])
def test_a_second_run_and_another_interface_choose_the_same_conversations(slot: int) -> None:
    with sampled("flow:1/10", slot=slot) as programs:
        assert np.array_equal(chosen(programs), expected(TENTH))


SAME: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "in percent": (("flow:10%",), {}),
    "with rules": (("flow:1/10",), RULES),
    "with an expression": (("flow:1/10",), EXPRESSION),
    "without control packets": (("flow:1/10",), {"keep_control": False}),
    "without payload": (("flow:1/10",), {"headers_only": True}),
    "with a larger share too": (("flow:1/10", "flow:1/2"), {}),
    "with other samplers that keep all": (("flow:1/10", "first:9", "rate:900gbit"), {}),
}


@pytest.mark.parametrize("how", SAME)
def test_the_same_conversations_are_chosen(how: str) -> None:
    samplers, more = SAME[how]
    with sampled(*samplers, **more) as programs:
        assert np.array_equal(chosen(programs, every=10), expected(TENTH)[::10])


@pytest.mark.parametrize("seed", [1, (1 << 64) - 1])
def test_another_seed_chooses_others_and_has_about_a_hundredth_in_common(seed: int) -> None:
    with sampled("flow:1/10", seed=seed) as programs:
        found = chosen(programs)
    assert np.array_equal(found, expected(TENTH, seed))
    assert_about(int(found.sum()), FLOWS, 0.1)
    assert_about(int((found & expected(TENTH)).sum()), FLOWS, 0.01)


def test_a_small_share_is_contained_in_every_larger_one() -> None:
    smaller = np.zeros(FLOWS // 4, bool)
    for share in ("1/100", "1/10", "1/2"):
        with sampled(f"flow:{share}") as programs:
            found = chosen(programs, every=4)
        assert_about(int(found.sum()), len(found), float(Fraction(share)))
        assert not np.count_nonzero(smaller & ~found)
        smaller = found


Talk = tuple[bytes, bytes, bool]
"""A packet of a conversation, an answer to it, and whether the conversation is in a share of a half."""


def some_of_each() -> Iterator[Talk]:
    for some in conversations(160):
        yield from zip(some.frames(), some.frames(back=True), some.in_share(Fraction(1, 2)).tolist(), strict=True)


def with_flags(frame: bytes, flags: int) -> bytes:
    at = 47 if frame[12:14] == b"\x08\x00" else 67
    return frame[:at] + bytes([flags]) + frame[at + 1 :]


def is_tcp(frame: bytes) -> bool:
    return (frame[23] if frame[12:14] == b"\x08\x00" else frame[20]) == packets.TCP


FLAGS = {0x02: True, 0x12: True, 0x11: True, 0x04: True, 0x14: True, 0x10: False, 0x18: False, 0xE8: False}
"""TCP flags, and True if they open or end a conversation."""
ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}


@pytest.mark.parametrize(
    "filters", [{}, EXPRESSION, RULES], ids=["everything", "an expression", "rules that find errors too"]
)
@pytest.mark.parametrize("keep_control", [True, False])
def test_control_packets_are_kept_or_sampled_with_their_conversation(
    keep_control: bool, filters: dict[str, Any]
) -> None:
    left_out: Counter[str] = Counter()
    with sampled("flow:1/2", keep_control=keep_control, **filters) as programs:
        for there, back, mine in some_of_each():
            family = 4 if there[12:14] == b"\x08\x00" else 6
            router = "10.9.9.9" if family == 4 else "fd00::99"
            for frame, entry in ((there, "from_pod"), (back, "to_pod")):
                for flags, control in FLAGS.items() if is_tcp(frame) else ():
                    always = keep_control and control
                    assert is_kept(programs, with_flags(frame, flags), entry) == (mine or always)
                other = "to_pod" if entry == "from_pod" else "from_pod"
                for kind in ERRORS[family]:
                    error = packets.icmp_error(router, frame, kind)
                    assert is_kept(programs, error, other) == (mine or keep_control)
                    left_out["error"] += not mine
    assert left_out["error"] > 400


def test_a_ping_is_not_an_error_and_is_a_conversation_of_its_own() -> None:
    with sampled("flow:1/2") as programs:
        verdicts = [
            (is_kept(programs, packets.icmp(a, b, ask)), is_kept(programs, packets.icmp(b, a, answer), "to_pod"))
            for number in range(1, 65)
            for a, b, ask, answer in (
                (f"10.0.0.{number}", "10.0.9.9", 8, 0),
                (f"fd00::{number:x}", "fd00::9:9", 128, 129),
            )
        ]
    assert set(verdicts) == {(True, True), (False, False)}


def test_every_syn_of_every_conversation_is_kept() -> None:
    _, forward, reverse = everybody()
    with sampled("flow:1/10", "packet:1/10", "first:1", "rate:1pps") as programs:
        for frames, flags, entry in ((forward, 0x02, "from_pod"), (reverse, 0x12, "to_pod")):
            syns = [with_flags(frame, flags) for frame in frames if is_tcp(frame)]
            assert kept(programs, syns, entry) == [1] * (FLOWS // 2)


def test_control_packets_take_nothing_from_counts_and_rates() -> None:
    syn, data = (packets.tcp("10.0.0.1", 1, "10.0.0.2", 2, flags=flags) for flags in (0x02, 0x18))
    with sampled("first:2") as programs:
        assert [is_kept(programs, frame) for frame in (syn, syn, syn, data, data, data, syn)] == [True] * 5 + [
            False,
            True,
        ]
    with sampled("rate:1pps") as programs:
        assert [is_kept(programs, frame) for frame in (syn, syn, syn, data, data, syn)] == [True] * 4 + [False, True]


def test_later_fragments_are_sampled_with_the_conversation_of_their_datagram() -> None:
    seen: Counter[bool] = Counter()
    with sampled("flow:1/2") as programs:
        for number, (there, back, mine) in enumerate(some_of_each(), start=1):
            if is_tcp(there):
                continue
            for frame, entry in ((there, "from_pod"), (back, "to_pod")):
                whole = frame + bytes(64)
                parts = [packets.fragment(whole, at, at < 9, number) for at in (0, 4, 9)]
                assert [is_kept(programs, part, entry) for part in parts] == [mine] * 3
                seen[mine] += 1
    assert min(seen[True], seen[False]) > 50


def test_packets_that_are_not_ip_pass_samplers_of_conversations_and_no_others() -> None:
    other = packets.ethernet(0x88B5, b"x" * 40)
    with sampled("flow:1/1000000", "first:1") as programs:
        assert kept(programs, [packets.arp(), other], repeat=50) == [50, 50]
    with sampled("flow:1/1000000000", measures=[SAMPLE]) as programs:
        press(programs, 6)  # no conversation is in the share any more
        assert kept(programs, [packets.arp(), other, QUERY], repeat=50) == [50, 50, 0]
    with sampled("packet:1/1000000") as programs:
        assert sum(kept(programs, [packets.arp(), other], repeat=50)) < 3
    with sampled("rate:1pps") as programs:
        assert kept(programs, [packets.arp(), other], repeat=50) == [1, 0]


TIMES = 200_000
QUERY, ANSWER = packets.udp("10.0.0.1", 1000, "10.0.0.2", 53), packets.udp("10.0.0.2", 53, "10.0.0.1", 1000)


@pytest.mark.parametrize(
    ("samplers", "forward", "reverse"),
    [
        (["packet:1/8"], 1 / 8, 1 / 8),
        (["packet:0.1%"], 1 / 1000, 1 / 1000),
        (["forward=packet:1/4"], 1 / 4, 1),
        (["reverse=packet:75%"], 1, 3 / 4),
        (["packet:1/2", "reverse=packet:1/4"], 1 / 2, 1 / 8),
        (["packet:1/1"], 1, 1),
    ],
)
def test_packets_are_kept_at_random_with_the_share_of_their_direction(
    samplers: list[str], forward: float, reverse: float
) -> None:
    with sampled(*samplers) as programs:
        for frame, entry, way, share in (
            (QUERY, "from_pod", "forward", forward),
            (ANSWER, "to_pod", "reverse", reverse),
        ):
            syscall.prog_test_run(programs.descriptors[entry], frame, TIMES)  # most find the ring full
            found = counts(programs, entry, way)
            assert found["matched"] == TIMES
            if share == 1:
                assert found["sampled_by_packet"] == 0
            else:
                assert_about(TIMES - found["sampled_by_packet"], TIMES, share, sigmas=6)


def test_first_packets_are_exact_for_50_000_conversations_and_each_direction() -> None:
    all_of_them = conversations(50_000)
    forward, reverse = ([frame for some in all_of_them for frame in some.frames(back)] for back in (False, True))
    with sampled("first:3", "reverse=first:1", slot=1) as programs:
        assert kept(programs, forward, repeat=5) == [3] * 50_000
        assert kept(programs, reverse, "to_pod", repeat=4) == [1] * 50_000
        assert not any(kept(programs, forward[::50]))
        assert counts(programs)["sampled_by_first"] == 2 * 50_000 + 1000
        # The other interface of this capture counts for itself.
        programs.descriptors["from_pod, slot 0"] = programs.module.load("from_pod", 0)
        found = Counter(r.packet for r in records(programs, forward[::50], "from_pod, slot 0", repeat=5))
        assert found == dict.fromkeys(forward[::50], 3)


@pytest.mark.parametrize(
    ("samplers", "forward", "reverse"),
    [
        (["reverse=first:5"], 9, 5),
        (["forward=first:2"], 2, 9),
        (["first:5", "first:3"], 3, 3),
        (["first:4", "reverse=first:1"], 4, 1),
        (["first:1", "reverse=first:7"], 1, 1),
        (["first:9"], 9, 9),
    ],
)
def test_the_lowest_of_several_counts_for_a_direction_holds(samplers: list[str], forward: int, reverse: int) -> None:
    with sampled(*samplers) as programs:
        frames = [packets.tcp("10.0.0.1", port, "10.0.0.2", 80) for port in (1, 2)]
        answers = [packets.tcp("10.0.0.2", 80, "10.0.0.1", port) for port in (1, 2)]
        assert kept(programs, frames, repeat=9) == [forward] * 2
        assert kept(programs, answers, "to_pod", repeat=9) == [reverse] * 2


def test_a_rate_is_for_its_direction_and_the_lowest_of_several_holds() -> None:
    with sampled("reverse=rate:1pps", "rate:1000gbit") as programs:
        assert kept(programs, [QUERY], repeat=50) == [50]
        assert kept(programs, [ANSWER], "to_pod", repeat=50) == [1]
    with sampled("forward=rate:1kbit", "reverse=rate:1000000pps") as programs:
        assert kept(programs, [QUERY], repeat=50) == [1]
        assert kept(programs, [ANSWER], "to_pod", repeat=50) == [50]


BUCKETS, PLACES = 1 << 18, 8


def test_conversations_that_share_a_bucket_lose_no_packets() -> None:
    """Counts are exact for as many as have a place; if there are more, some are counted anew and keep more."""
    some = conversations(4 * 1_500_000)[0]
    bucket = mix(some.numbers(), 1) % np.uint64(BUCKETS)
    fullest = np.bincount(bucket.astype(np.int64)).argmax()
    together = some.only(np.flatnonzero(bucket == fullest)).frames()
    assert len(together) > 2 * PLACES
    with sampled("first:3") as programs:
        rounds = np.array([kept(programs, together[:PLACES]) for _ in range(5)])
        assert rounds.sum(axis=0).tolist() == [3] * PLACES
    with sampled("first:3") as programs:
        rounds = np.array([kept(programs, together) for _ in range(10)])
        assert (rounds[:3] == 1).all()
        assert rounds.sum() > 3 * len(together)
        assert counts(programs)["sampled_by_first"] > 0


def test_all_samplers_must_agree_and_the_first_to_refuse_counts() -> None:
    flows, answers, mine = (list(part) for part in zip(*some_of_each(), strict=True))
    of_mine = sum(mine)
    with sampled("flow:1/2", "first:2", "forward=packet:1/1", "rate:1000gbit") as programs:
        assert kept(programs, flows, repeat=5) == [2 * yes for yes in mine]
        assert kept(programs, answers, "to_pod", repeat=5) == [2 * yes for yes in mine]
        found = counts(programs)
    assert (found["sampled_by_flow"], found["sampled_by_first"]) == (5 * (len(mine) - of_mine), 3 * of_mine)
    assert (found["sampled_by_packet"], found["sampled_by_rate"]) == (0, 0)


SAMPLERS = ("flow:1/2", "flow:30%", "packet:1/2", "reverse=packet:1/3", "first:1", "first:3", "forward=first:2",
            "rate:1000pps", "reverse=rate:50pps", "rate:1mbit", "forward=rate:100kbit")  # fmt: skip
MEASURES = ((), (), (OnPressure.TRUNCATE,), (OnPressure.SAMPLE,), (OnPressure.TRUNCATE, OnPressure.SAMPLE))
WAYS = ("forward", "reverse")


def random_filters(random: Random) -> dict[str, Any]:
    if random.random() < 0.3:
        return {"direction": random.choice(list(Direction))}
    if random.random() < 0.3:
        return EXPRESSION | {"direction": random.choice(list(Direction))}
    rules = (generate.rule(random) for _ in range(1000))
    lawful = [rule for rule in rules if rule.tcp_flags == rule.mirror.tcp_flags]
    return {"rules": lawful[:6], "icmp_errors": random.random() < 0.5, "inner": random.random() < 0.3}


def pairs(random: Random) -> Iterator[bytes]:
    """Yield packets, each followed by its mirror if the oracle knows that."""
    for number in range(150):
        packet = generate.packet(random, number)
        mirrored = oracle.mirror(packet)
        if runnable(packet):
            yield packet
            if mirrored is not None and oracle.extension_headers(packet) == 0:
                yield mirrored


@pytest.mark.random
@pytest.mark.parametrize("case", range(8))
def test_accounts_add_up_and_both_directions_have_one_verdict(case: int) -> None:
    """matched = records + sampled out + lost, in each direction; whatever samples, and whatever passes."""
    random = Random(f"{SEED} sampling {case}")
    samplers = ["flow:1/2", *random.sample(SAMPLERS, random.randrange(5))]
    inner = (filters := random_filters(random)).get("inner", False)
    measures = () if inner else random.choice(MEASURES)
    context = f"seed {SEED}: {samplers} {measures} {filters}"
    settings = {"headers_only": not inner and random.random() < 0.3, "keep_control": random.random() < 0.5}
    try:
        loaded = sampled(*samplers, **settings, measures=measures, seed=random.getrandbits(64), **filters)
    except VerifierError as error:  # much at once: refused, as a user would be told
        if "the filter is too large" not in str(error):
            raise
        return
    with loaded as programs:
        written: Counter[tuple[str, str]] = Counter()
        verdict: dict[bytes, int | None] = {}
        for packet in pairs(random):
            entry = random.choice(("from_pod", "to_pod"))
            before = programs.counters(entry)
            syscall.prog_test_run(programs.descriptors[entry], packet, random.choice((1, 1, 4)))
            after = programs.counters(entry)
            for record in programs.records():
                written[entry, WAYS[record.flags & REVERSE > 0]] += 1
            matched, out = (
                sum(int(after[way][name] - before[way][name]) for way in WAYS)
                for name in ("matched", "sampled_by_flow")
            )
            verdict[packet] = out * 100 // matched if matched else None
        for entry in ("from_pod", "to_pod"):
            row = programs.counters(entry)
            assert row["seen"] == row["unmatched"] + sum(row[way]["matched"] for way in WAYS), context
            for way in WAYS:
                found = counts(programs, entry, way)
                assert found["lost_other"] == 0, context
                assert found.pop("matched") == written[entry, way] + sum(found.values()), f"{context}: {entry} {way}"
        for packet in verdict:
            there, back = verdict[packet], verdict.get(oracle.mirror(packet) or b"")
            if there is not None and back is not None:
                assert there == back, f"{context}: {packet.hex()}"


def fill(programs: Programs, frames: list[bytes], times: int) -> None:
    for _ in range(times):
        for frame in frames:
            syscall.prog_test_run(programs.descriptors["from_pod"], frame)


@pytest.mark.parametrize("sizes", [(100,), (1000,), (3000,), (100, 3000)])
def test_a_full_ring_loses_packets_and_the_batch_is_delivered_when_there_is_room(sizes: tuple[int, ...]) -> None:
    frames = [packets.udp("10.0.0.1", 1, "10.0.0.2", 2, bytes(size - 42)) for size in sizes]
    with sampled(snaplen=SNAPLEN_MAX) as programs:
        fill(programs, frames, 2 * RING_BYTES // sum(sizes))
        first, waited = programs.records(), programs.records()
        found = counts(programs)
        assert len(first) + len(waited) == found["matched"] - found["lost_ring_full"] < found["matched"]
        assert bool(waited) == (100 in sizes or 1000 in sizes)  # large ones do not wait for others
        times = [record.time for record in first + waited]
        assert times == sorted(times)
        assert {record.packet for record in first + waited} == set(frames)
        fill(programs, frames, 9)
        assert len(programs.records()) == 9 * len(frames)
        assert counts(programs)["lost_ring_full"] == found["lost_ring_full"]


def test_on_a_cpu_without_a_ring_packets_are_lost_and_counted() -> None:
    with sampled() as programs:
        for has_ring in (0, 1):
            programs.batches.states["has_ring"] = has_ring
            assert is_kept(programs, QUERY) == has_ring
        assert counts(programs) == dict.fromkeys(counts(programs), 0) | {"matched": 2, "lost_other": 1}


TRUNCATE, SAMPLE = OnPressure.TRUNCATE, OnPressure.SAMPLE
HALVING = range(7)
LEVELS = {
    # Measures in order -> at each level: the times that the share is halved, and True if payload is cut.
    (TRUNCATE,): [(0, False), (0, True)],
    (SAMPLE,): [(halves, False) for halves in HALVING],
    (TRUNCATE, SAMPLE): [(0, False), *((halves, True) for halves in HALVING)],
    (SAMPLE, TRUNCATE): [*((halves, False) for halves in HALVING), (6, True)],
}


def level(programs: Programs) -> int:
    now = create_string_buffer(PRESSURE.itemsize)
    syscall.map_lookup(programs.module.map_fd("pressure"), 0, now)
    return int(np.frombuffer(now.raw, PRESSURE)["level"][0])


def press(programs: Programs, level: int) -> None:
    """Set the level, and report all rings as read."""
    now = np.zeros(1, PRESSURE)
    now["level"] = level
    syscall.map_update(programs.module.map_fd("pressure"), bytes(4), now.tobytes())
    for cpu, state in enumerate(programs.batches.states):
        until = int(state["submitted"]).to_bytes(8, sys.byteorder)
        syscall.map_update(programs.module.map_fd("read_until"), cpu.to_bytes(4, sys.byteorder), until)


@pytest.mark.parametrize("measures", LEVELS, ids=lambda measures: ",".join(one.value for one in measures))
def test_each_level_of_pressure_applies_its_measures(measures: tuple[OnPressure, ...]) -> None:
    share = Fraction(1, 4)
    some = conversations(2000)[1]
    frames = [frame + bytes(100) for frame in some.frames()]
    whole, headers = len(frames[0]), len(frames[0]) - 100
    in_share = some.in_share(share)
    syns = [with_flags(frame, 0x02) for frame in conversations(80)[2].frames()]
    with sampled(f"flow:{share}", measures=measures, snaplen=SNAPLEN_MAX) as programs:
        out = cut = 0
        for number, (halves, cuts) in enumerate(LEVELS[measures]):
            press(programs, number)
            mine = some.in_share(share / 2**halves)
            found = list(records(programs, frames))
            kept_bytes = headers if cuts else whole
            assert [r.packet for r in found] == [f[:kept_bytes] for f, yes in zip(frames, mine, strict=True) if yes]
            assert {r.original for r in found} == {whole}
            out, cut = out + int(in_share.sum() - mine.sum()), cut + cuts * len(found)
            names = ("sampled_by_pressure", "cut", "cut_bytes")
            assert list(counts(programs, names=names).values()) == [out, cut, cut * 100]
            press(programs, number)
            assert [r.packet for r in records(programs, syns)] == syns
            assert level(programs) == number


@pytest.mark.parametrize("size", [100, 3000])
@pytest.mark.parametrize("measures", LEVELS, ids=lambda measures: ",".join(one.value for one in measures))
def test_the_level_rises_while_nobody_reads_from_half_a_ring_to_a_full_one(
    measures: tuple[OnPressure, ...], size: int
) -> None:
    """All packets are of conversations that are always in the share."""
    some = conversations(8000)[1]
    frames = [
        frame + bytes(size - 42) for frame in some.only(np.flatnonzero(some.in_share(Fraction(1, 64)))).frames()
    ]
    top, half = len(LEVELS[measures]) - 1, RING_BYTES // 2
    with sampled(measures=measures, snaplen=SNAPLEN_MAX) as programs:
        before, seen = 0, [0]
        while not counts(programs)["lost_ring_full"]:
            fill(programs, frames[:1], 10)
            waiting, now = int(programs.batches.states["submitted"].sum()), level(programs)
            assert now >= before
            assert (now > 0) == (waiting >= half)
            if now != before:
                seen.append(now)
            before = now
        assert seen[-1] == top
        assert seen[1] == 1
        assert len(seen) >= min(top, 6)
        programs.records()
        press(programs, top)
        until = int(programs.batches.states["submitted"].sum()) + half
        while programs.batches.states["submitted"].sum() < until:
            fill(programs, frames[:1], 10)
        assert level(programs) == top  # only user space lowers it
