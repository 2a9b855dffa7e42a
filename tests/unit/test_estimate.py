"""What a capture will write and cost, and whether the disk holds it: arithmetic, before anything is loaded."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.abi import PACKET_BLOCK, PACKET_BLOCK_END
from capture.errors import FormatError, SpecError, TargetError
from capture.estimate import costs
from capture.estimate.costs import COEFFICIENTS, Cost, Costs, Known, known_costs, shipped
from capture.estimate.load import InterfaceLoad, Load, parse_assumed
from capture.estimate.outlook import Outlook
from capture.estimate.price import HEADERS_MOST, Cap, Estimate, Price, PriceFactors, Share, assumptions, price
from capture.estimate.price import estimate as estimate_with
from capture.estimate.room import Disk, bytes_needed, seconds_until_full, warnings
from capture.estimate.room import DiskLimits as Limits
from capture.pcapng.blocks import PACKET_HEADER, PACKET_TRAILER, packet_block_bytes
from capture.wire.direction import Direction

FORWARD, REVERSE, BOTH = Direction.FORWARD, Direction.REVERSE, Direction.BOTH
GIB, S, H = 1 << 30, 10**9, 3600 * 10**9

LOADS = (
    InterfaceLoad("veth1", Load(1000, 100_000), Load(3000, 4_500_000)),  # requests of 100 bytes, replies of 1500
    InterfaceLoad("veth2", Load(500, 30_000), Load()),
)
WHOLE = PriceFactors(snaplen=262_144)
COSTS = Costs(
    kernel_second=Cost(1e6, 1e5),
    kernel_seen=Cost(10, 1),
    kernel_left_out=Cost(5, 1),
    kernel_captured=Cost(100, 3),
    kernel_byte=Cost(0.5, 0.1),
    process_second=Cost(2e7, 1e6),
    process_packet=Cost(1000, 40),
    process_byte=Cost(2, 0.03),
    kernel_off=0,
    process_off=0,
    source="2 CPUs, Linux 6.18, 2026-11-25",
)


def estimate(loads: Sequence[InterfaceLoad], asked: PriceFactors, direction: Direction) -> Estimate:
    """With the costs above."""
    return estimate_with(loads, asked, direction, COSTS)


BLOCK_100, BLOCK_1500, BLOCK_60 = 144, 1544, 104

RATES = [
    # what is asked, of which direction, packets/s forward and reverse, bytes/s in the file
    ("everything", WHOLE, BOTH, 1500, 3000, 1000 * BLOCK_100 + 500 * BLOCK_60 + 3000 * BLOCK_1500),
    ("forward alone", WHOLE, FORWARD, 1500, 0, 1000 * BLOCK_100 + 500 * BLOCK_60),
    ("reverse alone", WHOLE, REVERSE, 0, 3000, 3000 * BLOCK_1500),
    ("80 bytes of each", replace(WHOLE, snaplen=80), BOTH, 1500, 3000, 4000 * 124 + 500 * BLOCK_60),
    ("padding", replace(WHOLE, snaplen=81), REVERSE, 0, 3000, 3000 * 128),
    ("headers", replace(WHOLE, headers_only=True), BOTH, 1500, 3000, 4000 * 112 + 500 * BLOCK_60),
    ("fewer than headers", replace(WHOLE, headers_only=True, snaplen=20), REVERSE, 0, 3000, 3000 * 64),
    ("a tenth", replace(WHOLE, shares={FORWARD: 0.1, REVERSE: 0.1}), BOTH, 150, 300, 14_400 + 5_200 + 463_200),
    ("a tenth back", replace(WHOLE, shares={REVERSE: 0.1}), BOTH, 1500, 300, 144_000 + 52_000 + 463_200),
    ("a cap of both", replace(WHOLE, caps=[Cap(packets=450)]), BOTH, 150, 300, 14_400 + 5_200 + 463_200),
    ("a cap of both, reverse", replace(WHOLE, caps=[Cap(packets=450)]), REVERSE, 0, 450, 450 * BLOCK_1500),
    ("a cap back", replace(WHOLE, caps=[Cap(direction=REVERSE, packets=30)]), REVERSE, 0, 30, 30 * BLOCK_1500),
    ("a cap of bits", replace(WHOLE, caps=[Cap(bits=3_600_000)]), REVERSE, 0, 300, 300 * BLOCK_1500),
    ("a cap of bits kept", replace(WHOLE, snaplen=80, caps=[Cap(bits=192_000)]), REVERSE, 0, 300, 300 * 124),
    ("a cap above", replace(WHOLE, caps=[Cap(packets=3000, bits=36e6)]), REVERSE, 0, 3000, 3000 * BLOCK_1500),
    (
        "the lower of two caps, after a share",
        replace(WHOLE, shares={REVERSE: 0.5}, caps=[Cap(packets=900), Cap(direction=REVERSE, bits=1_200_000)]),
        REVERSE, 0, 100, 100 * BLOCK_1500,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "asked", "direction", "forward", "reverse", "file"), RATES, ids=[case[0] for case in RATES]
)
def test_packets_and_bytes(
    what: str, asked: PriceFactors, direction: Direction, forward: float, reverse: float, file: float
) -> None:
    expected = estimate(LOADS, asked, direction)
    assert (expected.forward_packets, expected.reverse_packets) == pytest.approx((forward, reverse))
    assert expected.packets == pytest.approx(forward + reverse)
    assert expected.file_bytes == pytest.approx(file)
    assert expected.file_bytes_per_hour == pytest.approx(file * 3600)


PRICES = [
    # packets and bytes per second, kernel, process: shares of a CPU and their errors
    ("nothing", {}, Share(0, 0), Share(0, 0)),
    ("seen", {"seen": 1e6}, Share(0.01, 0.001), Share(0, 0)),
    ("left out", {"seen": 1e6, "left_out": 1e6}, Share(0.015, 2**0.5 / 1000), Share(0, 0)),
    (
        "captured",
        {"seen": 2e6, "captured": 1e6, "captured_bytes": 1e8},
        Share(0.001 + 0.02 + 0.1 + 0.05, (1e-8 + 4e-6 + 9e-6 + 1e-4) ** 0.5),
        Share(0.02 + 1 + 0.2, (1e-6 + 1.6e-3 + 9e-6) ** 0.5),
    ),
]


@pytest.mark.parametrize(("what", "amounts", "kernel", "process"), PRICES, ids=[case[0] for case in PRICES])
def test_a_price_is_what_each_part_costs_and_errors_add_up_as_independent_ones_do(
    what: str, amounts: dict[str, float], kernel: Share, process: Share
) -> None:
    none = dict.fromkeys(("seen", "left_out", "captured", "captured_bytes"), 0.0)
    found = price(COSTS, **(none | amounts))
    for share, expected in ((found.kernel, kernel), (found.process, process)):
        assert (share.of_cpu, share.error) == pytest.approx((expected.of_cpu, expected.error))


def test_how_far_single_workloads_are_off_adds_to_the_error() -> None:
    found = price(replace(COSTS, kernel_off=0.3, process_off=0.4), **PRICES[3][1] | {"left_out": 0.0})
    assert found.kernel.error == pytest.approx(math.hypot(PRICES[3][2].error, 0.3 * found.kernel.of_cpu))
    assert found.process.error == pytest.approx(math.hypot(PRICES[3][3].error, 0.4 * found.process.of_cpu))


def test_an_estimate_pays_for_what_is_seen_left_out_and_captured() -> None:
    found = estimate(LOADS, replace(WHOLE, snaplen=60, shares={REVERSE: 0.5}), REVERSE)
    assert found.price == price(COSTS, seen=4500, left_out=1500, captured=1500, captured_bytes=1500 * 60)


def test_what_is_not_of_the_direction_is_only_seen() -> None:
    found = estimate(LOADS, WHOLE, FORWARD)
    assert found.price == price(COSTS, seen=4500, left_out=0, captured=1500, captured_bytes=130_000)


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(COSTS.as_json()))
    assert known_costs(str(file)) == Known(COSTS, f"of {file}")


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(28.25, 1.43), "28.2 ± 1.4"),
        (Cost(9_243_211, 731_000), "9,240,000 ± 730,000"),
        (Cost(0.48219, 0.0231), "0.482 ± 0.023"),
        (Cost(0, 104_000), "0 ± 100,000"),
        (Cost(45.6, 11), "45.6 ± 11"),
    ],
)
def test_a_cost_is_written_with_the_digits_that_mean_something(cost: Cost, text: str) -> None:
    assert str(cost) == text


def test_the_shipped_costs_are_complete() -> None:
    assert all(getattr(shipped(), name).ns >= 0 for name in COEFFICIENTS)
    assert shipped().kernel_seen.ns > 0 < shipped().process_packet.ns


DAMAGED = [
    ("empty", "", "is not a file of costs"),
    ("no JSON", "costs", "is not a file of costs"),
    ("a list", "[]", "is not a file of costs"),
    ("another version", json.dumps(COSTS.as_json() | {"version": 0}), "has version 0, not 2"),
    ("a coefficient too few", json.dumps(COSTS.as_json() | {"coefficients": {}}), "is not a file of costs"),
    ("words for numbers", json.dumps(COSTS.as_json()).replace("10", '"x"'), "is not a file of costs"),
    ("below nothing", json.dumps(COSTS.as_json()).replace("10", "-10"), "is not a file of costs"),
    ("without end", json.dumps(COSTS.as_json()).replace("1000", "Infinity"), "is not a file of costs"),
    ("deeper than any", "[" * 100_000, "is not a file of costs"),
]


@pytest.mark.parametrize(("what", "text", "said"), DAMAGED, ids=[case[0] for case in DAMAGED])
def test_a_damaged_file_of_costs_is_said_and_the_nodes_own_is_replaced(
    what: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "costs.json"
    file.write_text(text)
    with pytest.raises(FormatError, match=f"{said}.*--calibrate"):
        known_costs(str(file))
    monkeypatch.setattr(costs, "NODE_FILE", str(file))
    found = known_costs(None)
    assert found.costs == shipped()
    assert found.origin.startswith("shipped with bicap")
    assert found.trouble is not None
    assert said in found.trouble


def test_a_file_of_costs_that_is_missing_matters_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "none")
    monkeypatch.setattr(costs, "NODE_FILE", missing)
    assert (known_costs(None).costs, known_costs(None).trouble) == (shipped(), None)
    with pytest.raises(TargetError, match="cannot be read: No such file"):
        known_costs(missing)


def test_a_calibration_of_this_node_is_used_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(COSTS.as_json()))
    monkeypatch.setattr(costs, "NODE_FILE", str(file))
    assert known_costs(None) == Known(COSTS, "calibrated on this node")


def test_a_calibration_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "NODE_FILE", str(tmp_path))
    found = known_costs(None)
    assert found.costs == shipped()
    assert found.trouble == f"costs {tmp_path} cannot be read: Is a directory; until then the shipped costs are used"


def test_a_block_is_as_long_as_the_merge_writes_it() -> None:
    assert (PACKET_BLOCK.itemsize, PACKET_BLOCK_END.itemsize) == (PACKET_HEADER, PACKET_TRAILER)
    assert [packet_block_bytes(captured) for captured in (60, 61, 64, 65)] == [104, 108, 108, 112]


loads = st.builds(lambda packets, size: Load(packets, packets * size), st.floats(0, 1e7), st.floats(14, 65_535))
asked = st.builds(
    PriceFactors,
    snaplen=st.integers(18, 262_144),
    headers_only=st.booleans(),
    shares=st.dictionaries(st.sampled_from((FORWARD, REVERSE)), st.floats(0, 1)),
    caps=st.lists(
        st.builds(
            Cap, direction=st.sampled_from(Direction), packets=st.floats(0.01, 1e7), bits=st.floats(1, 1e11)
        )
    ),
)  # fmt: skip


@given(st.lists(st.builds(InterfaceLoad, st.just("veth"), loads, loads)), asked)
def test_nothing_makes_more_of_what_passes(found: list[InterfaceLoad], wish: PriceFactors) -> None:
    whole = {way: estimate(found, WHOLE, way) for way in Direction}
    kept = {way: estimate(found, wish, way) for way in Direction}
    close = 1 + 1e-9
    for way in Direction:
        for value in ("packets", "file_bytes"):
            assert getattr(kept[way], value) <= getattr(whole[way], value) * close
        for where in ("kernel", "process"):
            assert getattr(kept[way].price, where).of_cpu <= getattr(whole[way].price, where).of_cpu * close
        for cap in wish.caps:
            limited = {BOTH: "packets", FORWARD: "forward_packets", REVERSE: "reverse_packets"}[cap.direction]
            assert getattr(kept[way], limited) <= cap.packets * close
    assert whole[FORWARD].file_bytes + whole[REVERSE].file_bytes == pytest.approx(whole[BOTH].file_bytes)
    assert kept[BOTH].file_bytes <= (kept[FORWARD].file_bytes + kept[REVERSE].file_bytes) * close


@given(loads, st.floats(0, 1), st.floats(14, 65_535), st.floats(14, 65_535), st.integers(18, 262_144))
def test_what_is_kept_of_a_mean_length_is_at_least_the_mean_of_what_is_kept(
    load: Load, part: float, small: float, large: float, snaplen: int
) -> None:
    """Apart from padding, which is rounded once instead of for each length."""

    def written(*sizes: tuple[float, float]) -> float:
        mixed = Load(sum(packets for packets, _ in sizes), sum(packets * size for packets, size in sizes))
        return estimate([InterfaceLoad("veth", mixed, Load())], PriceFactors(snaplen=snaplen), FORWARD).file_bytes

    few, many = load.packets * part, load.packets * (1 - part)
    apart = written((few, small)) + written((many, large))
    assert written((few, small), (many, large)) >= (apart - 4 * load.packets) * (1 - 1e-9)


NOTES = [
    # what is asked, a word of the line that then appears
    ("a filter", {"filtered": True}, "matches the filter"),
    ("headers", {"headers_only": True}, f"{HEADERS_MOST} bytes"),
    ("a share", {"shares": {FORWARD: 0.5}}, "large flows"),
    ("the first of each flow", {"first": True}, "first packets"),
    ("control packets", {"keeps_control": True}, "SYN, FIN, RST"),
    ("compression", {"compressed": True}, "compression"),
]


@pytest.mark.parametrize(("what", "changed", "words"), NOTES, ids=[case[0] for case in NOTES])
def test_what_is_taken_for_granted_is_said(what: str, changed: dict[str, object], words: str) -> None:
    assert len(assumptions(WHOLE)) == 1
    told = assumptions(replace(WHOLE, **changed))  # type: ignore[arg-type]
    assert len(told) == 2
    assert words in told[1]


ASSUMED = [
    # words, packets/s and bytes/s of both directions
    ("100kpps,800B", 100_000, 80_000_000),
    ("1.5Mpps,64B", 1_500_000, 96_000_000),
    ("800b, 2 PPS", 2, 1600),
    ("1Gpps,1.5kB", 10**9, 1.5e12),
    ("10mbit,800B", 1562.5, 1_250_000),
    ("100kpps,400Mbit", 100_000, 50_000_000),
    ("1gbit,65535B", 125e6 / 65_535, 125e6),
]

NOT_ASSUMED = [
    # what is wrong, words, what is said of it
    ("nothing", "", "is not understood"),
    ("no size", "100kpps", "is not understood"),
    ("no number of packets", "800B", "is not understood"),
    ("bits alone", "10mbit", "is not understood"),
    ("all three, which may contradict each other", "1kpps,800B,10mbit", "is not understood"),
    ("the same twice", "800B,900B", "is not understood"),
    ("the same twice, and another", "800B,1kpps,900B", "is not understood"),
    ("no unit", "100,800", "is not understood"),
    ("bps, which is bits to some and bytes to tc", "1kpps,10mbps", "is not understood"),
    ("a prefix of powers of two", "1Kipps,800B", "is not understood"),
    ("negative", "-1kpps,800B", "is not understood"),
    ("a trailing comma", "1kpps,800B,", "is not understood"),
    ("no packet", "0pps,800B", "is not more than 0"),
    ("no size at all", "1kpps,0B", "is not more than 0"),
    ("no bit", "1kpps,0bit", "is not more than 0"),
    ("less than a header", "1kpps,13B", "a packet of 13 bytes is not from 14 to 65535"),
    ("more than a packet", "1pps,1gbit", "a packet of 1.25e+08 bytes is not from"),
]


@pytest.mark.parametrize(("words", "packets", "size"), ASSUMED, ids=[case[0] for case in ASSUMED])
def test_an_assumed_load_is_half_of_the_total_each_way(words: str, packets: float, size: float) -> None:
    load = parse_assumed(words)
    assert load.from_pod == load.to_pod
    assert (load.from_pod.packets, load.from_pod.bytes) == pytest.approx((packets / 2, size / 2))


@pytest.mark.parametrize(("what", "words", "said"), NOT_ASSUMED, ids=[case[0] for case in NOT_ASSUMED])
def test_no_load_that_can_be_assumed(what: str, words: str, said: str) -> None:
    with pytest.raises(SpecError, match=f"^--assume '.*{said.replace('+', '[+]')}"):
        parse_assumed(words)


# 1 MB/s in the file: 1,000 packets/s of 956 bytes, 3 of 4 of them forward.
STEADY = estimate([InterfaceLoad("veth", Load(750, 717_000), Load(250, 239_000))], WHOLE, BOTH)
SILENT = estimate([InterfaceLoad("veth", Load(), Load())], WHOLE, BOTH)

NEEDS = [
    # what limits, limits, bytes on the disk at most
    ("nothing", Limits(), math.inf),
    ("time", Limits(duration_ns=90 * S), 90e6),
    ("bytes", Limits(max_bytes=12_345), 12_345),
    ("packets", Limits(counts={BOTH: 5000}), 5e6),
    ("packets forward", Limits(counts={FORWARD: 7500}), 10e6),
    ("packets back", Limits(counts={REVERSE: 500}), 2e6),
    ("a ring of sizes", Limits(file_bytes=1_000_000, files_kept=4), 4e6),
    ("a ring of times", Limits(file_ns=60 * S, files_kept=10), 600e6),
    ("a ring, whichever is full first", Limits(file_bytes=10**9, file_ns=60 * S, files_kept=10), 600e6),
    ("a size of files, of which all are kept", Limits(file_bytes=1_000_000), math.inf),
    ("whichever comes first", Limits(duration_ns=90 * S, max_bytes=10**9, counts={BOTH: 1000}), 1e6),
]


@pytest.mark.parametrize(("what", "limits", "need"), NEEDS, ids=[case[0] for case in NEEDS])
def test_bytes_on_the_disk(what: str, limits: Limits, need: float) -> None:
    assert bytes_needed(STEADY, limits) == pytest.approx(need)


def test_silence_needs_no_disk() -> None:
    assert bytes_needed(SILENT, Limits()) == 0
    assert seconds_until_full(SILENT, Limits(), Disk("/data", GIB, 0)) == math.inf


DAY_OF_IT = 86_400 * 10**6

DISKS = [
    # what, limits, free bytes, what is said (None: no warning)
    ("room for a day", Limits(), DAY_OF_IT, None),
    ("room for less than a day", Limits(), DAY_OF_IT - 10**6, "enough for 23h59m59s, and nothing ends the capture"),
    ("a file of exactly what is free", Limits(max_bytes=GIB), GIB, None),
    ("a byte more than is free", Limits(max_bytes=GIB + 1), GIB, "and the capture takes 1.0 GiB; give a lower limit"),
    ("an hour where a minute fits", Limits(duration_ns=H), 60 * 10**6, "enough for 1m00s, and the capture takes 3.4"),
    ("a ring that fits", Limits(file_bytes=10**6, files_kept=3), 3 * 10**6, None),
    ("a ring that does not", Limits(file_bytes=10**6, files_kept=4), 3 * 10**6, "enough for 3.0 s, and the capture"),
    ("a year in a ring that fits", Limits(duration_ns=8766 * H, file_ns=S, files_kept=2), 10**7, None),
    ("files without end", Limits(file_bytes=10**6), 10**9, "enough for 16m40s, and nothing ends the capture before"),
    ("room above what must stay free", Limits(max_bytes=GIB, min_free=GIB), 2 * GIB, None),
    ("less", Limits(max_bytes=GIB, min_free=GIB + 1), 2 * GIB, "has 2.0 GiB free, and 1.0 GiB must stay free"),
    ("less than must stay free", Limits(max_bytes=1, min_free=GIB), GIB, "must stay free: no room for a capture"),
    ("a full disk", Limits(max_bytes=1), 0, "/data has 0 B free: no room for a capture; write elsewhere"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "limits", "free", "said"), DISKS, ids=[case[0] for case in DISKS])
def test_a_disk_that_is_too_small_is_warned_of(what: str, limits: Limits, free: int, said: str | None) -> None:
    told = warnings(STEADY, limits, Disk("/data", DAY_OF_IT, free))
    assert len(told) == (said is not None)
    assert (said or "") in "".join(told)


def test_what_goes_to_no_file_fills_no_disk() -> None:
    assert warnings(STEADY, Limits(), None) == []


def test_silence_is_warned_of_because_its_estimate_says_nothing() -> None:
    assert ["--look" in line for line in warnings(SILENT, Limits(), Disk("/data", GIB, GIB))] == [True]


def test_more_than_one_cpu_is_warned_of() -> None:
    def of(share: float) -> Estimate:
        return replace(STEADY, price=Price(kernel=Share(0, 0), process=Share(share, 0)))

    assert warnings(of(1.0), Limits(), None) == []
    assert ["needs 140% of a CPU" in line for line in warnings(of(1.4), Limits(), None)] == [True]


OUTLOOK = Outlook(
    loads=LOADS,
    source="--assume",
    asked=WHOLE,
    limits=Limits(duration_ns=H),
    direction=REVERSE,
    disk=Disk("/data", 100 * GIB, GIB),
    known=Known(COSTS, "calibrated on this node"),
)

LINES = """\
load      veth1: from_pod 1,000 packets/s, 97.7 KiB/s; to_pod 3,000 packets/s, 4.3 MiB/s
          veth2: from_pod 500 packets/s, 29.3 KiB/s; to_pod 0 packets/s, 0 B/s
source    --assume
estimate              packets/s        file/s        file/h   process CPU    kernel CPU
          forward         1,500     191.4 KiB     672.9 MiB     2.2% ±0.1    0.1% ±0.01
          reverse         3,000       4.4 MiB      15.5 GiB     3.2% ±0.1    0.4% ±0.05  <- asked for
          both            4,500       4.6 MiB      16.2 GiB     3.4% ±0.1    0.4% ±0.05
disk      /data has 1.0 GiB free; the capture takes at most 15.5 GiB; room for 3m52s
costs     calibrated on this node
          2 CPUs, Linux 6.18, 2026-11-25
assumed   forward is what leaves the pod (without a pod's veth: this machine)
warning: /data has 1.0 GiB free: enough for 3m52s, and the capture takes 15.5 GiB; give a lower limit, or -C and -W
"""


def test_the_lines_of_a_person() -> None:
    assert "\n".join(OUTLOOK.lines()) + "\n" == LINES


def test_json_is_plain_and_holds_the_same_numbers() -> None:
    plain = json.loads(json.dumps(OUTLOOK.as_json(), allow_nan=False))
    assert [load["interface"] for load in plain["loads"]] == ["veth1", "veth2"]
    assert plain["loads"][0]["to_pod"] == {"packets_per_second": 3000, "bytes_per_second": 4_500_000}
    assert plain["direction"] == "reverse"
    assert plain["reverse"]["file_bytes_per_second"] == 3000 * BLOCK_1500
    assert plain["both"]["packets_per_second"] == 4500
    assert plain["disk"]["needed_bytes"] == 3600 * 3000 * BLOCK_1500
    assert plain["disk"]["full_after_seconds"] == pytest.approx(GIB / (3000 * BLOCK_1500))
    assert len(plain["warnings"]) == 1


def test_json_has_null_for_what_has_no_end_and_for_no_disk() -> None:
    silent = replace(OUTLOOK, loads=(), limits=Limits()).as_json()["disk"]
    assert (silent["needed_bytes"], silent["full_after_seconds"]) == (0, None)
    assert replace(OUTLOOK, limits=Limits()).as_json()["disk"]["needed_bytes"] is None
    assert replace(OUTLOOK, disk=None).as_json()["disk"] is None
