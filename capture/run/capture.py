"""A plan -> a capture that runs and leaves a complete file and exact accounts: the Python API of `run`.

    with Capture(plan, open_sink("out.pcapng")) as capture:
        capture.run()
    print(capture.summary.total)

`start` has the steps of the start, `running` the work of a running capture. This class opens and closes all of it.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from capture.errors import SinkError
from capture.filters.conversations import Conversation
from capture.plan import CapturePlan
from capture.run.account import Account, check
from capture.run.ending import Ending
from capture.run.file_start import FileStart
from capture.run.roster import Roster
from capture.run.running import RunningCapture
from capture.run.start import start
from capture.run.summary import Summary
from capture.sink.protocol import FileRecord, ReaderGoneError, Sink
from capture.stream.clock import WallClock
from capture.wire.drop_reasons import KernelReason


class Capture:
    """A capture, running between `__enter__` and `__exit__`.

    The constructor opens nothing. `__enter__` takes over the sink, and closes it also if the start fails. `summary`
    is set by `__exit__`, also if the output could not be completed; `__exit__` raises that error. `on_event` is
    called with a line of text when pods are added or deleted, or when one cannot be captured. `on_attached` is called
    once, after programs are attached and before the output is opened: the caller may drop privileges then. `on_file`
    is called in the loop over packets when a file has begun, so it must be quick.
    """

    def __init__(
        self,
        plan: CapturePlan,
        sink: Sink,
        on_event: Callable[[str], None] = lambda _: None,
        on_attached: Callable[["Capture"], None] = lambda _: None,
        on_file: Callable[[FileStart], None] | None = None,
    ) -> None:
        self.plan, self._sink = plan, sink
        self._on_event, self._on_attached, self._on_file = on_event, on_attached, on_file
        self.roster = Roster()
        """All interfaces of the capture, present and past."""
        self.summary: Summary | None = None
        self._ending = Ending()
        self._stack = contextlib.ExitStack()
        self._running: RunningCapture | None = None

    def __enter__(self) -> "Capture":
        try:
            with contextlib.ExitStack() as stack:
                running = start(self.plan, self._sink, self.roster, self._ending, self._on_event, stack)
                self._running = running
                self._on_attached(self)
                running.output.on_file = self._on_file
                # Last, so that a capture that cannot start leaves an earlier file unchanged.
                running.begin()
                self._stack = stack.pop_all()
        except BaseException:
            self._running = None
            with contextlib.suppress(SinkError):
                self._sink.close()
            raise
        return self

    def stop(self, reason: str) -> None:
        """End the capture. Signal handlers and other threads may call this, also before the start."""
        self._ending.because(reason)

    def run(self, on_tick: Callable[["Capture"], None] | None = None, interval: float = 1.0) -> None:
        """Capture until a limit is reached, the output fails, all interfaces are deleted, or `stop` is called.

        `on_tick` is called every `interval` seconds.
        """
        self._now.run(None if on_tick is None else lambda: on_tick(self), interval)

    def accounts(self) -> list[Account]:
        """Return a snapshot per interface. While packets flow, some are on their way to the file."""
        return self._now.accounts_of_packets()

    def kernel_reasons(self) -> Mapping[KernelReason, int] | None:
        """Return the number of the kernel's drops and resets by reason; None if they are not recorded."""
        reasons = self._now.reasons
        return None if reasons is None else reasons.counts()

    def written_until_ns(self) -> int:
        """Return the wall-clock time before which all packets were given to the output."""
        return self._now.written_until_ns

    def written(self) -> int:
        """Return the number of packets, and events of the kernel, that were given to the output."""
        return sum(account.both.written for account in self.accounts()) + self.events()

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """The files so far; the last one still grows."""
        return self._sink.files

    def end_file_at(self, at_ns: int | None) -> None:
        """Begin another file for the packets from a CLOCK_MONOTONIC time on; None takes an earlier order back.

        Call it from `on_tick` or `on_file`: it belongs to the thread of the loop.
        """
        self._now.limits.end_file_at(at_ns)

    def events(self) -> int:
        """Return the number of the kernel's events that were given to the output."""
        return self._now.output.events

    def late(self) -> int:
        """Return the number of packets that got the time of the one before them."""
        return self._now.limits.late

    def wake(self) -> None:
        """Let the loop begin its next round at once; any thread and signal handlers may call it."""
        running = self._running
        if running is not None:
            running.wake.notify()

    @property
    def clock(self) -> WallClock:
        """The clock of the files."""
        return self._now.clock

    def reasons_as_json(self) -> Mapping[str, Any] | None:
        """Return the counts of the kernel's drops and resets as plain values; None if they are not recorded."""
        reasons = self._now.reasons
        return None if reasons is None else reasons.as_json()

    def replace_conversations(self, conversations: Sequence[Conversation]) -> tuple[int, int]:
        """Match these instead of the present list from now on; any thread may call it. Rules do not change.

        Returns the numbers of conversations added and removed. Raises SpecError if the capture was planned without a
        list, or if there are too many conversations.
        """
        return self._now.replace_conversations(conversations)

    @property
    def _now(self) -> RunningCapture:
        if self._running is None:
            raise RuntimeError("the capture is not running; call this inside its `with` block")
        return self._running

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        running = self._now
        trouble = None if error is None else f"ended by {kind.__name__ if kind else error}"
        self._ending.because(trouble or "stopped")
        output = running.output
        try:
            self.summary = running.finish(trouble)
            check(self.summary.accounts)
        finally:
            self._running = None
            self._stack.close()
            try:
                self._sink.close()
            except SinkError as failed:
                output.failure = output.failure or failed
                output.complete = False
            if self.summary is not None:  # closing wrote the last bytes of a compressed file
                self.summary = replace(self.summary, files=self._sink.files, complete=output.complete)
        failure = output.failure
        if failure is not None and not isinstance(failure, ReaderGoneError) and error is None:
            raise failure
