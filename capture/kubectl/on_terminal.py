"""What a user sees while something lasts, on stderr: lines and a progress bar. And how a user ends it."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


def tell(line: str) -> None:
    """Print one line on stderr."""
    print(f"bicap: {' '.join(line.splitlines())}", file=sys.stderr, flush=True)


class UserEnding:
    """A wish to end, by Ctrl-C or by a signal: the first ends well, the second ends now."""

    def __init__(self) -> None:
        self.wanted = ""
        """Why; "" if it is not wanted."""

    def __enter__(self) -> "UserEnding":
        self._before = {number: signal.signal(number, self._caught) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = signal.Signals(number).name


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_as_interrupted() -> None:
    """Let SIGTERM and SIGHUP end the process as Ctrl-C does, so that everything is cleaned up."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)


@contextlib.contextmanager
def progress_bar(what: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show how much is left, where stderr is a terminal. Yields what gets the bytes that have come."""
    if not sys.stderr.isatty() or total <= 0:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total, completed=done)
        yield lambda size: shown.advance(task, size)


def reader_is_gone(descriptor: int) -> bool:
    """True if the reader of a pipe has closed it."""
    watched = select.poll()
    watched.register(descriptor, select.POLLERR | select.POLLHUP)
    return bool(watched.poll(0))


def close_output() -> None:
    """Let the end of the program not complain about a pipe that its reader has closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
