"""The words of a command line, with and without a file of rules -> one spec."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from capture.cli.groups import ORDER
from capture.cli.plan import plan
from capture.cli.request import build_spec
from capture.errors import SpecError
from capture.filters.rule import Direction
from capture.sampling.pressure import Measure
from capture.sampling.sampler import Sampling
from capture.sampling.words import parse_sampler
from capture.spec import CaptureSpec
from capture.storage import MinFree, Storage

S = 10**9
NOT_OF_THE_SPEC = ("output", "as_json", "look", "assume")


def asked(words: str, file: Path | None = None) -> CaptureSpec:
    """The spec for these options, separated by spaces."""
    return spec_of([*words.split(), *(["-f", str(file)] if file else [])])


def spec_of(words: list[str]) -> CaptureSpec:
    with plan.make_context("plan", ["-i", "eth0", *words]) as context:
        fields = {name: value for name, value in context.params.items() if name not in NOT_OF_THE_SPEC}
        return build_spec(context.meta[ORDER], **fields)


def samplers(*words: str) -> Sampling:
    return Sampling(samplers=tuple(parse_sampler(word) for word in words))


WORDS: list[tuple[str, str, Any]] = [
    # options, a field of the spec, its value
    ("", "sampling", Sampling()),
    ("", "storage", Storage()),
    ("", "on_pressure", ()),
    ("--sample flow:1/10 --sample reverse=first:5", "sampling", samplers("flow:1/10", "reverse=first:5")),
    ("--sample-seed 7", "sampling", Sampling(seed=7)),
    ("--no-keep-control", "sampling", Sampling(keep_control=False)),
    ("--headers-only", "sampling", Sampling(headers_only=True)),
    ("--on-pressure truncate,sample", "on_pressure", (Measure.TRUNCATE, Measure.SAMPLE)),
    ("--on-pressure sample --on-pressure truncate", "on_pressure", (Measure.SAMPLE, Measure.TRUNCATE)),
    ("-c 5", "count", 5),
    ("--count-forward 5", "count_forward", 5),
    ("--count-reverse 5", "count_reverse", 5),
    ("--max-bytes 1.5MB", "max_bytes", 1_500_000),
    ("--duration 90", "duration_ns", 90 * S),
    ("-C 100", "storage", Storage(file_bytes=100_000_000)),
    ("-C 64MiB -W 3", "storage", Storage(file_bytes=64 << 20, files_kept=3)),
    ("-G 60", "storage", Storage(file_ns=60 * S)),
    ("-G 1h30m", "storage", Storage(file_ns=5400 * S)),
    ("--compress zstd --user nobody", "storage", Storage(compress="zstd", user="nobody")),
    ("--min-free 5%", "storage", Storage(min_free=MinFree(percent=5))),
    ("--min-free 2GiB", "storage", Storage(min_free=MinFree(bytes=2 << 30))),
    ("--no-bidirectional", "direction", Direction.FORWARD),
]


@pytest.mark.parametrize(("words", "field", "value"), WORDS, ids=[case[0] or case[1] for case in WORDS])
def test_options_become_fields(words: str, field: str, value: object) -> None:
    assert getattr(asked(words), field) == value


FILE = """
direction: reverse
sample: ["flow:1/10", "first:20"]
sampleSeed: 7
keepControl: false
headersOnly: true
rules: [{protocol: udp}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(FILE)
    return tmp_path / "rules.yaml"


def test_a_file_alone_says_it_all(file: Path) -> None:
    spec = asked("", file)
    assert spec.direction is Direction.REVERSE
    assert [str(rule) for rule in spec.rules] == ["udp any > any"]
    found = samplers("flow:1/10", "first:20").samplers
    assert spec.sampling == Sampling(samplers=found, seed=7, keep_control=False, headers_only=True)


LINE_BEATS_FILE: list[tuple[str, str, object]] = [
    # options besides the file, a field of sampling, its value
    ("--sample-seed 8", "seed", 8),
    ("--sample-seed 0", "seed", 0),
    ("--keep-control", "keep_control", True),
    ("--no-keep-control", "keep_control", False),
    ("--headers-only", "headers_only", True),
]


@pytest.mark.parametrize(("words", "field", "value"), LINE_BEATS_FILE)
def test_the_command_line_goes_before_the_file(file: Path, words: str, field: str, value: object) -> None:
    assert getattr(asked(words, file).sampling, field) == value


def test_the_direction_of_the_command_line_goes_before_the_files(file: Path) -> None:
    assert asked("--direction both", file).direction is Direction.BOTH
    assert asked("--bidirectional", file).direction is Direction.BOTH


def test_samplers_and_rules_of_both_are_added_up(file: Path) -> None:
    spec = asked("--sample first:5 --protocol tcp", file)
    assert spec.sampling.samplers == samplers("first:5", "flow:1/10", "first:20").samplers
    assert [str(rule) for rule in spec.rules] == ["tcp any > any", "udp any > any"]


def test_a_sampler_of_a_file_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("sample: [flow]")
    with pytest.raises(SpecError, match=f"^rule file {tmp_path}/f.yaml: sample 'flow' is not understood"):
        asked("", tmp_path / "f.yaml")


def test_a_time_of_day_to_stop_at_is_the_next_one_after_the_start() -> None:
    start = datetime(2030, 6, 15, 12).astimezone()
    later, earlier = start + timedelta(minutes=1), start - timedelta(minutes=1)
    for time_of_day, expected in ((later, later), (earlier, earlier + timedelta(days=1))):
        spec = asked(f"--start-at {start.isoformat()} --stop-at {time_of_day:%H:%M:%S}")
        assert spec.start_at_ns == start.timestamp() * S
        assert spec.stop_at_ns == expected.timestamp() * S


def test_a_time_of_day_to_stop_at_without_a_start_is_the_next_one() -> None:
    soon = datetime.now().astimezone().replace(microsecond=0) + timedelta(minutes=2)
    assert asked(f"--stop-at {soon:%H:%M:%S}").stop_at_ns == soon.timestamp() * S


@pytest.mark.parametrize(
    "option", ["-C", "-G", "-f", "--sessions", "--max-bytes", "--duration", "--start-at", "--stop-at", "--min-free",
               "--user", "--sample", "--on-pressure"]
)  # fmt: skip
def test_an_empty_word_is_not_the_same_as_none(option: str) -> None:
    """As where a shell's variable is empty: a limit that was wanted must not be dropped without a word."""
    with pytest.raises(SpecError):
        spec_of([option, ""])
