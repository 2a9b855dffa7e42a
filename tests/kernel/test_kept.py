"""What the other tests of this tier run on is what bcc makes of a program, be it kept from before or not."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from capture.filters.expression import parse_expression
from capture.filters.filter_h import FilterProgram, filter_program
from capture.filters.ruletext import RuleText
from capture.kernel.compiler import Compiled, compile_programs
from capture.kernel.instructions import with_maps
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import SamplingProgram, sampling_program
from tests.kernel import kept
from tests.kernel.frozen import MapShape, freeze

EVERYTHING = sampling_program(Sampling())
DEFINES = {"SNAPLEN": 1500, "ROWS": 2, "CPUS": 2, "RING_BYTES": 1 << 20, "BATCHING": 1, "COARSE_CLOCK": 1}
RULE = filter_program([RuleText(source="10.0.0.0/8").rule()])
EXPRESSION = filter_program(expression=parse_expression("tcp port 80"))
PROGRAMS: dict[str, tuple[FilterProgram, SamplingProgram, bool]] = {
    "everything": (filter_program(), EVERYTHING, False),
    "a rule, at XDP": (RULE, EVERYTHING, True),
    "an expression, sampled": (
        EXPRESSION,
        sampling_program(Sampling(samplers=(parse_sampler("rate:1mbit"),))),
        False,
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "programs")
    return tmp_path / "programs"


def content(compiled: Compiled) -> tuple[Mapping[str, bytes], bytes | None, Mapping[str, MapShape]]:
    """Instructions with the same numbers for the same maps, and the maps; what was compiled is closed."""
    frozen = freeze(compiled)
    compiled.close()
    numbers = {frozen.maps[name]: number for number, name in enumerate(sorted(frozen.maps))}
    code = {function: with_maps(text, numbers) for function, text in frozen.code.items()}
    return code, frozen.xdp and with_maps(frozen.xdp, numbers), frozen.shapes


@pytest.mark.parametrize("what", PROGRAMS)
def test_what_is_kept_is_what_bcc_makes(what: str, folder: Path) -> None:
    wanted, sampling, xdp = PROGRAMS[what]
    made = content(compile_programs(wanted, sampling, DEFINES, xdp))
    assert content(kept.compiled_once(wanted, sampling, DEFINES, xdp)) == made
    assert len(list(folder.iterdir())) == 1
    assert content(kept.compiled_once(wanted, sampling, DEFINES, xdp)) == made
    assert len(list(folder.iterdir())) == 1


def test_what_was_made_once_is_not_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.compiled_once(filter_program(), EVERYTHING, DEFINES).close()
    monkeypatch.setattr(kept, "compile_programs", None)
    kept.compiled_once(filter_program(), EVERYTHING, DEFINES).close()


def test_where_nothing_can_be_written_it_is_compiled_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "file" / "programs")
    made = content(compile_programs(filter_program(), EVERYTHING, DEFINES))
    assert content(kept.compiled_once(filter_program(), EVERYTHING, DEFINES)) == made


Change = dict[str, Any]
OTHERS: dict[str, Change] = {
    "another filter": {"wanted": EXPRESSION},
    "other samplers": {"sampling": PROGRAMS["an expression, sampled"][1]},
    "another switch": {"defines": DEFINES | {"SNAPLEN": 1501}},
    "another hook": {"xdp": True},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_program_is_kept_by_another_name(what: str) -> None:
    asked: Change = {"wanted": RULE, "sampling": EVERYTHING, "defines": DEFINES, "xdp": False}
    assert kept.key(**asked) == kept.key(**asked)
    assert kept.key(**asked | OTHERS[what]) != kept.key(**asked)


def test_another_processor_and_other_tools_are_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = kept.key(RULE, EVERYTHING, DEFINES, False)
    monkeypatch.setenv("ARCH", "arm64")
    there = kept.key(RULE, EVERYTHING, DEFINES, False)
    monkeypatch.delenv("ARCH")
    monkeypatch.setattr(kept, "_tools", lambda: "another bcc")
    assert len({here, there, kept.key(RULE, EVERYTHING, DEFINES, False)}) == 3


def test_what_was_not_used_for_longest_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    for number in range(3):
        (folder / str(number)).write_bytes(bytes(100))
        os.utime(folder / str(number), (number, number))
    monkeypatch.setattr(kept, "LARGEST", 200)
    kept.compiled_once(filter_program(), EVERYTHING, DEFINES).close()
    assert {file.name for file in folder.iterdir()} - {"1", "2"} == {
        kept.key(filter_program(), EVERYTHING, DEFINES, False)
    }
