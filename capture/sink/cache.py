"""Bytes written to a file -> pages that are dropped from the page cache, so that a long capture does not fill memory.

A file is divided into windows. When a window is full, writing it to the disk begins; then the window before it is
waited for and dropped. A thread does that, so the loop that writes never waits here. On tmpfs the kernel ignores both
requests; on overlayfs it ignores the waiting, so only pages that are on the disk by then are dropped.
"""

import contextlib
import ctypes
import os
import threading
from queue import SimpleQueue

WINDOW = 8 << 20
"""Bytes of a window."""
_CLOSING_SECONDS = 1.0
"""Longest wait of a capture's end for the last windows; the thread continues with them alone."""

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class CacheDropper:
    """Drops the pages of one file after the other; `failure` is the error of a write that had been accepted."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self._windows: SimpleQueue[tuple[int, int] | int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._descriptor, self._followed = -1, 0

    def wrote(self, descriptor: int, size: int) -> None:
        """Handle windows that are full, now that the current file has `size` bytes."""
        while size - self._followed >= WINDOW:
            if self._descriptor < 0:
                # Duplicated, because the file may be closed before its last window is on the disk.
                self._descriptor = os.dup(descriptor)
            self._windows.put((self._descriptor, self._followed))
            self._followed += WINDOW
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="page cache", daemon=True)
                self._thread.start()

    def file_ends(self) -> None:
        """End the current file; another may follow."""
        if self._descriptor >= 0:
            self._windows.put((self._descriptor, self._followed))
            self._windows.put(self._descriptor)
        self._descriptor, self._followed = -1, 0

    def close(self) -> None:
        """Begin to write the rest, and wait for at most _CLOSING_SECONDS until it is dropped."""
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
            if _removed(window[0]):  # deleted for later files, so the rest need not be written to the disk
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
    """True if the file has no name any more; its pages are freed when it is closed."""
    return os.fstat(descriptor).st_nlink == 0
