"""`bicap doctor` as it is run: by root, by nobody, by somebody with just enough, and where bcc is another project."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from capture.kernel.checks import can_capture, run_checks
from capture.kernel.probes import CHECKS
from testbed.tool import Finished, bicap
from testbed.two_pods import run
from tests.e2e.users import NO_BCC, PYPI_BCC, nobody, with_bcc

OPTIONAL = {"netns", "btf", "tcx", "clsact", "reasons", "statistics", "cache", "cpus", "clock"}
REQUIRED = {"capabilities", "bpf", "bcc", "program", "rings", "loops"}
DESCRIPTORS = Path("/proc/self/fd")
JUST_ENOUGH = ("bpf", "net_admin", "perfmon", "ipc_lock")


def answers(done: Finished) -> dict[str, Any]:
    """The checks of --json, by name."""
    assert done.stderr == ""
    return {answer["check"]: answer for answer in json.loads(done.stdout)}


def failed(done: Finished) -> list[str]:
    """The names of the checks that failed, from the lines a person reads."""
    assert done.stderr == ""
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAIL")]


def test_root_can_capture() -> None:
    done = bicap("doctor")
    assert done.code == 0, done.stdout
    *lines, verdict = done.stdout.splitlines()
    assert verdict == "this node can capture"
    marks = {line.split()[1]: line.split()[0] for line in lines}
    assert {mark for check, mark in marks.items() if check != "clock"} == {"ok"}, done.stdout
    assert marks.keys() == REQUIRED | OPTIONAL


def test_json_has_an_answer_per_check() -> None:
    done = bicap("doctor", "--json")
    assert done.code == 0
    found = answers(done)
    assert found.keys() == REQUIRED | OPTIONAL
    for name, answer in found.items():
        assert answer.keys() == {"check", "ok", "required", "finding", "remedy"}
        assert answer["ok"] in (True, False, None)
        assert answer["required"] is (name in REQUIRED)
        assert answer["finding"]
        assert answer["remedy"] == "" or answer["ok"] is not True


def test_probing_leaves_nothing() -> None:
    def held() -> tuple[int, int]:
        return len(list(DESCRIPTORS.iterdir())), Path("/proc/self/maps").read_text().count("perf_event")

    assert can_capture(run_checks(CHECKS))  # modules are imported, caches are filled
    before, tc = held(), run("tc", "qdisc")
    assert can_capture(run_checks(CHECKS))
    assert held() == before
    assert run("tc", "qdisc") == tc


BCCS = [
    # description, source of the module, what the finding says
    ("PyPI's", PYPI_BCC, "is PyPI's, an unrelated project"),
    ("none", NO_BCC, "bcc cannot be imported (No module named 'bcc')"),
    ("a broken one", "raise OSError('libbcc.so.0: cannot open shared object file')\n", "libbcc.so.0: cannot open"),
]


@pytest.mark.parametrize(("what", "source", "finding"), BCCS, ids=[case[0] for case in BCCS])
def test_the_right_bcc_is_named(tmp_path: Path, what: str, source: str, finding: str) -> None:
    env = with_bcc(tmp_path, source)
    done = bicap("doctor", env=env)
    assert done.code == 1
    assert failed(done) == ["bcc"]
    assert done.stdout.splitlines()[-1] == "this node cannot capture: bcc"
    found = answers(bicap("doctor", "--json", env=env))
    assert finding in found["bcc"]["finding"]
    assert "python3-bpfcc" in found["bcc"]["remedy"]
    assert found["program"]["finding"] == "not tried: it needs bcc"
    assert found["rings"]["ok"] is True


def test_the_user_nobody_is_told_what_is_missing() -> None:
    done = bicap("doctor", within=nobody())
    assert done.code == 1
    assert failed(done) == ["capabilities", "bpf", "rings"]
    found = answers(bicap("doctor", "--json", within=nobody()))
    assert found["capabilities"]["finding"] == "user 65534, without CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"
    assert "run as root" in found["capabilities"]["remedy"]
    assert "CAP_PERFMON" in found["rings"]["finding"]
    assert found["tcx"]["finding"] == "not tried: it needs bpf"
    assert found["loops"]["ok"] is True
    assert found["cache"]["ok"] is False


FEWER = [
    # capabilities, the checks that fail, words of the last one's finding
    (("bpf", "net_admin"), ["capabilities", "program", "rings"], "CAP_PERFMON"),
    (("bpf", "net_admin", "perfmon"), ["rings"], "locked memory is limited (kernel.perf_event_mlock_kb "),
    (("bpf", "perfmon", "ipc_lock"), ["capabilities", "bpf"], "CAP_NET_ADMIN"),
]


@pytest.mark.parametrize(("held", "missing", "words"), FEWER, ids=[" ".join(case[0]) for case in FEWER])
def test_fewer_capabilities_fail_the_checks_that_need_them(
    held: tuple[str, ...], missing: list[str], words: str
) -> None:
    done = bicap("doctor", within=nobody(*held))
    assert done.code == 1
    assert failed(done) == missing
    assert words in next(line for line in done.stdout.splitlines() if line.split()[1] == missing[-1])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder where nobody may write."""
    tmp_path.chmod(0o777)
    return tmp_path


def capture(place: Path, capabilities: tuple[str, ...], *words: str) -> Finished:
    """A short capture by nobody."""
    file = ["-w", str(place / "f.pcapng"), "--duration", "100ms"]
    return bicap("capture", "-i", "lo", *file, *words, within=nobody(*capabilities))


def test_capabilities_that_pass_the_doctor_are_enough_to_capture(place: Path) -> None:
    assert bicap("doctor", within=nobody(*JUST_ENOUGH)).code == 0
    done = capture(place, JUST_ENOUGH)
    assert done.code == 0, done.stderr
    assert (place / "f.pcapng").exists()


def test_the_buffer_it_suggests_is_the_largest_that_works(place: Path) -> None:
    without = tuple(name for name in JUST_ENOUGH if name != "ipc_lock")
    found = answers(bicap("doctor", "--json", within=nobody(*without)))
    suggested = re.search(r"--buffer (\d+)KiB works", found["rings"]["remedy"])
    assert suggested
    size = int(suggested[1])
    assert capture(place, without, "--buffer", f"{size}KiB").code == 0
    assert capture(place, without, "--buffer", f"{size * 2}KiB").code == 4
