"""A program that was kept is what bcc makes of it, and what may have changed is compiled again."""

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.errors import CompileError, KernelError
from capture.filters.expression import parse_expression
from capture.filters.filter_h import FilterProgram, filter_program
from capture.filters.ruletext import RuleText
from capture.kernel import kept
from capture.kernel.compiler import Compiled, compile_programs
from capture.kernel.frozen import MapShape, freeze, thaw
from capture.kernel.instructions import with_maps
from capture.kernel.kept import Folder
from capture.kernel.program import compiling_ahead, module_of
from capture.plan import Interface, make_plan, place_of
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import SamplingProgram, sampling_program
from capture.spec import CaptureSpec, Hook

EVERYTHING = sampling_program(Sampling())
DEFINES = {
    "SNAPLEN": 1500,
    "ROWS": 2,
    "CPUS": 2,
    "RING_BYTES": 1 << 20,
    "OVERFLOW_BYTES": 0,
    "BATCHING": 1,
    "COARSE_CLOCK": 1,
}
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
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "programs")


def everything(folder: Folder) -> Compiled:
    return kept.compiled_once(filter_program(), EVERYTHING, DEFINES, False, folder)


def files(folder: Folder) -> list[Path]:
    return sorted(folder.path.iterdir())


def content(compiled: Compiled) -> tuple[Mapping[str, bytes], bytes | None, Mapping[str, MapShape]]:
    """Instructions with the same numbers for the same maps, and the maps; what was compiled is closed."""
    frozen = freeze(compiled)
    compiled.close()
    numbers = {frozen.maps[name]: number for number, name in enumerate(sorted(frozen.maps))}
    code = {function: with_maps(text, numbers) for function, text in frozen.code.items()}
    return code, frozen.xdp and with_maps(frozen.xdp, numbers), frozen.shapes


@pytest.mark.parametrize("what", PROGRAMS)
def test_what_is_kept_is_what_bcc_makes(what: str, folder: Folder) -> None:
    wanted, sampling, xdp = PROGRAMS[what]
    made = content(compile_programs(wanted, sampling, DEFINES, xdp))
    assert content(kept.compiled_once(wanted, sampling, DEFINES, xdp, folder)) == made
    assert len(files(folder)) == 1
    assert content(kept.compiled_once(wanted, sampling, DEFINES, xdp, folder)) == made
    assert len(files(folder)) == 1


PRINT_CONTENT = """
import platform
from tests.kernel.test_kept import DEFINES, PROGRAMS, compile_programs, content
print(platform.release().partition(".")[0])
for wanted, sampling, xdp in PROGRAMS.values():
    print(content(compile_programs(wanted, sampling, DEFINES, xdp)))
"""


def test_what_bcc_makes_depends_on_no_kernel() -> None:
    python = [sys.executable, "-c", PRINT_CONTENT]
    older = ["setarch", platform.machine(), "--uname-2.6", *python]
    told, other = (
        subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        for words in (python, older)
    )
    assert (told[0], other[0]) == (platform.release().partition(".")[0], "2")
    assert told[1:] == other[1:]
    assert len(told) == 1 + len(PROGRAMS)


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each compile."""
    seen: list[int] = []

    def counted(*asked: Any) -> Compiled:
        seen.append(1)
        return compile_programs(*asked)

    monkeypatch.setattr(kept, "compile_programs", counted)
    return seen


def test_what_was_made_once_is_not_compiled_again(folder: Folder, compiles: list[int]) -> None:
    for _ in range(2):
        everything(folder).close()
    assert len(compiles) == 1


@pytest.mark.parametrize("writable", [True, False])
def test_what_was_compiled_ahead_is_not_compiled_again(tmp_path: Path, compiles: list[int], writable: bool) -> None:
    (tmp_path / "file").touch()
    where = Folder(tmp_path / "programs" if writable else tmp_path / "file" / "programs")
    for _ in range(2 if writable else 1):
        kept.compile_ahead(filter_program(), EVERYTHING, DEFINES, False, where)
    everything(where).close()
    assert len(compiles) == 1
    everything(where).close()
    assert len(compiles) == (1 if writable else 2), "nothing stays in memory"


PLAN = make_plan(
    CaptureSpec(interfaces=("lo",), snaplen=77), [place_of(Interface("lo", 1, 0))], Hook.CLSACT, (0,), batching=True
)


def test_a_plan_is_compiled_in_a_thread_and_found_afterwards(
    folder: Folder, compiles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "folder", lambda: folder)
    with compiling_ahead(PLAN):
        assert "compiler" in {thread.name for thread in threading.enumerate()} or len(compiles) == 1
    assert len(compiles) == 1
    module_of(PLAN).close()
    assert len(compiles) == 1
    assert "compiler" not in {thread.name for thread in threading.enumerate()}


def test_an_error_of_the_compiler_is_left_to_the_start(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Compiled:
        raise CompileError("clang rejects it")

    monkeypatch.setattr(kept, "folder", lambda: folder)
    monkeypatch.setattr(kept, "compile_programs", refuse)
    with compiling_ahead(PLAN):
        pass
    with pytest.raises(CompileError, match="clang rejects it"):
        module_of(PLAN)


def test_a_filter_that_may_end_the_process_is_not_compiled_beside_other_threads(
    folder: Folder, compiles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = replace(PLAN, filter=replace(PLAN.filter, header=PLAN.filter.header + "\n" * (64 << 10)))
    monkeypatch.setattr(kept, "folder", lambda: folder)
    with compiling_ahead(large):
        pass
    assert compiles == []


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def replace_library(file: Path) -> None:
    found = msgspec.msgpack.decode(file.read_bytes(), type=kept.Kept)
    other = replace(found.libraries[0], changed_ns=1)
    file.write_bytes(msgspec.msgpack.encode(replace(found, libraries=(other, *found.libraries[1:]))))


def remove_library(file: Path) -> None:
    found = msgspec.msgpack.decode(file.read_bytes(), type=kept.Kept)
    gone = replace(found.libraries[0], path="/no/such/libbcc.so.0")
    file.write_bytes(msgspec.msgpack.encode(replace(found, libraries=(gone,))))


def rename_another(file: Path) -> None:
    found = msgspec.msgpack.decode(file.read_bytes(), type=kept.Kept)
    file.write_bytes(msgspec.msgpack.encode(replace(found, name="0" * 64)))


DOUBTS: dict[str, Callable[[Path], object]] = {
    "is damaged": damage,
    "is empty": lambda file: file.write_bytes(b""),
    "was written under another name": rename_another,
    "was compiled by another library": replace_library,
    "was compiled by a library that is gone": remove_library,
    "is of another user": lambda file: os.chown(file, 65534, 0),
    "can be written by its group": lambda file: file.chmod(0o620),
    "can be written by everybody": lambda file: file.chmod(0o602),
}


@pytest.mark.parametrize("what", DOUBTS)
def test_a_file_is_not_used_but_written_anew_if_it(what: str, folder: Folder, compiles: list[int]) -> None:
    everything(folder).close()
    DOUBTS[what](files(folder)[0])
    for _ in range(2):
        everything(folder).close()
    assert len(compiles) == 2


def test_where_nothing_can_be_written_it_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = content(compile_programs(filter_program(), EVERYTHING, DEFINES))
    assert content(everything(Folder(tmp_path / "file" / "programs"))) == made


def test_it_is_kept_where_compiled_loops_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert kept.folder().path == tmp_path / "programs"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert kept.folder().path.parent == Path(kept.__file__).parent / "__pycache__"


def test_a_map_that_the_kernel_refuses_is_named(folder: Folder) -> None:
    everything(folder).close()
    found = msgspec.msgpack.decode(files(folder)[0].read_bytes(), type=kept.Kept)
    shapes = {name: replace(shape, value_bytes=0) for name, shape in found.programs.shapes.items()}
    with pytest.raises(KernelError, match=r"the kernel refuses the map .*: Invalid argument"):
        thaw(replace(found.programs, shapes=shapes))


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


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    small = Folder(tmp_path, largest=200)
    for number in range(3):
        (tmp_path / str(number)).write_bytes(bytes(100))
        os.utime(tmp_path / str(number), (number, number))
    everything(small).close()
    made = kept.key(filter_program(), EVERYTHING, DEFINES, False)
    assert {file.name for file in files(small)} == {"1", "2", made}
