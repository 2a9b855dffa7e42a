"""Word from elsewhere that a capture should end, or that pods changed -> the loop that sleeps wakes up."""

import contextlib
import os
import select
import threading


class Wake:
    """An eventfd. Any thread and signal handler may call `notify`, also after `close`, when nobody listens."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Of the same thread a signal handler may come between; and a closed number may be another's next.
        self._lock = threading.RLock()

    def notify(self) -> None:
        """Wake whoever waits, or will."""
        with self._lock:
            if self.descriptor >= 0:
                os.eventfd_write(self.descriptor, 1)

    def wait(self, seconds: float) -> None:
        """Sleep until somebody notifies, or time is over."""
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
    """The reason for which a capture ends, None until there is one. The first one counts."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._wake: Wake | None = None

    def because(self, reason: str) -> None:
        """End the capture; any thread and signal handler may call it."""
        if self.reason is None:
            self.reason = reason
            if self._wake is not None:
                self._wake.notify()

    def wakes(self, wake: Wake) -> None:
        """Notify this when there is a reason; a reason that is there already is seen by asking for it."""
        self._wake = wake
