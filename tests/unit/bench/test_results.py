"""Lines of a run -> medians, tables, targets, and what the guard says of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import guard, targets
from bench.guard import comparable, regressions
from bench.lines import read, save
from bench.lossless import STEPS, highest
from bench.markdown import markdown
from capture.benchmark.loads import DEFAULT_PACKETS, LOADS, BenchLoad
from capture.benchmark.measure import Run, rounds
from capture.benchmark.result_table import as_text
from capture.benchmark.results import NOTHING, Line, Results, spread
from capture.benchmark.senders import BATCH
from capture.benchmark.tools import ToolResult


def line(load: str, tool: str, sender_ns: float, cpu_ns: float | None = None, lost: int = 0) -> Line:
    """A line of three runs around the values given."""
    runs = [sender_ns - 10, sender_ns, sender_ns + 30]
    if cpu_ns is None:
        return Line(load=load, tool=tool, size=64, sent=1000, expected=[1000] * 3, sender_ns=runs)
    return Line(
        load=load, tool=tool, size=64, sent=1000, expected=[1000] * 3, sender_ns=runs,
        cpu_ns=[cpu_ns - 1, cpu_ns, cpu_ns + 9], lost=[0, lost, 0], rss_mib=[9, 10, 11], file_bytes=[2_000_000] * 3,
    )  # fmt: skip


RESULTS = Results(
    [
        line("64 B", "bicap", 170, 50, lost=5),
        line("64 B", "tcpdump", 240, 80),
        line("64 B", NOTHING, 100),
        line("hit 0 %", "bicap", 130, 1),
        line("hit 0 %", NOTHING, 100),
    ]
)

TABLE = """\
64 B: 1,000 packets of 64 bytes, 3 runs; median (least-most)
tool      Mpps      sender ns  added ns      CPU ns  node ns  ratio  lost  file MB  RSS MiB
nothing  10.00   100 (90-130)
bicap     5.88  170 (160-200)        70  50 (49-59)      120   0.55     5        2       11
tcpdump   4.17  240 (230-270)       140  80 (79-89)      220   1.00     0        2       11
"""


def test_a_table_has_medians_and_their_spread_and_the_worst_loss() -> None:
    found = Results(one for load in ("64 B",) for one in RESULTS.tools(load))
    assert as_text(found) + "\n" == TABLE


def test_markdown_has_text_left_and_numbers_right() -> None:
    assert markdown(["tool", "ns"], [["bicap", "5"]]) == "| tool | ns |\n| --- | ---: |\n| bicap | 5 |"


def test_lines_are_read_as_they_were_saved_and_the_last_of_a_kind_counts(tmp_path: Path) -> None:
    path = str(tmp_path / "made" / "results.jsonl")
    first, other = line("64 B", "bicap", 170, 50), line("64 B", NOTHING, 100)
    again = replace(first, cpu_ns=[1.0, 2.0, 3.0])
    save([first, other], path)
    save([again], path)
    assert read(path) == [again, other]


def test_a_node_pays_what_the_sender_and_the_process_pay_per_packet_at_the_interface() -> None:
    half = replace(line("hit 50 %", "bicap", 130, 40), expected=[500] * 3)
    dropped = replace(line("half dropped", "bicap", 130, 40), expected=[500] * 3, dropped=[500] * 3)
    alone = [line(load, NOTHING, 100) for load in ("hit 50 %", "half dropped")]
    found = Results([half, dropped, *alone])
    assert found.node_ns("hit 50 %", "bicap") == 30 + 40 / 2
    assert found.node_ns("half dropped", "bicap") == 30 + 40
    assert found.node_ns("hit 50 %", NOTHING) is None
    assert found.node_ratio("hit 50 %", "bicap") is None


def test_json_has_what_follows_from_the_other_lines_of_a_load() -> None:
    found = {(entry["load"], entry["tool"]): entry for entry in RESULTS.as_json()}
    parts = ("added_ns", "node_ns", "node_ratio")
    assert [found["64 B", "bicap"][part] for part in parts] == [70, 120, 120 / 220]
    assert [found["64 B", "tcpdump"][part] for part in parts] == [140, 220, 1]
    assert [found["64 B", NOTHING][part] for part in parts] == [0, None, None]
    assert found["64 B", "bicap"]["cpu_ns"] == [49, 50, 59]


def test_a_loss_is_judged_only_where_tcpdump_loses_nothing() -> None:
    lines = [line("64 B", "bicap", 170, 50, lost=5), line("64 B", NOTHING, 100)]
    for theirs, judged in ((0, True), (1, False)):
        found = targets.rows(Results([*lines, line("64 B", "tcpdump", 240, 80, lost=theirs)]))
        assert any(name.startswith("lost") for name, *_ in found) == judged


VERDICTS = [
    # target, ratio, verdict
    ("lost at full speed, 64 B", "0.01", "not met"),
    ("what a node pays through tcpdump's, 64 B", "0.55", "met"),
    ("CPU per packet through tcpdump's, 64 B", "0.62", "met"),
    ("added to the sender through tcpdump's, 64 B", "0.50", "met"),
    ("added for what does not match, through tcpdump's full capture", "0.21", "met"),
]


def test_targets_are_ratios_of_what_was_measured_and_nothing_else_is_judged() -> None:
    assert [(name, ratio, verdict) for name, ratio, _, verdict in targets.rows(RESULTS)] == VERDICTS


@pytest.mark.parametrize(("ours", "ratio", "verdict"), [(140.0, "1.00", "met"), (150.0, "1.07", "not met")])
def test_latency_is_held_against_the_middle_of_none_and_tcpdump(ours: float, ratio: str, verdict: str) -> None:
    found = targets.rows(Results([], {"bicap": ours, NOTHING: 120.0, "tcpdump": 160.0}))
    assert [(row[1], row[3]) for row in found] == [(ratio, verdict)]


def test_what_the_link_itself_dropped_is_said_and_is_nobodys_loss() -> None:
    one = replace(line("64 B", "bicap", 170, 50), dropped=[0, 64, 0], expected=[1000, 936, 1000])
    assert as_text(Results([one])).startswith(
        "64 B: 1,000 packets of 64 bytes, 3 runs; median (least-most); the link itself dropped up to 64\n"
    )
    assert one.lost_shares == [0, 0, 0]


def test_a_loss_of_one_packet_in_a_million_is_a_loss() -> None:
    target = targets.TARGETS[0]
    assert not target.met_by(1e-6)
    assert target.met_by(0.0)


REGRESSIONS = [
    # name, before, now, whether it is said
    ("verified instructions, everything", 100.0, 105.0, False),
    ("verified instructions, everything", 100.0, 106.0, True),
    ("instructions of the drain per packet", 100.0, 114.0, False),
    ("instructions of the drain per packet", 100.0, 116.0, True),
    ("ratio: CPU", 0.70, 0.84, False),
    ("ratio: CPU", 0.70, 0.85, True),
    ("ratio: lost", 0.0, 0.0, False),
    ("ratio: lost", 0.0, 0.01, True),
    ("ratio: CPU", 0.70, 0.10, False),
]


@pytest.mark.parametrize(("name", "before", "now", "said"), REGRESSIONS)
def test_the_guard_speaks_above_its_margin(name: str, before: float, now: float, said: bool) -> None:
    assert bool(regressions({name: before}, {name: now})) == said


def test_the_guard_judges_nothing_new_and_no_verifier_of_another_kernel() -> None:
    committed = {"kernel": "6.1", "values": {"verified instructions, everything": 5.0, "ratio: CPU": 0.5}}
    assert comparable(committed, "6.1") == committed["values"]
    assert comparable(committed, "6.2") == {"ratio: CPU": 0.5}
    assert regressions({}, {"ratio: CPU": 9.0}) == []


def test_what_is_committed_names_what_is_measured() -> None:
    values = comparable(guard.committed(), guard.committed()["kernel"])
    named = {f"ratio: {target.name}" for target in targets.TARGETS}
    assert {name for name in values if name.startswith("ratio: ")} <= named


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_a_load_is_whole_batches_of_the_sender_and_a_whole_number_of_hits(load: BenchLoad) -> None:
    assert load.packets <= DEFAULT_PACKETS
    assert load.packets % (16 * BATCH) == 0
    assert load.expected(load.packets) == load.packets * load.hits


def test_every_round_has_everyone_and_begins_with_another() -> None:
    assert list(rounds("abc", 4)) == [
        (n, tool) for n, turn in enumerate(["abc", "bca", "cab", "abc"]) for tool in turn
    ]


def test_a_spread_is_median_least_and_most() -> None:
    assert spread([3000.4, 1.0, 5000.0]) == "3,000 (1-5,000)"


@pytest.mark.parametrize("limit", [0.3e6, 1.0e6, 4.9e6, 7.7e6])
def test_the_highest_rate_without_loss_is_found_to_a_step(limit: float) -> None:
    def attempt(rate: float | None) -> Run:
        actual = min(rate or 9e6, 9e6)
        lost = 1 if actual > limit else 0
        return Run(1e9 / actual, actual, 100, 0, 100, ToolResult(100 - lost, 0, 0.0, 0.0))

    assert limit - 10e6 / (1 << STEPS) <= highest(attempt, 10e6) <= limit


def test_a_tool_that_loses_nothing_at_full_speed_has_the_rate_that_it_leaves_the_sender() -> None:
    assert highest(lambda rate: Run(200.0, 5e6, 100, 0, 100, ToolResult(100, 0, 0.0, 0.0)), 10e6) == 5e6
