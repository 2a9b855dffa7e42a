"""`bicap doctor`: checks of this node -> a line each, and whether a capture will work."""

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

    Everything is tried, and leaves nothing behind: programs are loaded, and attached to a loopback interface of their
    own; rings are mapped and unmapped. The exit code is 0 if a capture will work, 1 if not.
    """
    from capture.kernel.checks import can_capture, run_checks
    from capture.kernel.probes import CHECKS

    results = run_checks(CHECKS)
    click.echo(json.dumps([asdict(result) for result in results], indent=2) if as_json else report(results))
    context.exit(0 if can_capture(results) else 1)


def mark(result: "Result") -> str:
    """Return the severity of a result: "ok", "warn" or "FAIL"."""
    if result.ok:
        return "ok"
    return "FAIL" if result.required and result.ok is False else "warn"


def report(results: Sequence["Result"]) -> str:
    """Return one line per check, and a last one with the conclusion."""
    width = max(len(result.check) for result in results)
    lines = []
    for result in results:
        remedy = f" -> {result.remedy}" if result.remedy else ""
        lines.append(f"{mark(result):<4}  {result.check:<{width}}  {' '.join(result.finding.split())}{remedy}")
    failed = [result.check for result in results if mark(result) == "FAIL"]
    lines.append(f"this node cannot capture: {', '.join(failed)}" if failed else "this node can capture")
    return "\n".join(lines)
