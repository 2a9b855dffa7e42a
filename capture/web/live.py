"""A file that somebody still writes, or a stream -> whether there may be more of it.

A file is live as long as another process has it open for writing: the kernel refuses a read lease on it. So a capture
that is silent for an hour is still followed, and a complete file never is.
"""

import fcntl
import os
import sys
import tempfile
import threading


def is_written(name: str) -> bool:
    """True if a process has the file open for writing; False too where the kernel does not say."""
    try:
        descriptor = os.open(name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


class Spooled:
    """Standard input in a temporary file, written by a thread, so that its packets can be read again."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="bicap-web-", suffix=".pcapng")  # noqa: SIM115 - see close
        self.name = self._file.name
        self.over = threading.Event()
        threading.Thread(target=self._copy, name="standard input", daemon=True).start()

    def _copy(self) -> None:
        try:
            while piece := os.read(sys.stdin.fileno(), 1 << 20):
                self._file.write(piece)
                self._file.flush()
        except (OSError, ValueError):  # the disk is full, or the file was closed
            pass
        self.over.set()

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
