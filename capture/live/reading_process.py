"""A running capture -> messages to a process that reads its files behind it, and what that process says.

The capture sends how far its files are written to a socket that it never waits for. A message that finds no room is
left out: the next one says the same and more. So whatever the other process does, it costs the capture these
messages, and the packets are read from the page cache.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

from capture.live.written_files import FILES_MOST, MESSAGE_MOST, WrittenFiles, packed
from capture.run.capture import Capture
from capture.sink.protocol import FileRecord

HELD = {signal.SIGINT, signal.SIGTERM}
"""Signals that end the capture, and by that the other process, which reads what is left."""
_END_SECONDS = 5


class ReadingProcess:
    """The other process: `python -m MODULE FD WORDS...`. Methods raise OSError when it is gone.

    `told` is the youngest file that it knows: it reads the files from there on, all of them if that is "".
    """

    def __init__(self, module: str, words: Sequence[str], in_terminal: bool = False, told: str = "") -> None:
        self._told = told
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)  # it starts with these blocked
        try:
            with theirs:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", module, str(theirs.fileno()), *words],
                    pass_fds=(theirs.fileno(),),
                    stdin=None if in_terminal else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.line.setblocking(False)

    def tell(self, running: Capture) -> None:
        """Tell how far the files are, unless the process has not read what it was told before."""
        files, until_ns = running.files, running.written_until_ns()
        with suppress(BlockingIOError):
            self.line.send(packed(self.progress(files, running.written(), over=False, until_ns=until_ns)))
            self._told = files[-1].path if files else self._told

    def messages(self) -> Iterator[bytes]:
        """Yield what it has said."""
        with suppress(BlockingIOError):
            while message := self.line.recv(MESSAGE_MOST):
                yield message
            raise BrokenPipeError

    def progress(self, files: Sequence[FileRecord], packets: int, over: bool, until_ns: int = 0) -> WrittenFiles:
        """Return how far files are, from the last one that was told on: those before it are complete, and known."""
        paths = [file.path for file in files]
        since = paths.index(self._told) if self._told in paths else 0
        news = [(os.path.abspath(file.path), file.bytes) for file in files[since:][-FILES_MOST:]]
        return WrittenFiles(news, packets, over, until_ns)

    def kill(self) -> None:
        """End the process at once, without waiting for what it does."""
        self.line.close()
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Let the process end."""
        self.line.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
