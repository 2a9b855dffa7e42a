"""`bicap trigger FOLDER|SOCKET`: a recorder writes an incident now."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.live.watcher import Fired


@click.command(cls=GroupedCommand, short_help="Let a recorder write an incident now.")
@click.argument("places", metavar="FOLDER|SOCKET|FILE...", nargs=-1, required=True)
@option(
    "Trigger",
    "--try",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Fire nothing: say when this rule of --trigger would have fired in capture files. May be repeated.",
)
@option("Trigger", "--reason", default="", metavar="TEXT", help="Text that the incident's JSON gets.")
@option("Output", "--json", "as_json", is_flag=True, help="Print the recorder's answer as JSON.")
@click.pass_context
def trigger(
    context: click.Context, places: tuple[str, ...], rules: tuple[str, ...], reason: str, as_json: bool
) -> None:
    """Let a recorder write an incident now: the packets before and after this moment.

    FOLDER is that of the recorder's --incidents, SOCKET its --socket. Prints the path of the incident, which is
    complete after the recorder's --after. If an incident is being written, it goes on for longer. The exit code is 1
    if the recorder refuses, as during its --cooldown.

    With --try, FILE is a capture, and each line says when a rule of `bicap record --trigger` would have fired in it,
    with which value, for which conversation. The evaluation is that of a recorder. The exit code is 1 if no rule
    would have fired.
    """
    if rules:
        context.exit(0 if _try_rules(rules, places, as_json) else 1)
    if len(places) > 1:
        raise SpecError(f"{places[1]} is too much: a recorder has one folder or socket; --try takes several files")
    from capture.live.cause import BEGAN, PROLONGED
    from capture.live.doorbell import ring_socket

    answer = ring_socket(places[0], reason)
    if as_json:
        click.echo(json.dumps(asdict(answer)))
    elif answer.answer in (BEGAN, PROLONGED):
        click.echo(answer.incident)
    else:
        click.echo(f"bicap: no incident begins: {answer.reason}", err=True)
    context.exit(0 if answer.answer in (BEGAN, PROLONGED) else 1)


def _try_rules(texts: Sequence[str], files: tuple[str, ...], as_json: bool) -> int:
    """Print when the rules would have fired. Returns how often."""
    from capture.analysis.packets.merged import open_captures
    from capture.cli.capture_file import with_progress
    from capture.live.trigger_rules import parse_rule
    from capture.live.watcher import Watcher
    from capture.views.moments import Clock

    rules = [parse_rule(text, "--try") for text in texts]
    if any(rule.lost is not None for rule in rules):
        raise SpecError("--try: lost is counted by a recorder; a capture file does not say when packets were lost")
    watcher, clock, count = Watcher(rules), Clock(), 0
    with open_captures(files, False) as capture:

        def fired() -> "Iterator[Fired]":
            for batch in clock.beside(with_progress(capture)):
                yield from watcher.feed(batch)
            yield from watcher.finish()

        try:
            for one in fired():
                count += 1
                click.echo(json.dumps(asdict(one)) if as_json else _line(clock.dated_text(one.at_ns), one))
        except FormatError as error:
            if not capture.packets:
                raise
            click.echo(f"bicap: {error}", err=True)
    if not count and not as_json:
        click.echo("no rule would have fired")
    return count


def _line(moment: str, fired: "Fired") -> str:
    value = (
        "" if fired.value is None else f"  {fired.value:,}" if isinstance(fired.value, int) else f"  {fired.value}"
    )
    return f"{moment}  {fired.rule}{value}{f'  {fired.session}' if fired.session else ''}"
