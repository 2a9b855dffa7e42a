"""The programs as bcc compiles them on arm64: the same layouts, and the same answers to the same packets.

bcc has clang read the C for the machine's own processor and only then makes BPF of it, so widths, alignment and the
sign of a plain char are that processor's. The variable ARCH, which bcc has for cross-compiling, chooses it here.
"""

from random import Random

import pytest

from capture.abi import BPF_FOLDER, parse_enums, parse_structs
from capture.filters.expression import parse_expression
from capture.filters.filter_h import FilterProgram, filter_program
from capture.kernel.compiler import import_bcc
from testbed import generate, packets
from tests.kernel.harness import Programs
from tests.kernel.test_programs import rule
from tests.kernel.verdicts import runnable
from tests.unit.test_abi import by_numpy

SEED, PACKETS = 64, 200
REQUIRED = """
#ifndef __aarch64__
#error "not compiled for arm64"
#endif
_Static_assert((char)-1 > 0, "a plain char has no sign on arm64");
"""
NOTHING = "int nothing(void *ctx) { return 0; }\n"
FILTERS = {
    "everything": filter_program(),
    "a conversation, with errors": filter_program([rule("10.0.0.1:1000", "10.0.0.2:80", 6)]),
    "networks, in tunnels, too": filter_program([rule("10.0.0.0/8", None), rule("2001:db8::/32", None)], inner=True),
    "ports": filter_program([rule(None, ":80-5000")]),
    "an expression": filter_program(expression=parse_expression("tcp[13] & 2 != 0 or ip6 or udp portrange 1-99")),
}


@pytest.fixture
def arm64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCH", "arm64")


def assertions(header: str) -> str:
    """Return capture/abi.py's layout of a header as C that does not compile if clang's layout differs."""
    lines = []
    for name, number in by_numpy(header).items():
        words, dot = name.removeprefix("sizeof "), "." in name
        struct, _, field = words.partition(".")
        if name.startswith("sizeof "):
            value = f"sizeof(((struct {struct} *)0)->{field})" if dot else f"sizeof(struct {struct})"
        else:
            value = f"__builtin_offsetof(struct {struct}, {field})" if dot else name
        lines.append(f'_Static_assert({value} == {number}, "{name}");')
    return "\n".join(lines)


@pytest.mark.usefixtures("arm64")
def test_records_have_the_layout_that_python_reads() -> None:
    header = (BPF_FOLDER / "abi.h").read_text()
    asserted = assertions(header)
    assert asserted.count("_Static_assert") > len(parse_structs(header)) + len(parse_enums(header))
    text = f"#include <linux/types.h>\n{header}\n{REQUIRED}\n{asserted}\n{NOTHING}"
    import_bcc().BPF(text=text.encode()).cleanup()


def answers(wanted: FilterProgram, frames: list[bytes]) -> list[tuple[int, bytes] | None]:
    """Return flags and bytes of each packet's record, None for packets that leave none."""
    with Programs(wanted) as programs:
        records = [programs.run(frame) for frame in frames]
    return [None if record is None else (record.flags, record.packet) for record in records]


@pytest.mark.parametrize("name", FILTERS)
def test_packets_leave_the_same_records_as_on_this_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(SEED)
    frames = [packets.tcp("10.0.0.2", 80, "10.0.0.1", 1000), packets.udp("2001:db8::1", 1, "2001:db8::2", 53)]
    frames += filter(runnable, (generate.packet(random, number) for number in range(PACKETS)))
    here = answers(FILTERS[name], frames)
    monkeypatch.setenv("ARCH", "arm64")
    assert answers(FILTERS[name], frames) == here
    assert any(here), "no packet matched: nothing was compared"
