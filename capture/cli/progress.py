"""A file that is being read -> how far that has come, on a terminal; nothing elsewhere."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capture.analysis.reading import Batch, CaptureFile

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
        task = progress.add_task(f"reading {file.name}", total=file.size)
        for batch in file:
            yield batch
            if file.position - shown >= _STEP:
                shown = file.position
                progress.update(task, completed=shown)
