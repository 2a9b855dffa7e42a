"""`bicap read FILE...`: capture files -> one line per packet, like tcpdump's."""

import click

from capture.cli.capture_file import across_interfaces, files, inner, packets
from capture.cli.groups import GroupedCommand, option


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
@option("Which", "-c", "--count", type=click.IntRange(1), metavar="N", help="Show N packets at most.")
@packets
@across_interfaces
@inner
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the file has for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def read(
    files: tuple[str, ...],
    chosen: tuple[int, ...],
    count: int | None,
    expression: str | None,
    across_interfaces: bool,
    inner: bool,
    numeric: bool,
    as_json: bool,
) -> None:
    """Show the packets of a capture file, one a line: number, time, interface, direction, session and headers.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time. A damaged file is
    shown as far as it can be read, and the exit code is 5.
    """
    from capture.analysis.packets.matching import Expression
    from capture.analysis.packets.merged import open_captures
    from capture.views.json_lines import json_lines
    from capture.views.packet_lines import PacketLines, packet_columns
    from capture.views.queries import PacketQuery

    query = PacketQuery(chosen, None if expression is None else Expression(expression), count)
    with open_captures(files, inner) as capture:
        lines = PacketLines(capture.description, names=not numeric)
        for batch in query.of(capture, across_interfaces, lines.watch):
            if as_json:
                click.echo(json_lines(packet_columns(batch.packets, capture.description)))
            else:
                click.echo(lines.lines(batch.packets), nl=False)
