"""`python -m bench.model`: what capturing costs, fitted; held against workloads that were not used to fit.

The kernel's cost is what the sender feels: its time per packet with the capture less without. `--ship` writes the
coefficients that `bicap plan` brings along.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from bench.fit import fitted
from bench.table import markdown
from bench.tools import machine
from bench.workloads import HELD_OUT, TRAINING, Observed, Workload, observe_all
from capture.estimate import costs as costs_of
from capture.estimate.costs import Cost, Costs
from capture.estimate.price import price
from capture.pcapng.blocks import packet_block_bytes

SHIPPED = Path(costs_of.__file__).with_name("costs.json")
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
LEAST_NS = 1.0
"""Less than that a run does not tell from noise; relative errors of nothing mean nothing."""


def fit(found: Sequence[Sequence[Observed]], source: str) -> Costs:
    """Coefficients from the medians of runs per workload."""
    kernel_rows, kernel, process_rows, process = [], [], [], []
    for runs in found:
        workload, rate = runs[0].workload, statistics.median(run.rate for run in runs)
        captured, kept = workload.captured, workload.captured * workload.captured_bytes
        kernel_rows.append([(captured > 0) / rate, 1.0, workload.matching - captured, captured, kept])
        kernel.append(max(statistics.median(run.kernel_ns for run in runs), LEAST_NS))
        if captured:
            process_rows.append([1.0, captured * rate, kept * rate])
            process.append(statistics.median(run.process_ns for run in runs))
    in_kernel, in_process = fitted(kernel_rows, kernel), fitted(process_rows, process)
    names = costs_of.COEFFICIENTS
    values = [*in_kernel.values, *in_process.values]
    errors = [*in_kernel.errors, *in_process.errors]
    pairs = {name: Cost(float(v), float(e)) for name, v, e in zip(names, values, errors, strict=True)}
    return Costs(**pairs, kernel_off=in_kernel.off, process_off=in_process.off, source=source)


def source(program: str) -> str:
    """Where, with which bicap and when costs are measured, in words."""
    facts = machine()
    return f"{facts['cpu']}, Linux {facts['kernel']}, {program}, {date.today().isoformat()}"


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
