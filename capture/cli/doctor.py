"""`bicap doctor`: the checks of this node -> a line each, and whether a capture will work."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from capture.cli.groups import GroupedCommand, option

if TYPE_CHECKING:
    from capture.kernel.checks import Result


@click.command(cls=GroupedCommand, short_help="Say whether this node can capture, and what to do if not.")
@option("Output", "--json", "as_json", is_flag=True, help="Print the checks as a JSON list.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say whether this node can capture, and what to do if not.

    Everything is tried out where it leaves nothing behind: programs are loaded and attached to a loopback of their
    own, rings are mapped and given back. Ends with exit code 0 if a capture will work, with 1 if not.
    """
    from capture.kernel.checks import can_capture, run_checks
    from capture.kernel.probes import CHECKS

    results = run_checks(CHECKS)
    click.echo(json.dumps([asdict(result) for result in results], indent=2) if as_json else report(results))
    context.exit(0 if can_capture(results) else 1)


def mark(result: "Result") -> str:
    """One word: how bad the answer is."""
    if result.ok:
        return "ok"
    return "FAIL" if result.required and result.ok is False else "warn"


def report(results: Sequence["Result"]) -> str:
    """A line per check, and one that sums them up."""
    width = max(len(result.check) for result in results)
    lines = []
    for result in results:
        remedy = f" -> {result.remedy}" if result.remedy else ""
        lines.append(f"{mark(result):<4}  {result.check:<{width}}  {' '.join(result.finding.split())}{remedy}")
    failed = [result.check for result in results if mark(result) == "FAIL"]
    lines.append(f"this node cannot capture: {', '.join(failed)}" if failed else "this node can capture")
    return "\n".join(lines)
