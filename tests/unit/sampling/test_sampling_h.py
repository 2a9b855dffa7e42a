"""Samplers and measures -> macros and switches of the kernel program; features that are not requested are off."""

import itertools
import re
from collections.abc import Sequence

import pytest

from capture.sampling.levels import HALVES, OnPressure
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import SEED_MAX, Sampling
from capture.sampling.sampling_h import SamplingProgram, sampling_program

TRUNCATE, SAMPLE, LOSE = OnPressure.TRUNCATE, OnPressure.SAMPLE, OnPressure.LOSE
OFF = {
    "SAMPLED": 0,
    "KEEP_CONTROL": 0,
    "PACKET_SAMPLED": 0,
    "FIRST_ASKED": 0,
    "RATES": 0,
    "HEADERS_ONLY": 0,
    "HEADERS_ASKED": 0,
    "PRESSURE_LEVELS": 0,
    "PRESSURE_CUTS_FROM": 0,
    "PRESSURE_SAMPLES_FROM": 0,
    "PRESSURE_HALVES": HALVES,
}
CONTROL = {"SAMPLED": 1, "KEEP_CONTROL": 1}


def program(words: str, measures: Sequence[OnPressure] = (), **fields: bool | int) -> SamplingProgram:
    samplers = tuple(parse_sampler(word) for word in words.split())
    return sampling_program(Sampling(samplers=samplers, **fields), measures)  # type: ignore[arg-type]


def macros(found: SamplingProgram) -> dict[str, str]:
    """Return the values of macros by name."""
    return dict(re.findall(r"^#define (\w+)(?:\([^)]*\))? (.*)$", found.header, re.MULTILINE))


SWITCHES = [
    # samplers, measures, other fields, switches that differ from OFF, what the parser must find out
    ("", (), {}, {}, ""),
    ("", (LOSE,), {}, {}, ""),
    ("", (), {"keep_control": False}, {}, ""),
    ("", (), {"headers_only": True}, {"HEADERS_ONLY": 1, "HEADERS_ASKED": 1}, "headers"),
    ("flow:1/1", (), {}, {}, ""),
    ("packet:100%", (), {}, {}, ""),
    ("flow:1/10", (), {}, CONTROL, "flow control"),
    ("flow:1/10", (), {"keep_control": False}, {"SAMPLED": 1}, "flow"),
    ("packet:1/10", (), {}, CONTROL | {"PACKET_SAMPLED": 1}, "control"),
    ("packet:1/10", (), {"keep_control": False}, {"PACKET_SAMPLED": 1}, ""),
    ("reverse=packet:1/10", (), {"keep_control": False}, {"PACKET_SAMPLED": 1}, ""),
    ("first:5", (), {}, CONTROL | {"FIRST_ASKED": 1}, "flow control"),
    ("reverse=first:5", (), {"keep_control": False}, {"SAMPLED": 1, "FIRST_ASKED": 1}, "flow"),
    ("rate:5pps", (), {}, CONTROL | {"RATES": 1}, "control"),
    ("rate:5pps", (), {"keep_control": False}, {"RATES": 1}, ""),
    ("rate:5pps rate:1mbit reverse=rate:1pps", (), {"keep_control": False}, {"RATES": 3}, ""),
    (
        "", (TRUNCATE,), {},
        {"HEADERS_ASKED": 1, "PRESSURE_LEVELS": 1, "PRESSURE_CUTS_FROM": 1}, "headers",
    ),
    (
        "", (SAMPLE,), {},
        CONTROL | {"PRESSURE_LEVELS": HALVES, "PRESSURE_SAMPLES_FROM": 1}, "flow control",
    ),
    (
        "", (TRUNCATE, SAMPLE), {"keep_control": False},
        {"SAMPLED": 1, "HEADERS_ASKED": 1, "PRESSURE_LEVELS": HALVES + 1, "PRESSURE_CUTS_FROM": 1,
         "PRESSURE_SAMPLES_FROM": 2}, "flow headers",
    ),
    (
        "", (SAMPLE, TRUNCATE), {"headers_only": True},
        CONTROL | {"HEADERS_ONLY": 1, "HEADERS_ASKED": 1, "PRESSURE_LEVELS": HALVES + 1,
                   "PRESSURE_CUTS_FROM": HALVES + 1, "PRESSURE_SAMPLES_FROM": 1}, "flow control headers",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "measures", "fields", "on", "asks"), SWITCHES)
def test_only_requested_features_are_switched_on(
    words: str, measures: Sequence[OnPressure], fields: dict[str, bool], on: dict[str, int], asks: str
) -> None:
    found = program(words, measures, **fields)
    assert dict(found.switches) == OFF | on
    needs = {"flow": found.asks_flow, "control": found.asks_control, "headers": found.asks_headers}
    assert {name for name, value in needs.items() if value} == set(asks.split())


ALL = 1 << 32
HEADERS = [
    # samplers, macros
    ("", {"FLOW_SHARE": f"{ALL}ULL", "PACKET_SHARE": f"{ALL}ULL", "FIRST": "0ULL", "TAKES": "(1)"}),
    ("flow:1/4", {"FLOW_SHARE": f"{ALL // 4}ULL"}),
    ("flow:1/999999999999", {"FLOW_SHARE": "1ULL"}),
    ("packet:1/2", {"PACKET_SHARE": f"{ALL // 2}ULL"}),
    ("packet:1/2 reverse=packet:1/2", {"PACKET_SHARE": f"((direction) == REVERSE ? {ALL // 4}ULL : {ALL // 2}ULL)"}),
    ("first:5", {"FIRST": "5ULL"}),
    ("first:5 forward=first:2", {"FIRST": "((direction) == REVERSE ? 5ULL : 2ULL)"}),
    ("reverse=first:5", {"FIRST": "((direction) == REVERSE ? 5ULL : 0ULL)"}),
    ("rate:1000pps", {"TAKES": "(take(0, 1000000ULL))"}),
    ("rate:8kbit", {"TAKES": f"(take(0, ((bytes) * {10**6 << 20}ULL >> 20)))"}),
    (
        "rate:1mpps reverse=rate:1kpps forward=rate:1pps",
        {
            "TAKES": "(take(0, 1000ULL) && ((direction) != REVERSE || take(1, 1000000ULL))"
            " && ((direction) != FORWARD || take(2, 1000000000ULL)))"
        },
    ),
]


@pytest.mark.parametrize(("words", "expected"), HEADERS, ids=[case[0] or "none" for case in HEADERS])
def test_the_macros(words: str, expected: dict[str, str]) -> None:
    found = macros(program(words))
    assert {name: found[name] for name in expected} == expected


def test_every_seed_and_every_share_fits_its_type() -> None:
    assert macros(program("", seed=SEED_MAX))["FLOW_SEED"] == f"{(1 << 64) - 1}ULL"
    smallest = macros(program("packet:1/999999999999 packet:1/999999999999"))
    assert smallest["PACKET_SHARE"] == "1ULL"


@pytest.mark.parametrize("words", ["rate:1kbit", "rate:1mbit", "rate:100gbit"])
def test_the_cost_of_any_packet_fits_64_bits_and_is_its_time_at_the_rate(words: str) -> None:
    bits = int(parse_sampler(words).amount)
    cost = int(macros(program(words))["TAKES"].partition(" * ")[2].partition("ULL")[0])
    for size in (60, 1500, 65_549, 524_288):
        assert size * cost < 1 << 64
        assert size * cost >> 20 == pytest.approx(size * 8 * 10**9 / bits, rel=0.001, abs=1)


def test_every_combination_defines_the_same_names() -> None:
    """The C code uses them all, whatever is switched off."""
    samplers = ("flow:1/2", "packet:1/2", "reverse=first:2", "rate:1mbit")
    names = {"FLOW_SHARE", "FLOW_SEED", "PACKET_SHARE", "FIRST", "TAKES"}
    for count in range(len(samplers) + 1):
        for some in itertools.combinations(samplers, count):
            found = program(" ".join(some), (TRUNCATE, SAMPLE))
            assert set(macros(found)) == names
            assert dict(found.switches).keys() == OFF.keys()
