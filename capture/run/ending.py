"""A reason to end a capture, or a change of pods, from another thread or a signal -> the sleeping loop wakes up."""

import contextlib
import os
import select
import threading


class Wake:
    """An eventfd. Threads and signal handlers may call `notify`, also after `close`, when it does nothing."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Reentrant, because a signal handler may interrupt its own thread. The lock keeps `notify` from writing to a
        # descriptor that was closed and has been given to another file.
        self._lock = threading.RLock()

    def notify(self) -> None:
        """Wake the thread that waits, or the next that will."""
        with self._lock:
            if self.descriptor >= 0:
                os.eventfd_write(self.descriptor, 1)

    def wait(self, seconds: float) -> None:
        """Sleep until a notification, or until the time is over."""
        if select.select([self.descriptor], [], [], seconds)[0]:
            self.clear()

    def clear(self) -> None:
        """Forget earlier notifications."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def close(self) -> None:
        with self._lock:
            descriptor, self.descriptor = self.descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


class Ending:
    """The reason for which a capture ends, None until there is one; only the first is kept."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._wake: Wake | None = None

    def because(self, reason: str) -> None:
        """End the capture for this reason; threads and signal handlers may call it."""
        if self.reason is None:
            self.reason = reason
            if self._wake is not None:
                self._wake.notify()

    def wakes(self, wake: Wake) -> None:
        """Notify `wake` when a reason is set; an earlier reason notifies nobody, so read `reason` first."""
        self._wake = wake
