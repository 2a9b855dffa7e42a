"""`make test-kernels`: every variant of the programs, the doctor and live captures on each kernel -> docs/kernels.md.

    python -m tests.kernels [NAME...]

The programs are compiled here, once: the text that bcc makes depends on no kernel, and a virtual machine without KVM
needs a minute for what takes a second here. Ends with 1 if a kernel that is supported refuses or does something else.
"""

import argparse
import compileall
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from capture.abi import HOOKS
from capture.errors import BicapError
from capture.kernel.compiler import compile_programs
from capture.kernel.counters import possible_cpus
from capture.kernel.frozen import Frozen, freeze
from capture.spec import SNAPLEN_MAX
from tests.kernel.harness import RING_BYTES
from tests.kernels import machine, programs, table
from tests.kernels.guest import Compiled
from tests.kernels.variants import Variant, variants

ROOT = Path(__file__).parents[2]
SECONDS = 1800
"""Seconds after which a machine counts as hanging."""
MACHINES = 2
"""So many at a time: most of what one does keeps one processor busy."""
STEPS = ("reasons", "doctor", "demo", "captures")
"""What a kernel does beside loading and running the variants."""


def compile_all() -> Compiled:
    """Return every variant compiled, with and without the coarse clock where that makes a difference."""
    found: Compiled = {}
    for name, variant in variants().items():
        asks = bool(dict(variant.sampling.switches)["RATES"])
        with_clock = _compiled(variant, coarse=True)
        found[name] = variant, {True: with_clock, False: _compiled(variant, coarse=False) if asks else with_clock}
    return found


def _compiled(variant: Variant, coarse: bool) -> Frozen:
    defines = {
        "SNAPLEN": SNAPLEN_MAX,
        "ROWS": (variant.slot + 1) * HOOKS,
        "CPUS": possible_cpus(),
        "RING_BYTES": RING_BYTES,
        "OVERFLOW_BYTES": RING_BYTES,
        "BATCHING": 1,
        "COARSE_CLOCK": int(coarse),
    }
    compiled = compile_programs(variant.wanted, variant.sampling, {**defines, **variant.defines}, variant.xdp)
    try:
        return freeze(compiled)
    finally:
        compiled.close()


def boot(kernel: machine.Kernel, compiled: bytes) -> dict[str, Any]:
    """Boot a kernel and return its report. Raises machine.UnavailableError."""
    shared = Path(tempfile.mkdtemp(prefix="bicap-kernel-"))
    try:
        (shared / "compiled").write_bytes(compiled)
        words = ["env", *_environment(shared), sys.executable, "-m", "tests.kernels.guest", str(shared)]
        try:
            log = machine.run(machine.image(kernel), shared, words, SECONDS)
        except subprocess.TimeoutExpired:
            log = f"not through after {SECONDS} s"
        report = shared / "report.json"
        found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
        return found | {"log": log}
    finally:
        shutil.rmtree(shared)


LOOPS = machine.CACHE / "loops"
_PORTABLE = ("NUMBA_CPU_NAME=generic", "NUMBA_CPU_FEATURES=")
"""For compiled loops that run on any processor: an emulated one would compile for minutes."""


def keep_compiled() -> None:
    """Put the loops that captures and the demo need into LOOPS, and their programs, by running them here.

    And bytecode beside the sources: a machine cannot write there, and compiles slowly.
    """
    for package in ("capture", "testbed", "tests"):
        compileall.compile_dir(ROOT / package, quiet=1)
    LOOPS.mkdir(parents=True, exist_ok=True)
    words = ["env", *_PORTABLE, f"NUMBA_CACHE_DIR={LOOPS}", sys.executable, "-m"]
    subprocess.run([*words, "scripts.compile_loops"], check=True)
    with tempfile.TemporaryDirectory(prefix="bicap-kernel-") as folder:
        subprocess.run([*words, "tests.kernels.guest", "--captures", folder], check=True)


def _environment(shared: Path) -> list[str]:
    """Return variables for a machine. Loops are copied to where it may write, so that its programs are kept, too."""
    shutil.copytree(LOOPS, shared / "kept")
    return [*_PORTABLE, f"NUMBA_CACHE_DIR={shared / 'kept'}", "BICAP_REQUIRE_KERNEL=1", "BICAP_PATIENCE=600"]


def failures(report: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return the failures on a kernel, one line each."""
    wrong = [f"did not come to {step}" for step in ("variants", *STEPS) if step not in report]
    for name, found in report.get("variants", {}).items():
        refused = [f"{entry}: {p['refused']}" for entry, p in found["programs"].items() if "refused" in p]
        wrong += [f"{name}: {refusal}" for refusal in refused]
        if not refused and found["packets"] != expected[name]["packets"]:
            wrong.append(f"{name}: the packets left something else than on this machine")
    for step in STEPS:
        if step in report and not report[step]["passed"]:
            wrong.append(f"{step} failed")
    return wrong


def examine(
    kernel: machine.Kernel, compiled: bytes, expected: dict[str, Any], kept: Path | None
) -> dict[str, Any] | None:
    """Boot a kernel and print how it went; its report, None if it is not to be had or does something else."""
    began = time.monotonic()
    try:
        report = boot(kernel, compiled)
    except machine.UnavailableError as error:
        print(f"{kernel.name}: not to be had: {error}", flush=True)
        return None
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{kernel.name}.json").write_text(json.dumps(report, indent=1))
    wrong = failures(report, expected)
    lines = [table.line(kernel.name, report, len(wrong), time.monotonic() - began), *(f"  {one}" for one in wrong)]
    if wrong:
        lines += [report["log"], *(report[step].get("log", "") for step in STEPS if step in report)]
    print("\n".join(lines), flush=True)
    return None if wrong else report


def main() -> int:
    """Return 0 if all kernels behave as this machine's does."""
    names = [kernel.name for kernel in machine.KERNELS]
    parser = argparse.ArgumentParser(prog="tests.kernels", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which kernels; without, all: {', '.join(names)}")
    parser.add_argument("--reports", type=Path, metavar="FOLDER", help="keep what each kernel reported there")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in names]
    if unknown:
        parser.error(f"kernel {unknown[0]} is not known; there are: {', '.join(names)}")
    if os.geteuid() != 0:
        parser.error("needs root: it loads programs")
    began = time.monotonic()
    try:
        compiled = compile_all()
    except BicapError as error:
        print(f"test-kernels: {error}", file=sys.stderr)
        return error.exit_code
    expected = {name: programs.load(variant, texts[True]) for name, (variant, texts) in compiled.items()}
    print(f"{len(compiled)} variants compiled and run here, {time.monotonic() - began:.0f} s", flush=True)
    chosen = [kernel for kernel in machine.KERNELS if not asked.names or kernel.name in asked.names]
    text = pickle.dumps(compiled)
    began = time.monotonic()
    keep_compiled()
    machine.pack_python()  # before machines ask for it at the same time
    print(f"the demo and the captures run here, too, {time.monotonic() - began:.0f} s", flush=True)
    with ThreadPoolExecutor(MACHINES) as pool:
        booted = list(pool.map(lambda kernel: examine(kernel, text, expected, asked.reports), chosen))
    reports = {kernel.name: report for kernel, report in zip(chosen, booted, strict=True) if report is not None}
    failed = len(reports) < len(chosen)
    if not asked.names and not failed:
        table.write(reports)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
