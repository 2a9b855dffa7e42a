"""`python -m bench.model`: what capturing costs, fitted; held against workloads that were not used to fit.

The kernel's cost is what the sender feels: its time per packet with the capture less without. `--ship` writes the
coefficients that `bicap plan` brings along.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.markdown import markdown
from capture.benchmark.calibration import fit, source
from capture.benchmark.loads import Way
from capture.benchmark.tools import machine
from capture.benchmark.workloads import FULL_SPEED, TRAINING, Observed, Workload, observe_all
from capture.estimate import costs as costs_of
from capture.estimate.costs import Costs
from capture.estimate.price import price
from capture.pcapng.blocks import packet_block_bytes

SHIPPED = Path(costs_of.__file__).with_name("costs.json")
HELD_OUT = (
    Workload(size=64, rate=30_000),
    Workload(size=128, rate=500_000),
    Workload(size=512, rate=250_000, way=Way.OUT),
    Workload(size=1400, rate=100_000),
    Workload(size=1000, rate=150_000, snaplen=300),
    Workload(size=300, rate=100_000, way=Way.BOTH),
    Workload(size=64, rate=800_000, matching=0.5),
    Workload(size=512, rate=200_000, keeps=4),
    Workload(size=64, rate=FULL_SPEED),
)
"""Workloads that are not used to fit."""
COLUMNS = (
    "workload",
    "kernel ns/packet",
    "predicted",
    "off",
    "process CPU",
    "predicted",
    "off",
    "file MB/s",
    "predicted",
    "off",
)
_MEASURED = (("kernel_ns", 1, ""), ("process_ns", 1e7, " %"), ("file_bytes", 1e6, ""))


def predicted(workload: Workload, rate: float, costs: Costs) -> tuple[float, float, float]:
    """What `bicap plan` would say: kernel ns per packet, process ns and file bytes per second."""
    captured = workload.captured * rate
    said = price(
        costs,
        seen=rate,
        left_out=workload.matching * rate - captured,
        captured=captured,
        captured_bytes=captured * workload.captured_bytes,
    )
    return (
        said.kernel.of_cpu * 1e9 / rate,
        said.process.of_cpu * 1e9,
        captured * packet_block_bytes(workload.captured_bytes),
    )


def check(found: Sequence[Sequence[Observed]], costs: Costs) -> list[list[str]]:
    """A row per workload: measured, predicted, and how far off; where nothing is captured, of the kernel alone."""
    rows = []
    for runs in found:
        workload, rate = runs[0].workload, statistics.median(run.rate for run in runs)
        said = predicted(workload, rate, costs)
        row = [str(workload)]
        for (name, scale, unit), value in zip(_MEASURED, said, strict=True):
            seen = statistics.median(getattr(run, name) for run in runs)
            texts = (f"{seen / scale:,.1f}{unit}", f"{value / scale:,.1f}{unit}", f"{value / (seen or 1) - 1:+.0%}")
            row += texts if workload.captured or name == "kernel_ns" else ("", "", "")
        rows.append(row)
    return rows


def save(found: Sequence[Sequence[Observed]], path: Path) -> None:
    """Keep what was observed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([[asdict(run) for run in runs] for runs in found]) + "\n")


def held_out(path: Path, costs: Costs) -> str:
    """What was kept of the workloads that were not used to fit, beside what these costs predict."""
    found = [
        [Observed(Workload(**run["workload"]), *list(run.values())[1:]) for run in runs]
        for runs in json.loads(path.read_text())
    ]
    return markdown(COLUMNS, check([runs for runs in found if runs[0].workload in HELD_OUT], costs))


def coefficients(costs: Costs) -> str:
    """A row per cost."""
    named = [
        (name.replace("_", ", per ", 1).replace("_", " "), cost.ns, cost.error)
        for name in costs_of.COEFFICIENTS
        for cost in [getattr(costs, name)]
    ]
    return markdown(["", "ns", "± ns"], [(name, f"{ns:,.4g}", f"{error:,.2g}") for name, ns, error in named])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--results", type=Path, default=Path("bench/out/model.json"), help="write what was observed")
    parser.add_argument("--ship", action="store_true", help=f"write {SHIPPED}")
    asked = parser.parse_args()

    found = observe_all([*TRAINING, *HELD_OUT], asked.repeat, asked.seconds)
    costs = fit(found[: len(TRAINING)], source(f"commit {machine()['commit']}"))
    save(found, asked.results)
    print(f"{coefficients(costs)}\n\nnot used to fit:\n{held_out(asked.results, costs)}")
    print("\nused to fit:\n" + markdown(COLUMNS, check(found[: len(TRAINING)], costs)))
    if asked.ship:
        SHIPPED.write_text(json.dumps(costs.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
