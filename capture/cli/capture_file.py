"""Options and the progress bar that commands on capture files share."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capture.cli.groups import option

if TYPE_CHECKING:
    from capture.analysis.packets.reading import Batch, CaptureFile

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
    help="Take packets inside VXLAN, Geneve, GRE and IP in IP instead of those that carry them.",
)

_STEP = 1 << 24
"""Bytes between two updates of the progress bar."""


def show_notes(notes: Iterable[str]) -> None:
    """Print what a reader of a file must know to stderr."""
    for note in notes:
        click.echo(f"note: {note}", err=True)


def with_progress(file: "CaptureFile") -> Iterator["Batch"]:
    """Return the file's batches, and show a progress bar on a terminal for a large file."""
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
