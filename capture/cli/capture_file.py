"""What the commands that read a capture file share: options, its sessions, and how far reading has come."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capture.cli.groups import option
from capture.errors import FormatError

if TYPE_CHECKING:
    from capture.analysis.packets.reading import Batch, CaptureFile
    from capture.arrays.aliases import Table

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
"""Bytes between two updates."""


def with_progress(file: "CaptureFile") -> Iterator["Batch"]:
    """The file's batches."""
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


def json_lines(columns: Mapping[str, Sequence[Any]]) -> str:
    """An object a line, of columns of the same length."""
    return "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))


def ended_sessions(
    file: "CaptureFile", across_interfaces: bool, damage: list[FormatError]
) -> Iterator[tuple["Table", "Table"]]:
    """(sessions that ended, samples), as often as there are some. Damage ends the file, and is told in `damage`.

    Raises FormatError of a file that no packet could be read from.
    """
    from capture.analysis.sessions.tracker import Tracker

    tracker = Tracker(by_interface=not across_interfaces)
    try:
        for batch in with_progress(file):
            yield from tracker.feed(batch.data, batch.packets)
    except FormatError as error:
        if not file.packets:
            raise
        damage.append(error)
    yield from tracker.finish()
