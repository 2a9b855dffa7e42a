"""Observed workloads -> what each part of a capture costs, fitted to them.

The kernel's cost is what the sender feels: its time per packet with the capture less without.
"""

import statistics
from collections.abc import Sequence
from datetime import date

from capture.benchmark.fit import fitted
from capture.benchmark.tools import machine
from capture.benchmark.workloads import Observed
from capture.estimate.costs import COEFFICIENTS, Cost, Costs

LEAST_NS = 1.0
"""Less than that a run does not tell from noise, and a short one may count no time; relative errors of nothing mean
nothing."""


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
            process.append(max(statistics.median(run.process_ns for run in runs), LEAST_NS))
    in_kernel, in_process = fitted(kernel_rows, kernel), fitted(process_rows, process)
    names = COEFFICIENTS
    values = [*in_kernel.values, *in_process.values]
    errors = [*in_kernel.errors, *in_process.errors]
    pairs = {name: Cost(float(v), float(e)) for name, v, e in zip(names, values, errors, strict=True)}
    return Costs(**pairs, kernel_off=in_kernel.off, process_off=in_process.off, source=source)


def source(program: str) -> str:
    """Where, with which bicap and when costs are measured, in words."""
    facts = machine()
    return f"{facts['cpu']}, Linux {facts['kernel']}, {program}, {date.today().isoformat()}"
