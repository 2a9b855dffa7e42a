"""Options and the progress bar that commands on capture files share."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capture.cli.groups import option
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.analysis.packets.reading import Batch
    from capture.analysis.packets.several import CaptureSource
    from capture.arrays.aliases import Mask
    from capture.views.tunnel_share import TunnelShare

files = click.argument("files", nargs=-1, required=True, metavar="FILE...")

across_interfaces = option(
    "Which",
    "--across-interfaces",
    is_flag=True,
    help="Take packets of all interfaces together: for traffic whose directions pass different ones.",
)

inner = option(
    "Which",
    "--inner",
    is_flag=True,
    help="Take packets inside VXLAN, Geneve, GRE, ERSPAN, GTP-U and IP in IP instead of those that carry them.",
)

packets = option(
    "Which",
    "--packets",
    "expression",
    metavar="EXPRESSION",
    help="Only packets that match this tcpdump expression (man pcap-filter); it sees packets as they are in the "
    "file, with what tunnels carry as payload.",
)

sessions_with_packets = option(
    "Which",
    "--packets",
    "expression",
    metavar="EXPRESSION",
    help="Only sessions of which a packet matches this tcpdump expression (man pcap-filter), with all their packets.",
)

time_form = option(
    "Output",
    "--time",
    "time_form",
    type=click.Choice(["local", "utc", "epoch", "relative"]),
    default="local",
    show_default=True,
    help="How times are shown: of day, local or UTC, with the date where it is not that of the first packet; in "
    "seconds since 1970; or in seconds since the first packet.",
)

_STEP = 1 << 24
"""Bytes between two updates of the progress bar."""


def with_progress(file: "CaptureSource") -> Iterator["Batch"]:
    """Return the batches of a capture, and show a progress bar on a terminal if it is large."""
    if file.size is None or file.size < 4 * _STEP or not sys.stderr.isatty():
        yield from file
        return
    from rich.console import Console
    from rich.progress import Progress

    shown = 0
    with Progress(console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task(f"reading {Path(file.name).name}", total=file.size)
        for batch in file:
            yield batch
            if file.position - shown >= _STEP:
                shown = file.position
                progress.update(task, completed=shown)


def matching_sessions(
    words: Sequence[str], expression: str | None, across_interfaces: bool, inner: bool
) -> "Mask | None":
    """Return a mask [session number] of sessions of which a packet matches, found by reading the files once.

    None without an expression. Raises SpecError, FilterError and TargetError.
    """
    if expression is None:
        return None
    if "-" in words:
        raise SpecError("--packets reads the files twice; give a file instead of standard input")
    from capture.analysis.packets.merged import open_captures
    from capture.analysis.packets.packet_filter import PacketFilter
    from capture.views.queries import sessions_with

    with open_captures(words, inner) as capture:
        return sessions_with(capture, with_progress(capture), PacketFilter(expression), across_interfaces)


def conclude(
    tunnels: "TunnelShare", inner: bool, notes: Iterable[str] = (), damage: Sequence[FormatError] = ()
) -> None:
    """Say on stderr what else there is to know of the files that were read, and raise the first damage."""
    if not inner and tunnels.sentence:
        click.echo(f"bicap: {tunnels.sentence}", err=True)
    end_reading(notes, damage)


def end_reading(notes: Iterable[str], damage: Sequence[FormatError]) -> None:
    """Say what a reader must know of the files, and raise the first damage."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if damage:
        raise damage[0]


def terminal_width() -> int | None:
    """Return the columns of the terminal that standard output is, None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
