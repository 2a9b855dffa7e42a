"""What the bcc and LLVM of other Debian suites make of bicap: compile, load, capture, on this machine's kernel.

    .venv/bin/python -m tests.bcc [SUITE...]

`make test-bcc` runs it as root. A table says how it went; what failed is shown whole, and is the exit code.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bcc.roots import SuiteRoot, place_of

SUITES = ("bullseye", "bookworm", "trixie", "sid")
PYTEST = (
    *("/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "--maxfail=5", "-p", "no:cacheprovider"),
    # What an older bcc's own Python is warned about is not ours to mend.
    *("-W", "ignore::DeprecationWarning", "-W", "ignore::SyntaxWarning", "-c", "/bicap/pyproject.toml"),
)
KERNEL, CAPTURE = "/bicap/tests/kernel", "/bicap/tests/e2e"
LOAD = [f"{KERNEL}/test_{name}.py" for name in ("programs", "layers", "headers", "sampling", "xdp")]
TRAFFIC = [f"{CAPTURE}/test_against_tcpdump.py"]
TIMEOUT_S = 1200
COLUMNS = ("suite", "bcc", "LLVM", "Python", "compile", "load", "capture", "s")


@dataclass(frozen=True, slots=True)
class Stage:
    """How a step ended in short, and all that it said if it failed."""

    short: str
    log: str = ""


def doctor(place: SuiteRoot) -> tuple[str, str, Stage]:
    """The versions of bcc and LLVM as the doctor says them, and what became of the program it compiles."""
    done = place.run("/usr/bin/bicap", "doctor", "--json", timeout=TIMEOUT_S)
    try:
        findings = {result["check"]: result for result in json.loads(done.stdout)}
    except (ValueError, KeyError):
        return "?", "?", Stage("doctor failed", done.stdout + done.stderr)
    bcc, program = findings["bcc"], findings["program"]
    said = re.fullmatch(r"version (\S+), with LLVM (\S+)", bcc["finding"])
    step = Stage("ok") if program["ok"] else Stage(program["finding"] or bcc["finding"], done.stdout)
    return (said[1], said[2], step) if said else (bcc["finding"], "?", step)


def tests(place: SuiteRoot, files: list[str]) -> Stage:
    """Those tests run there."""
    try:
        done = place.run(*PYTEST, *files, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        said = f"not through after {TIMEOUT_S} s"
        return Stage(said, (late.stdout or b"").decode(errors="replace") or said)
    last = (done.stdout.splitlines() or ["no answer"])[-1].strip("= ")
    if done.returncode == 0:
        return Stage(f"ok ({re.sub(r' in .*', '', last)})")
    return Stage(last, done.stdout + done.stderr)


def rows(suite: str) -> Iterator[Stage]:
    """The cells of a suite's row, in the order of COLUMNS."""
    yield Stage(suite)
    began = time.monotonic()
    try:
        place = place_of(suite)
    except subprocess.CalledProcessError as error:
        yield Stage(f"not to be had: {error.cmd[0]} ended with {error.returncode}", error.stderr)
        return
    bcc, llvm, compiled = doctor(place)
    yield from (Stage(bcc), Stage(llvm), Stage(place.python), compiled)
    yield tests(place, LOAD)
    yield tests(place, TRAFFIC)
    yield Stage(f"{time.monotonic() - began:.0f}")


def main() -> int:
    """0 if every suite does it all."""
    if os.geteuid() != 0:
        print("test-bcc: needs root: it makes root file systems and loads programs", file=sys.stderr)
        return 2
    table, failed = [COLUMNS], False
    for suite in sys.argv[1:] or SUITES:
        cells = list(rows(suite))
        for cell in cells:
            if cell.log:
                failed = True
                print(f"\n{suite}: {cell.short}\n{cell.log}", flush=True)
        table.append(tuple(cell.short for cell in cells))
        print(" | ".join(table[-1]), flush=True)
    print()
    for row in table:
        print("| " + " | ".join(row) + " |")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
