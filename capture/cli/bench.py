"""`bicap bench`: this node -> the cost of capturing on it beside other tools; the costs for `bicap plan`."""

import json
import os
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from capture.cli.groups import GroupedCommand, option
from capture.errors import KernelError, PrivilegeError
from capture.estimate.costs import COEFFICIENTS, NODE_FILE

if TYPE_CHECKING:
    from capture.estimate.costs import Costs

_LOADS = ("64 B", "1514 B")
_EXPLAINED = "added ns: to the sender; CPU ns: of the tool; node ns: both, per packet; ratio: through tcpdump's"


@click.command(cls=GroupedCommand, short_help="Measure what capturing costs on this node.")
@option("What", "--calibrate", is_flag=True, help="Measure what packets cost, for `bicap plan`; takes a minute.")
@option("What", "--repeat", type=click.IntRange(1), metavar="N", help="Rounds.  [default: 3; 1 with --calibrate]")
@option(
    "What",
    "--seconds",
    type=click.FloatRange(0.05),
    default=1.0,
    show_default=True,
    help="Length of each run of --calibrate.",
)
@option("Output", "--costs", metavar="FILE", default=NODE_FILE, show_default=True, help="Where --calibrate writes.")
@option("Output", "--json", "as_json", is_flag=True, help="Print JSON: an object per load and tool, or the costs.")
def bench(calibrate: bool, repeat: int | None, seconds: float, costs: str, as_json: bool) -> None:
    """Measure what capturing costs on this node, beside tcpdump and dumpcap where they are installed.

    Packets flow in a network namespace of its own, as fast as the kernel sends them: on a busy node choose a quiet
    hour. With --calibrate nothing is compared; workloads of all kinds are run, and the cost of each part of a capture
    is fitted to them and written to a file.
    """
    if os.geteuid() != 0:
        raise PrivilegeError("bicap bench creates network namespaces and sends from the kernel; run it as root")
    if len(os.sched_getaffinity(0)) < 2:
        raise KernelError(
            "bicap bench needs two CPUs, for the tool and for the sender, but may use only one; see taskset -p"
        )
    try:
        text = _calibrated(repeat or 1, seconds, costs, as_json) if calibrate else _compared(repeat or 3, as_json)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        # A program that the benchmark runs failed: a tool, or `ip`.
        details = getattr(error, "stderr", None) or ""
        raise KernelError(f"the measurement failed: {error} {details}; see bicap doctor") from error
    click.echo(text)


def _calibrated(repeat: int, seconds: float, path: str, as_json: bool) -> str:
    from capture.benchmark.calibration import fit, source
    from capture.benchmark.workloads import TRAINING, observe_all
    from capture.sink.place import cannot, make_directory, write_beside

    try:
        make_directory(path, None)
    except OSError as error:
        raise cannot("write", path, error) from None
    found = observe_all(TRAINING, repeat, seconds)
    for runs in found:
        if any(run.lost for run in runs):
            click.echo(
                f"bicap: warning: packets were lost ({runs[0].workload}); repeat this in a quiet hour", err=True
            )
    costs = fit(found, source(f"bicap {version('bicap')}"))
    text = json.dumps(costs.as_json(), indent=2)
    write_beside(path, text + "\n")
    return text if as_json else _text(costs, path)


def _compared(repeat: int, as_json: bool) -> str:
    from capture.benchmark.compare import compare
    from capture.benchmark.loads import LOADS
    from capture.benchmark.result_table import as_text
    from capture.benchmark.results import Results
    from capture.benchmark.tools import installed, tools

    lines = []
    for load in (LOADS[name] for name in _LOADS):
        found = [tool for tool in tools(load.expression) if installed(tool.name)]
        lines += compare(load, [None, *found], repeat)
    results = Results(lines)
    if as_json:
        return "\n".join(map(json.dumps, results.as_json()))
    return f"{as_text(results)}\n\n{_EXPLAINED}"


def _text(costs: "Costs", path: str) -> str:
    named = [(name.replace("_", ", ", 1).replace("_", " "), getattr(costs, name)) for name in COEFFICIENTS]
    values = "\n".join(f"  {name:20}{cost} ns" for name, cost in named)
    return (
        f"costs in the kernel and in the process, per second, packet or byte ({costs.source}):\n{values}\n"
        f"single workloads are off by {costs.kernel_off:.0%} (kernel) and {costs.process_off:.0%} (process)\n"
        f"written to {path}"
    )
