"""`bicap read FILE`: a capture file -> one line per packet, like tcpdump's."""

import click

from capture.cli.capture_file import across_interfaces, inner
from capture.cli.groups import GroupedCommand, option


@click.command(cls=GroupedCommand, short_help="Show the packets of a capture file.")
@click.argument("file")
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
@across_interfaces
@inner
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the file has for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def read(
    file: str,
    chosen: tuple[int, ...],
    count: int | None,
    across_interfaces: bool,
    inner: bool,
    numeric: bool,
    as_json: bool,
) -> None:
    """Show the packets of a capture file, one a line: number, time, interface, direction, session and headers.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input. A damaged file is shown as far as it can be
    read, and the exit code is 5.
    """
    from capture.analysis.packets.reading import CaptureFile
    from capture.views.json_lines import json_lines
    from capture.views.packet_lines import PacketLines, packet_columns
    from capture.views.queries import packets_of

    with CaptureFile(file, inner) as capture:
        lines = PacketLines(capture.description, names=not numeric)
        for packets in packets_of(capture, chosen, across_interfaces, count):
            if as_json:
                click.echo(json_lines(packet_columns(packets, capture.description)))
            else:
                click.echo(lines.lines(packets), nl=False)
