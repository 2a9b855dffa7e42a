"""Runs in a machine with another kernel: programs and captures on it -> a JSON report.

    python -m tests.kernels.guest [--captures] FOLDER

FOLDER has `compiled`, written by tests.kernels.__main__ on the machine that boots this one; `report.json` goes there.
Every step writes its result before the next begins, so the report of a machine that hangs shows how far it came.
With --captures only the demo and the captures run, on the machine that boots others: their programs are kept then.
"""

import json
import os
import pickle
import platform
import resource
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from capture.errors import BicapError
from capture.filters.ruletext import RuleText
from capture.kernel import features, syscall
from capture.kernel.frozen import Frozen
from capture.kernel.program import module_of
from capture.kernel.reasons import Reasons
from capture.run.planning import plan_capture
from capture.spec import CaptureSpec
from tests.kernels import programs
from tests.kernels.variants import Variant

Compiled = dict[str, tuple[Variant, dict[bool, Frozen]]]
"""By variant: the variant, and its programs for kernels without and with a coarse clock."""

LIVE = "tests/e2e/test_against_tcpdump.py::test_the_same_packets_as_tcpdump"
CRASH = "tests/e2e/test_crash.py"
KILLED = f"{CRASH}::test_the_next_start_removes_the_filters_of_a_capture_killed_on_clsact"
FILTERS = f"{CRASH}::test_anothers_filter_is_untouched_and_hides_nothing"
CLSACT = (f"{LIVE}[clsact]", f"{KILLED}[qdisc of ours-clsact]", f"{FILTERS}[drops-clsact]")
TCX = (
    f"{LIVE}[tcx]",
    f"{CRASH}::test_a_capture_killed_on_tcx_leaves_nothing",
    f"{FILTERS}[accepts-tcx]",
    f"{CRASH}::test_anothers_tcx_link_is_untouched[tcx]",
)
XDP = (f"{LIVE}[xdp]",)


def features_found() -> dict[str, bool | None]:
    """Return the features for which the programs and the loader probe."""
    return {
        "BTF": Path(features.BTF).exists(),
        "tcx": features.has_tcx(),
        "coarse clock": features.has_coarse_clock(),
        "XDP": features.has_xdp_in_pages(),
        "run statistics": _works(lambda: os.close(syscall.enable_run_time_stats())),
        "membarrier": _works(syscall.wait_for_programs),
    }


def _works(attempt: Any) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def try_programs(compiled: Compiled) -> dict[str, Any]:
    """Return for each variant the verifier's result, and the fate of the packets."""
    found: dict[str, Any] = {}
    coarse = bool(features.has_coarse_clock())
    for name, (variant, texts) in compiled.items():
        if variant.xdp and not features.has_xdp_in_pages():
            continue
        found[name] = programs.load(variant, texts[coarse])
        print(name, flush=True)
    return found


REASONED = CaptureSpec(
    interfaces=("lo",),
    reasons=True,
    rules=(RuleText(source="10.0.0.0/24", destination=":80,443", protocol="tcp").rule(),),
)
"""A capture whose programs at the tracepoints of drops and resets are tried. Their text has the kernel's offsets, so
they are compiled there, which takes half a minute."""


def try_reasons() -> dict[str, Any]:
    """Return the arguments of the tracepoints that programs were attached to, or why the kernel refuses them."""
    plan = plan_capture(REASONED)
    try:
        with closing(module_of(plan)) as module, closing(Reasons(plan, module)) as reasons:
            return {"arguments": reasons.arguments, "named": reasons.named, "passed": True}
    except BicapError as error:
        return {"refused": str(error), "passed": "\n" not in str(error), "log": str(error)}


def try_captures(folder: Path, tcx: bool | None, xdp: bool | None) -> dict[str, Any]:
    """Run the project's tests of live captures: beside tcpdump, killed ones, with programs of others."""
    chosen = [*CLSACT, *(TCX if tcx else ()), *(XDP if xdp else ())]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}"]
    done = subprocess.run([*pytest, *chosen], capture_output=True, text=True, check=False)
    return {"tests": chosen, "passed": done.returncode == 0, "log": done.stdout[-20_000:] + done.stderr[-5_000:]}


def try_doctor() -> dict[str, Any]:
    """Return the doctor's answers."""
    bicap = str(Path(sys.executable).with_name("bicap"))
    done = subprocess.run([bicap, "doctor", "--json"], capture_output=True, text=True, check=False)
    try:
        return {"checks": json.loads(done.stdout), "passed": done.returncode == 0}
    except ValueError:
        return {"checks": [], "passed": False, "log": done.stdout + done.stderr}


def try_demo(folder: Path) -> dict[str, Any]:
    """What `make demo` runs once everything is installed: real traffic between two pods, into a file."""
    file = folder / "demo.pcapng"
    done = subprocess.run(["scripts/demo.sh", str(file)], capture_output=True, text=True, check=False)
    passed = done.returncode == 0 and file.exists()
    return {"passed": passed, "log": done.stdout[-10_000:] + done.stderr[-5_000:]}


def memory_below(folder: Path) -> Path:
    """Return a folder in memory for what captures write.

    Rings cannot be pinned, and the 9p of Linux 6.18 waits for ever where it writes from such memory. Nobody captures
    onto a 9p share: it is what this machine shares with the one that boots it.
    """
    place = folder / "memory"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "captures", str(place)], check=True)
    return place


def main() -> None:
    """Write the report, step by step."""
    *only, name = sys.argv[1:]
    folder = Path(name)
    if only:
        steps = (try_reasons(), try_demo(folder), try_captures(folder, True, True))
        failed = [step for step in steps if not step["passed"]]
        sys.exit(failed[0]["log"] if failed else 0)
    # Before Linux 5.11 maps and programs count as locked memory. bcc raises the limit if it makes the maps.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    compiled: Compiled = pickle.loads((folder / "compiled").read_bytes())
    report: dict[str, Any] = {"release": platform.release(), "seconds": {}}

    def step(name: str, value: Any, began: float) -> None:
        report[name] = value
        report["seconds"][name] = round(time.monotonic() - began)
        (folder / "report.json").write_text(json.dumps(report))

    began = time.monotonic()
    step("features", features_found(), began)
    began = time.monotonic()
    step("variants", try_programs(compiled), began)
    began = time.monotonic()
    step("reasons", try_reasons(), began)
    began = time.monotonic()
    step("doctor", try_doctor(), began)
    files = memory_below(folder)
    began = time.monotonic()
    step("demo", try_demo(files), began)
    began = time.monotonic()
    step("captures", try_captures(files, report["features"]["tcx"], report["features"]["XDP"]), began)


if __name__ == "__main__":
    main()
