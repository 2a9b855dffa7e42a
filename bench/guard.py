"""`python -m bench.guard`: has anything become slower? Fair on a noisy machine: no times, only counts and ratios.

Counts: instructions that the verifier went through per program, and instructions of the drain per packet, counted by
valgrind. Ratios: those of bench.targets, of the last run of `python -m bench`. Each is held against what is committed
in guard.json; `--update` writes that anew. Ends with 1, and a line for each that became worse.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.application import RESULTS as APPLICATION
from bench.application import p99_us
from bench.lines import read
from bench.targets import verdicts
from capture.benchmark.results import Results
from capture.filters.rule import Rule
from capture.filters.rulewords import parse_endpoint
from capture.kernel import syscall
from capture.kernel.counters import online_cpus
from capture.kernel.features import choose_hook
from capture.kernel.program import module_of
from capture.plan import Interface, make_plan, place_of
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.spec import CaptureSpec, Hook

COMMITTED = Path(__file__).with_name("guard.json")
_VERIFIED, _DRAIN, _RATIO = "verified instructions, ", "instructions of the drain per packet", "ratio: "
_MARGINS = {_VERIFIED: 0.05, _DRAIN: 0.15, _RATIO: 0.2}
"""By so much of it a value may grow: clang differs a little, numba's code for the same loop by a tenth from one
compilation to the next (326 to 370), and runs on a shared machine a lot."""
_TIMES = (1, 51)
# Valgrind knows no AVX-512: the loop is compiled for any x86-64, before valgrind runs it from the cache.
_PORTABLE = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PYTHONHASHSEED": "0"}
_SPECS = {
    "everything": CaptureSpec(interfaces=("lo",)),
    "one rule": CaptureSpec(
        interfaces=("lo",),
        rules=(
            Rule(source=parse_endpoint("10.0.0.0/24", "source"), destination=parse_endpoint(":80", "destination")),
        ),
    ),
    "samplers": CaptureSpec(
        interfaces=("lo",),
        sampling=Sampling(samplers=tuple(parse_sampler(text) for text in ("flow:1/10", "first:20", "rate:1000pps"))),
    ),
}


def instructions(spec: CaptureSpec) -> int:
    """Instructions that the verifier went through for the program at tc ingress."""
    plan = make_plan(spec, [place_of(Interface("lo", 1, 0))], choose_hook(Hook.AUTO), online_cpus(), batching=True)
    module = module_of(plan)
    try:
        program = module.load("from_pod", 0)
        try:
            return syscall.prog_stats(program).instructions
        finally:
            os.close(program)
    finally:
        module.close()


def drain_instructions() -> float:
    """Instructions per packet of 64 bytes, merged and framed."""
    environment = {**os.environ, **_PORTABLE, "NUMBA_CACHE_DIR": str(Path("bench/out/compiled").resolve())}
    command = [sys.executable, "-m", "bench.drain_count"]
    subprocess.run([*command, "1"], env=environment, capture_output=True, check=True)
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    counts = []
    for times in _TIMES:
        words = [*valgrind, *command, str(times)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        counts.append(int(done.stderr.split("Collected :")[1].split()[0]))
    return (counts[1] - counts[0]) / ((_TIMES[1] - _TIMES[0]) * int(done.stdout))


def now(results: str, application: str) -> dict[str, float]:
    """All values, by name."""
    found: dict[str, float] = {_VERIFIED + name: instructions(spec) for name, spec in _SPECS.items()}
    found[_DRAIN] = round(drain_instructions(), 1)
    if os.path.exists(results):
        found |= {
            _RATIO + target.name: round(ratio, 2)
            for target, ratio in verdicts(Results(read(results), p99_us(application)))
        }
    return found


def committed() -> dict[str, Any]:
    """Kernel, and values by name."""
    found: dict[str, Any] = json.loads(COMMITTED.read_text())
    return found


def comparable(before: dict[str, Any], kernel: str) -> dict[str, float]:
    """What was committed and can be held against: another kernel's verifier counts otherwise."""
    values: dict[str, float] = before["values"]
    same = before["kernel"] == kernel
    return {name: value for name, value in values.items() if same or not name.startswith(_VERIFIED)}


def regressions(before: dict[str, float], found: dict[str, float]) -> list[str]:
    """A line for each value that grew by more than its margin; what was not measured is not judged."""
    worse = []
    for name, value in found.items():
        if name in before:
            margin = next(margin for kind, margin in _MARGINS.items() if name.startswith(kind))
            most = before[name] * (1 + margin)
            if value > most:
                worse.append(f"{name}: {value:g}, was {before[name]:g}; at most {most:.4g} is noise")
    return worse


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--results", default="bench/out/results.jsonl", help="what `python -m bench` measured")
    parser.add_argument("--application", default=APPLICATION, help="what `python -m bench.application` measured")
    parser.add_argument("--update", action="store_true", help="commit to what is measured now")
    asked = parser.parse_args()
    found = now(asked.results, asked.application)
    for name, value in found.items():
        print(f"{name:75}{value:>10g}")
    if asked.update:
        COMMITTED.write_text(json.dumps({"kernel": os.uname().release, "values": found}, indent=2) + "\n")
        return
    worse = regressions(comparable(committed(), os.uname().release), found)
    print("\n".join(worse) or "nothing became worse")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
