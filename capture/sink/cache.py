"""Bytes written to a file -> pages that leave the page cache: a long capture pushes nobody's memory out.

A file is followed in windows. When one is full its writing to the disk begins, and the one before it, which is on
the disk by then or is waited for, is dropped. That is done in a thread: the loop that writes waits for nothing
here. On tmpfs the kernel ignores both requests, on overlayfs the waiting; there goes what is on the disk by then.
"""

import contextlib
import ctypes
import os
import threading
from queue import SimpleQueue

WINDOW = 8 << 20
_CLOSING_SECONDS = 1.0
"""How long the end of a capture waits for the last windows; the thread goes on with them alone."""

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class CacheDropper:
    """Follows one file after the other; `failure` is what the disk said of data that it had seemed to take."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self._windows: SimpleQueue[tuple[int, int] | int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._descriptor, self._followed = -1, 0

    def wrote(self, descriptor: int, size: int) -> None:
        """The current file has so many bytes now."""
        while size - self._followed >= WINDOW:
            if self._descriptor < 0:
                # Of our own: the file may be closed before its last window is on the disk.
                self._descriptor = os.dup(descriptor)
            self._windows.put((self._descriptor, self._followed))
            self._followed += WINDOW
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="page cache", daemon=True)
                self._thread.start()

    def file_ends(self) -> None:
        """No more comes to the current file; another may follow."""
        if self._descriptor >= 0:
            self._windows.put((self._descriptor, self._followed))
            self._windows.put(self._descriptor)
        self._descriptor, self._followed = -1, 0

    def close(self) -> None:
        """Begin to write what is left, and drop it if that does not take long."""
        self.file_ends()
        if self._thread is not None:
            self._windows.put(None)
            self._thread.join(_CLOSING_SECONDS)

    def _follow(self) -> None:
        before: tuple[int, int] | None = None
        while (window := self._windows.get()) is not None:
            if isinstance(window, int):
                self._drop(before)
                before = None
                os.close(window)
                continue
            if _removed(window[0]):  # it made way for later files: what of it is not on the disk need not get there
                before = None
                continue
            # This begins the writing on every file system; sync_file_range does not on overlayfs.
            self._forget(window)
            self._drop(before)
            before = window

    def _drop(self, window: tuple[int, int] | None) -> None:
        if window is None:
            return
        descriptor, start = window
        if _removed(descriptor):
            return
        if _sync_file_range(descriptor, start, WINDOW, _WAIT_BEFORE | _WRITE | _WAIT_AFTER) != 0:
            code = ctypes.get_errno()
            self.failure = OSError(code, os.strerror(code))
        self._forget(window)

    def _forget(self, window: tuple[int, int]) -> None:
        descriptor, start = window
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, start, WINDOW, os.POSIX_FADV_DONTNEED)


def _removed(descriptor: int) -> bool:
    """Whether nobody can find the file any more; closing it gives its pages back."""
    return os.fstat(descriptor).st_nlink == 0
