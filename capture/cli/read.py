"""`bicap read FILE...`: capture files -> one line per packet, like tcpdump's; or as a table for other programs."""

from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, end_reading, files, inner, packets, time_form, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.cli.table_output import TableOutput, table_options, until_damage
from capture.cli.write_packets import write_packets
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.analysis.packets.packet_filter import PacketFilter


@click.command(cls=GroupedCommand, short_help="Show the packets of a capture file.")
@files
@option(
    "Which",
    "--session",
    "chosen",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="Only packets of this session, by its number in `bicap sessions`. May be repeated.",
)
@option(
    "Which",
    "--finding",
    type=click.IntRange(1),
    metavar="N",
    help="Only packets of the sessions that finding N of `bicap diagnose` names.",
)
@option(
    "Which",
    "--anomalies",
    is_flag=True,
    help="Only packets that are marked (retransmission, out of order, copy, keep-alive, zero window, missing bytes), "
    "RST and ICMP errors.",
)
@option("Which", "-c", "--count", type=click.IntRange(1), metavar="N", help="Show N packets at most.")
@packets
@across_interfaces
@inner
@option(
    "Output",
    "-w",
    "--write",
    "target",
    metavar="FILE",
    help="Write these packets into a new pcapng file, or - for standard output, instead of showing them: with their "
    "interfaces, comments and names.",
)
@time_form
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the file has for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@table_options
def read(
    files: tuple[str, ...],
    chosen: tuple[int, ...],
    finding: int | None,
    anomalies: bool,
    count: int | None,
    expression: str | None,
    across_interfaces: bool,
    inner: bool,
    target: str | None,
    time_form: str,
    numeric: bool,
    as_json: bool,
    parquet: str | None,
    arrow: str | None,
    node: str | None,
) -> None:
    """Show the packets of a capture file, one a line: number, time, interface, direction, session and headers.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time. A damaged file is
    shown as far as it can be read, and the exit code is 5.
    """
    from capture.analysis.packets.merged import open_captures
    from capture.views.json_lines import json_lines
    from capture.views.moments import Clock, TimeForm
    from capture.views.packet_lines import PacketLines
    from capture.views.packet_query import PacketQuery

    output = TableOutput(parquet, arrow, node)
    as_table = output.check(json=as_json, write=target is not None)
    if finding is not None:
        chosen = _sessions_of_finding(files, finding, chosen, across_interfaces, inner)
    query = PacketQuery(chosen, _expression(expression), anomalies, count)
    if target is not None:
        write_packets(files, inner, across_interfaces, query, target)
        return
    notes: list[str] = []
    damage: list[FormatError] = []
    with open_captures(files, inner) as capture:
        if as_table:
            from capture.lake.common import TableRows
            from capture.lake.lake_packets import PACKETS

            origin = output.origin(files, capture)
            watched = origin.watch(with_progress(capture))
            batches = until_damage(query.of(capture, watched, across_interfaces, notes=notes), damage)
            output.write(PACKETS, (TableRows(batch.packets, origin) for batch in batches))
            end_reading(notes, damage)
            return
        clock = Clock(TimeForm(time_form))
        lines = PacketLines(
            capture.description, names=not numeric, clock=clock, some=anomalies or expression is not None
        )
        try:
            for batch in query.of(capture, clock.beside(capture), across_interfaces, lines.watch, notes):
                if as_json:
                    click.echo(json_lines(lines.columns(batch.packets)))
                else:
                    click.echo(lines.lines(batch.packets), nl=False)
        except FormatError as error:
            damage.append(error)
        end_reading(notes, damage)


def _expression(text: str | None) -> "PacketFilter | None":
    if text is None:
        return None
    from capture.analysis.packets.packet_filter import PacketFilter  # loads libpcap

    return PacketFilter(text)


def _sessions_of_finding(
    words: tuple[str, ...], number: int, chosen: tuple[int, ...], across_interfaces: bool, inner: bool
) -> tuple[int, ...]:
    """Return the sessions that a finding names, found by reading the files once."""
    from capture.analysis.packets.capture_parts import captures_of, completeness_of, files_of
    from capture.analysis.packets.several import open_parts
    from capture.views.diagnosing import sessions_of_finding

    if chosen:
        raise SpecError("--finding and --session do not combine; give one of them")
    if "-" in words:
        raise SpecError("--finding reads the files twice; give a file instead of standard input")
    captures = captures_of(files_of(words))
    if len(captures) > 1:
        raise SpecError("--finding is for one capture: give its files only, and see `bicap diagnose` for them")
    with open_parts(captures[0], inner) as capture:
        return sessions_of_finding(
            number, capture, with_progress(capture), across_interfaces, completeness_of(captures[0])
        )
