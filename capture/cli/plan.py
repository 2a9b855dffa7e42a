"""`bicap plan`: the options of a capture -> the programs that would run, the bytes they would write, their cost."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import ORDER, GroupedCommand
from capture.cli.line import read_request
from capture.cli.options import LOOK_DEFAULT, plan_options
from capture.errors import SpecError
from capture.request.convert import spec_of
from capture.units import format_duration, parse_duration

if TYPE_CHECKING:
    from capture.estimate.outlook import Outlook
    from capture.plan import CapturePlan


@click.command(cls=GroupedCommand, short_help="Estimate what a capture would write and cost.")
@plan_options
@click.pass_context
def plan(
    context: click.Context,
    /,
    as_json: bool,
    look: str | None,
    assume: str | None,
    costs: str | None,
    **options: Any,
) -> None:
    """Estimate what a capture would write and cost, and whether the disk holds it.

    Takes the options of `bicap capture`, and loads nothing. The traffic is read from the counters of the interfaces,
    or given by --assume. The cost of a packet was measured on the machine of the benchmark; `bicap bench --calibrate`
    measures it on this one.
    """
    request = read_request(context.meta[ORDER], options)
    spec = spec_of(request)
    from capture.run.planning import plan_capture

    planned = plan_capture(spec)
    click.echo(plan_report(planned, look_ahead(planned, request.storage.path, look, assume, costs), as_json))


def look_ahead(
    planned: "CapturePlan", output: str | None, look: str | None, assume: str | None, costs: str | None
) -> "Outlook":
    """Return the estimate for a plan, from the values of -w, --look, --assume and --costs. Raises BicapError."""
    from capture.estimate.costs import known_costs
    from capture.estimate.from_spec import disk_limits, price_factors
    from capture.estimate.load import parse_assumed
    from capture.estimate.outlook import Outlook
    from capture.kernel.look import counted, disk_of

    if look is not None and assume is not None:
        raise SpecError("--look and --assume both set the load; give one of them")
    watched_ns = parse_duration(LOOK_DEFAULT if look is None else look, "--look")
    if watched_ns == 0:
        raise SpecError("--look is not longer than 0")
    known = known_costs(costs)
    if known.trouble is not None:
        click.echo(f"bicap: warning: {known.trouble}", err=True)
    spec, disk = planned.spec, None if output is None else disk_of(output)
    return Outlook(
        loads=[parse_assumed(assume)]
        if assume is not None
        else counted(planned.interfaces, spec.netns, watched_ns / 1e9),
        source=f"--assume {assume}"
        if assume is not None
        else f"counters of the interfaces, {format_duration(watched_ns)}",
        asked=price_factors(spec),
        limits=disk_limits(spec, disk, time.time_ns()),
        direction=spec.direction,
        disk=disk,
        known=known,
    )


def plan_report(planned: "CapturePlan", outlook: "Outlook", as_json: bool) -> str:
    """Return the plan and its estimate as text for a person, or as JSON."""
    from capture.cli.show import plan_text
    from capture.plan import describe

    if as_json:
        return json.dumps(describe(planned) | {"estimate": outlook.as_json()}, indent=2)
    return "\n".join([plan_text(planned), *outlook.lines()])
