"""`bicap incidents FOLDER`: the incidents that a recorder wrote, oldest first."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import GroupedCommand, option
from capture.units import format_count, format_duration, format_size

if TYPE_CHECKING:
    from capture.live.incident_folder import StoredIncident


@click.command(cls=GroupedCommand, short_help="List the incidents that a recorder wrote.")
@click.argument("folder", metavar="FOLDER")
@option("Output", "--json", "as_json", is_flag=True, help="Print the JSON of each incident, one a line.")
def incidents(folder: str, as_json: bool) -> None:
    """List the incidents in a folder, oldest first: time, trigger, packets, time before and after, file.

    An incident that is `unfinished` is being written, or its recorder was killed: the file is valid, and ends where
    writing ended.
    """
    from capture.live.incident_folder import stored_incidents

    found = stored_incidents(folder)
    for incident in found:
        click.echo(json.dumps(incident.summary | {"file": incident.path}) if as_json else _line(incident))
    if not found and not as_json:
        click.echo(f"no incidents in {folder}")


def _line(incident: "StoredIncident") -> str:
    summary: dict[str, Any] = incident.summary
    try:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(summary["fired_ns"] // 10**9))
        reason = " ".join(filter(None, [summary["rule"], f"({summary['reason']})" if summary["reason"] else ""]))
        before, after = (format_duration(summary[f"{side}_had_ns"]) for side in ("before", "after"))
        short = f", {summary['before_short']}" if summary["before_short"] else ""
        packets = format_count(summary["packets"], "packet")
        state = "" if summary["complete"] else "  unfinished"
    except (KeyError, TypeError, ValueError, OverflowError):
        return f"{'?':19}  {format_size(incident.size):>10}  {incident.path}  its JSON cannot be read"
    return (
        f"{moment}  {format_size(incident.size):>10}  {incident.path}  {reason}: {packets}, {before} before{short}, "
        f"{after} after{state}"
    )
