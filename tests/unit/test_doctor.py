"""Answers about a node: three-valued, independent of each other, one line each, and one exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from capture.cli.doctor import doctor, report
from capture.errors import KernelError
from capture.kernel import checks, features, probes
from capture.kernel.checks import Answer, Check, Result, can_capture, run_checks

CAPABILITIES = [
    # what, CapEff as the kernel prints it, what it means
    ("none", "0000000000000000", set()),
    ("root's", "000001ffffffffff", set(features.CAPABILITIES)),
    ("CAP_BPF alone", "0000008000000000", {"CAP_BPF"}),
    ("CAP_NET_ADMIN and CAP_PERFMON", "0000004000001000", {"CAP_NET_ADMIN", "CAP_PERFMON"}),
    ("CAP_SYS_ADMIN includes two others", "0000000000200000", {"CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON"}),
    ("others only", "0000000000010030", set()),
]


@pytest.mark.parametrize(("what", "mask", "held"), CAPABILITIES, ids=[case[0] for case in CAPABILITIES])
def test_capabilities_are_read_from_the_effective_set(what: str, mask: str, held: set[str]) -> None:
    status = f"Name:\tbicap\nCapInh:\t000001ffffffffff\nCapEff:\t{mask}\nCapBnd:\t000001ffffffffff\n"
    assert features.effective_capabilities(features.capabilities_in(status)) == held


def test_a_status_without_capabilities_holds_none() -> None:
    assert features.capabilities_in("Name:\tbicap\n") == frozenset()


def test_a_kernel_before_cap_bpf_is_asked_for_cap_sys_admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, last = tmp_path / "status", tmp_path / "cap_last_cap"
    status.write_text("CapEff:\t0000000000001000\n")
    monkeypatch.setattr(features, "_STATUS", str(status))
    monkeypatch.setattr(features, "_LAST_CAPABILITY", str(last))
    last.write_text("40\n")
    assert features.missing_capabilities() == ["CAP_BPF", "CAP_PERFMON"]
    last.write_text("37\n")
    assert features.missing_capabilities() == ["CAP_SYS_ADMIN"]


def yes() -> Answer:
    return Answer(True, "there", "never shown")


def no() -> Answer:
    return Answer(False, "missing", "install it")


def unclear() -> Answer:
    return Answer(None, "nobody knows")


def refusing() -> Answer:
    raise KernelError("the kernel refuses")


def broken() -> Answer:
    raise ZeroDivisionError("division by zero")


ANSWERS = [
    # description, checks, mark of each line, whether a capture will work
    ("all is there", [Check("a", yes), Check("b", yes)], ["ok", "ok"], True),
    ("something required is missing", [Check("a", no), Check("b", yes)], ["FAIL", "ok"], False),
    ("something optional is missing", [Check("a", no, required=False)], ["warn"], True),
    ("could not tell", [Check("a", unclear)], ["warn"], True),
    ("an error of ours is a no", [Check("a", refusing), Check("b", yes)], ["FAIL", "ok"], False),
    ("a bug in a check hides nothing", [Check("a", broken), Check("b", no)], ["warn", "FAIL"], False),
    (
        "what needs a failed one is not tried",
        [Check("a", no), Check("b", broken, needs=("a",))],
        ["FAIL", "warn"],
        False,
    ),
    (
        "what needs an unclear one is tried",
        [Check("a", unclear), Check("b", no, needs=("a",))],
        ["warn", "FAIL"],
        False,
    ),
    ("a fallback that is not needed", [Check("a", yes), Check("b", no, unless="a")], ["ok", "warn"], True),
    (
        "a fallback in use",
        [Check("a", no, required=False), Check("b", yes, unless="a")],
        ["warn", "ok"],
        True,
    ),
    (
        "neither it nor its fallback",
        [Check("a", no, required=False), Check("b", no, unless="a")],
        ["warn", "FAIL"],
        False,
    ),
]


@pytest.mark.parametrize(("what", "asked", "marks", "works"), ANSWERS, ids=[case[0] for case in ANSWERS])
def test_answers(what: str, asked: list[Check], marks: list[str], works: bool) -> None:
    results = run_checks(asked)
    *lines, verdict = report(results).splitlines()
    assert [line.split()[0] for line in lines] == marks
    assert can_capture(results) == works
    assert verdict.startswith("this node can capture" if works else "this node cannot capture: ")


def test_a_line_says_what_was_found_and_what_to_do() -> None:
    results = run_checks([Check("long-name", yes), Check("a", no), Check("b", broken, needs=("a",))])
    assert report(results).splitlines() == [
        "ok    long-name  there",
        "FAIL  a          missing -> install it",
        "warn  b          not tried: it needs a",
        "this node cannot capture: a",
    ]


def test_a_finding_of_several_lines_takes_one() -> None:
    assert report([Result("a", None, True, "one\n  two", "")]).splitlines()[0] == "warn  a  one two"


@pytest.mark.parametrize(
    ("asked", "code"), [((Check("a", yes),), 0), ((Check("a", no),), 1), ((Check("a", unclear),), 0)]
)
def test_exit_code_and_json(asked: tuple[Check, ...], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "CHECKS", asked)
    plain, as_json = CliRunner().invoke(doctor, []), CliRunner().invoke(doctor, ["--json"])
    assert (plain.exit_code, as_json.exit_code) == (code, code)
    found = asked[0].probe()
    assert json.loads(as_json.stdout) == [
        {
            "check": "a",
            "ok": found.ok,
            "required": True,
            "finding": found.text,
            "remedy": "" if found.ok else found.remedy,
        }
    ]


def test_the_real_checks_refer_to_earlier_ones() -> None:
    names = [check.name for check in probes.CHECKS]
    assert len(set(names)) == len(names)
    for position, check in enumerate(probes.CHECKS):
        assert set(check.needs) | {check.unless} - {""} <= set(names[:position])


def test_a_refusal_is_split_into_finding_and_remedy() -> None:
    assert probes._refusal(KernelError("no ring; grant it; or less")) == checks.Answer(
        False, "no ring", "grant it; or less"
    )
