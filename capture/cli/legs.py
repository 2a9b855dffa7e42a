"""`bicap legs FILE...`: captures of the same packets at several points -> delays and losses between them."""

import json

import click

from capture.cli.capture_file import end_reading, files, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError
from capture.units import format_count

_SHOWN = 10
"""Lost packets of a leg that are listed without --lost, at most."""


@click.command(cls=GroupedCommand, short_help="Compare points that saw the same packets: delay and loss between.")
@files
@option(
    "Which",
    "--one-clock",
    is_flag=True,
    help="All files were captured on one machine: their times can be compared as they are.",
)
@option("Output", "--lost", is_flag=True, help="List every lost packet by its number, not only the first.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object, with all lost packets.")
def legs(files: tuple[str, ...], one_clock: bool, lost: bool, as_json: bool) -> None:
    """Compare points that saw the same packets: how long they took from one to the next, and where they were lost.

    A point is an interface of a file: both ends of a capture with --point both, or files of several nodes. A packet
    is recognised by what does not change on its way, through DNAT, SNAT, VXLAN, Geneve, GRE and IP in IP. Points of
    one file have one clock, and their delays are exact. The offset of the clocks of two files is estimated from
    packets that went both ways, and each delay between them has that uncertainty. docs/analysis.md
    explains every count.

    FILE is pcap or pcapng, plain, gzip or zstd; a folder stands for its capture files, and a pattern in quotes for
    the files that match. The parts of one capture are read as one file.
    """
    from capture.analysis.legs.comparison import Comparison
    from capture.analysis.legs.observe import Observations
    from capture.analysis.packets.capture_parts import captures_of, completeness_of, files_of, name_of
    from capture.analysis.packets.several import open_parts
    from capture.views.legs_report import legs_json, legs_lines

    captures = captures_of(files_of(files))
    names = [name_of(parts) for parts in captures]
    damage: list[FormatError] = []
    with Observations() as observations:
        for parts, name in zip(captures, names, strict=True):
            with open_parts(parts, inner=True) as capture:
                try:
                    observations.add(name, with_progress(capture), capture.description)
                except FormatError as error:
                    damage.append(error)
        if len(observations.points) < 2:
            if damage:
                raise damage[0]
            raise SpecError(
                f"{', '.join(names)} has packets of {format_count(len(observations.points), 'interface')}, but two "
                "are needed; capture with --point both, or give the file of the other side too"
            )
        comparison = Comparison(observations, one_clock)
    known = {name: completeness_of(parts) for parts, name in zip(captures, names, strict=True)}
    if as_json:
        click.echo(json.dumps(legs_json(comparison, names, known), indent=2))
    else:
        click.echo("\n".join(legs_lines(comparison, names, known, None if lost else _SHOWN)))
    end_reading(observations.notes, damage)
