"""`bicap trigger FOLDER|SOCKET`: a recorder writes an incident now."""

import json
from dataclasses import asdict

import click

from capture.cli.groups import GroupedCommand, option


@click.command(cls=GroupedCommand, short_help="Let a recorder write an incident now.")
@click.argument("place", metavar="FOLDER|SOCKET")
@option("Trigger", "--reason", default="", metavar="TEXT", help="Text that the incident's JSON gets.")
@option("Output", "--json", "as_json", is_flag=True, help="Print the recorder's answer as JSON.")
@click.pass_context
def trigger(context: click.Context, place: str, reason: str, as_json: bool) -> None:
    """Let a recorder write an incident now: the packets before and after this moment.

    FOLDER is that of the recorder's --incidents, SOCKET its --socket. Prints the path of the incident, which is
    complete after the recorder's --after. If an incident is being written, it goes on for longer. The exit code is 1
    if the recorder refuses, as during its --cooldown.
    """
    from capture.live.cause import BEGAN, PROLONGED
    from capture.live.doorbell import ring_socket

    answer = ring_socket(place, reason)
    if as_json:
        click.echo(json.dumps(asdict(answer)))
    elif answer.answer in (BEGAN, PROLONGED):
        click.echo(answer.incident)
    else:
        click.echo(f"bicap: no incident begins: {answer.reason}", err=True)
    context.exit(0 if answer.answer in (BEGAN, PROLONGED) else 1)
