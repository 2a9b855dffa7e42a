"""`bicap read FILE`: a capture file -> one line per packet, in tcpdump's manner."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, inner, json_lines
from capture.cli.groups import GroupedCommand, option

if TYPE_CHECKING:
    from capture.analysis.packets.reading import CaptureFile
    from capture.arrays.aliases import Table


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

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input. Of a damaged file all is shown that could be
    read, and the exit code is 5.
    """
    from capture.analysis.packets.reading import CaptureFile
    from capture.views.packet_lines import PacketWords, packet_columns

    with CaptureFile(file, inner) as capture:
        words = PacketWords(capture.description, names=not numeric)
        left = count
        for packets in _chosen(capture, chosen, across_interfaces):
            shown = packets if left is None else packets[:left]
            if as_json:
                click.echo(json_lines(packet_columns(shown, capture.description)))
            else:
                click.echo(words.lines(shown), nl=False)
            if left is not None:
                left -= len(shown)
                if left == 0:
                    return


def _chosen(capture: "CaptureFile", chosen: tuple[int, ...], across_interfaces: bool) -> Iterator["Table"]:
    import numpy as np

    from capture.analysis.sessions.tracker import Tracker
    from capture.arrays.rows import picked

    tracker = Tracker(by_interface=not across_interfaces)
    for batch in capture:
        for _ in tracker.feed(batch.data, batch.packets):
            pass
        packets = batch.packets
        if chosen:
            packets = picked(packets, np.isin(packets["session"], chosen))
        if len(packets):
            yield packets
