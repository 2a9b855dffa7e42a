"""A capture that has this process to itself -> its privileges, what ends it, and the summary beside its file.

Privileges belong to a thread and signals to a process, so a process may run one such capture and nothing else.
"""

import json
import signal
from collections.abc import Iterable
from typing import Any, Protocol

from capture.kernel.privileges import FILE_CAPABILITIES, drop, needed_later
from capture.plan import CapturePlan
from capture.run.account import Account
from capture.run.summary import Summary
from capture.sink.place import is_in_own_directory, owner_of, summary_path, write_beside

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a capture, which then completes its file."""


class OwnsProcess(Protocol):
    """A capture or a recorder."""

    @property
    def plan(self) -> CapturePlan: ...

    def accounts(self) -> list[Account]:
        """Return the counts so far."""

    def stop(self, reason: str) -> None:
        """End it."""


def give_up_privileges(running: OwnsProcess, files: Iterable[str | None]) -> None:
    """Drop all privileges but those needed from now on, before packets of strangers are read.

    `files` are the paths that will still be written; None and - are none.
    """
    keep = needed_later(running.plan)
    written = [file for file in files if file not in (None, "-")]
    if running.plan.spec.storage.user or not all(is_in_own_directory(file) for file in written):
        keep |= FILE_CAPABILITIES
    drop(keep, works=running.accounts)


def end_on_signals(running: OwnsProcess) -> None:
    """Let SIGINT and SIGTERM end the capture."""
    for number in ENDING:
        signal.signal(number, lambda received, _: running.stop(f"ended by {signal.Signals(received).name}"))


def ignore_signals() -> None:
    """Ignore them: what is left to do is short, and a second Ctrl-C must not interrupt it."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def write_summary(summary: Summary, store: dict[str, Any] | None = None) -> None:
    """Write FILE.json; nothing goes beside a pipe or a device. Raises SinkError.

    `store` is what has become of its upload, None without one.
    """
    if summary.files:
        content = summary.as_json() | ({} if store is None else {"store": store})
        text = json.dumps(content, indent=2) + "\n"
        write_beside(summary_path(summary.output), text, owner_of(summary.plan.spec.storage.user))
