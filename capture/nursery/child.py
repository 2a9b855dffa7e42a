"""A document, in a forked process -> its capture, from start to end, and what there is to say of it.

`run` does what `bicap capture` does, or for a recorder what `bicap record` does: it has the process to itself.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

import msgspec

from capture.errors import BicapError, SpecError
from capture.kernel.privileges import drop_unused
from capture.kernel.syscall import end_with_parent, trim_heap
from capture.nursery.exchange import Concluded, Hear, Progress, Ready, Say, WrittenUntil
from capture.request.convert import spec_of
from capture.request.document import Document, is_recorder
from capture.run import own_process
from capture.run.account import total
from capture.run.capture import Capture
from capture.run.planning import plan_capture
from capture.run.summary import Summary
from capture.sink.open import open_sink

_BUG = 1
PROGRESS_SECONDS = 1.0
"""Time between two messages about the progress of a capture."""
WRITTEN_SECONDS = 0.2
"""Time between two messages about how far the file is written."""


def become_child(parent: int, stdout: int, stderr: int, keep: set[int]) -> None:
    """Take over the descriptors, close all others but `keep`, and end when the parent does."""
    end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the line above
        os.kill(os.getpid(), signal.SIGTERM)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor, target in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(descriptor, target)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:  # that of the listing
                continue


def run(document: bytes, say: Say, hear: Hear) -> int:
    """Run the capture of a document as JSON. Returns the exit code: that of the error's class, or 0.

    SIGINT and SIGTERM are expected to be blocked; they are let through once they end the capture.
    """
    captures: list[Capture] = []
    error, code = None, 0
    recorded: dict[str, object] | None = None
    try:
        asked = _read(document)
        if is_recorder(asked):
            from capture.nursery.recorder_child import record  # captures have no use for its modules

            recorded = record(asked, say, hear)
        else:
            _capture(asked, say, captures)
    except BicapError as failure:
        error, code = " ".join(str(failure).splitlines()), failure.exit_code
    except Exception as failure:
        traceback.print_exc()
        error, code = f"bug: {type(failure).__name__}: {failure}", _BUG
    summary = captures[0].summary if captures else None
    if summary is not None:
        try:
            own_process.write_summary(summary)
        except BicapError as failure:
            error, code = error or str(failure), code or failure.exit_code
    say(Concluded(error, recorded or _plain(summary)))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _read(document: bytes) -> Document:
    try:
        return msgspec.json.decode(document, type=Document)
    except msgspec.DecodeError as error:
        raise SpecError(f"not a document of a capture: {error}") from None


def _capture(asked: Document, say: Say, captures: list[Capture]) -> None:
    spec, output = spec_of(asked), asked.storage.path
    if output is None:
        raise SpecError("no output given; the document needs storage.path")
    drop_unused()
    plan = plan_capture(spec)
    running = Capture(
        plan,
        open_sink(output, spec.storage),
        on_event=lambda text: print(f"bicap: {text}", file=sys.stderr, flush=True),
        on_attached=lambda attached: own_process.give_up_privileges(attached, (output,)),
    )
    captures.append(running)
    own_process.end_on_signals(running)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, own_process.ENDING)
    try:
        with running:
            trim_heap()
            say(Ready([interface.name for interface in running.roster.present]))
            running.run(Reports(say).tick, WRITTEN_SECONDS)
    finally:
        own_process.ignore_signals()


class Reports:
    """What a capture says while it runs: its progress when that is due, else how far its file is written."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._due = 0.0

    def tick(self, running: Capture) -> None:
        """Say what is due."""
        if self._clock() >= self._due:
            if self._say(_progress(running)):
                self._due = self._clock() + PROGRESS_SECONDS
        else:
            self._say(WrittenUntil(running.written_until_ns()))


def _progress(running: Capture) -> Progress:
    names = [interface.name for interface in running.roster.present]
    return Progress(total(running.accounts()).as_json(), names)


def _plain(summary: Summary | None) -> dict[str, object] | None:
    found: dict[str, object] | None = None if summary is None else json.loads(json.dumps(summary.as_json()))
    return found
