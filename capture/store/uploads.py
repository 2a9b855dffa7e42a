"""Files and a store -> an uploader that has them, and what has become of each: the owner's side of the socket.

No method waits, but `await_answer` and `close`: a capture calls them between its rounds. An uploader that dies is
started again, and gets all files that it had not confirmed.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from capture.errors import BicapError, StoreError
from capture.store.upload_messages import (
    MESSAGE_MAX,
    Confirmed,
    FromUploader,
    Impossible,
    OpenStore,
    Renew,
    SendFile,
    Sent,
    StaleCredentials,
    StoreOpened,
    Troubled,
    packed,
    report_of,
)

AT_ONCE = 16
"""Files that the uploader has at a time: their descriptors are open, also if they are deleted meanwhile."""
RESTART_SECONDS = 2.0
_END_SECONDS = 2.0


class UploadState(Enum):
    """What has become of a file."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class FileUpload:
    """One file. `reason` is why the last try failed, `next_at` when the next one is (time.time), 0 for now."""

    name: str
    state: UploadState = UploadState.WAITING
    bytes: int = 0
    sha256: str = ""
    tries: int = 0
    reason: str = ""
    next_at: float = 0.0
    sent: int = 0
    """Bytes that are on their way."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values; a file that is not confirmed has no size and no digest."""
        told: dict[str, Any] = {"name": self.name, "state": self.state.value, "tries": self.tries}
        if self.state is UploadState.CONFIRMED:
            return told | {"bytes": self.bytes, "sha256": self.sha256}
        return told | {"reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSource:
    """Where a store is, and what opens it: files that are opened anew whenever credentials are asked for."""

    url: str
    folder: str
    credentials: Callable[[], BinaryIO] | None = None
    """Opens the file of credentials; None for the standard sources of the store."""
    known_hosts: str | None = None
    """Path of a file."""
    known_hosts_text: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    """Settings that are no secrets, as the endpoint."""
    only_given: bool = False
    """True to use none of this machine's own credentials: somebody else chose the store."""


class Uploads:
    """All files of one capture, and the uploader that has them."""

    def __init__(self, source: StoreSource) -> None:
        self._source = source
        self.files: dict[str, FileUpload] = {}
        """By name, in the order in which they were given."""
        self.opened = False
        """True once the store has taken our credentials."""
        self.trouble: Troubled | None = None
        """The last failure since something succeeded."""
        self._openers: dict[str, Callable[[], BinaryIO]] = {}
        self._waiting: deque[str] = deque()
        self._given: set[str] = set()
        """Files that the uploader has: a capture of a week has thousands, and asks twice a second."""
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._restart_at = 0.0

    # Files.

    def add(self, name: str, opener: Callable[[], BinaryIO]) -> None:
        """Upload what `opener` opens under a name; a name that is known is not taken again."""
        if name in self.files:
            return
        self.files[name] = FileUpload(name)
        self._openers[name] = opener
        self._waiting.append(name)
        self.step()

    def already(self, file: FileUpload) -> None:
        """Know a file that was confirmed before this process began."""
        self.files[file.name] = file

    @property
    def unconfirmed(self) -> list[FileUpload]:
        """The files that the store has not confirmed."""
        return [file for file in self.files.values() if file.state is not UploadState.CONFIRMED]

    @property
    def pending(self) -> list[FileUpload]:
        """The files that will be tried again."""
        return [file for file in self.files.values() if file.state is UploadState.WAITING]

    # The uploader.

    def start(self) -> None:
        """Start the uploader. Raises StoreError if a file of credentials cannot be opened."""
        with contextlib.ExitStack() as stack:
            self._start(stack)

    def _start(self, stack: contextlib.ExitStack) -> None:
        source = self._source
        try:
            descriptors: list[int] = []
            if source.credentials is not None:
                descriptors.append(stack.enter_context(source.credentials()).fileno())
            if source.known_hosts is not None:
                descriptors.append(stack.enter_context(opened(source.known_hosts)).fileno())
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "capture.store.uploader_process", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            self._line = ours
            order = OpenStore(
                source.url,
                source.folder,
                source.credentials is not None,
                source.known_hosts is not None,
                source.settings,
                source.known_hosts_text,
                source.only_given,
            )
            socket.send_fds(ours, [packed(order)], descriptors)
            ours.setblocking(False)
        except OSError as error:
            self._end()
            raise StoreError(f"{error.filename or 'the uploader'} cannot be opened: {error.strerror}") from None

    def await_answer(self, seconds: float) -> None:
        """Wait until the store has answered, or could not be reached. Raises StoreError if it refuses us."""
        deadline = time.monotonic() + seconds
        while not self.opened and self.trouble is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.wait(min(left, 0.2))
        if self.trouble is not None and self.trouble.refused:
            raise StoreError(f"{self._source.url}: {self.trouble.reason}")

    def wait(self, seconds: float) -> None:
        """Wait until the uploader says something, and take it in."""
        if self._line is not None:
            select.select([self._line], [], [], seconds)
        else:
            time.sleep(min(seconds, max(0.0, self._restart_at - time.monotonic())))
        self.step()

    def step(self) -> None:
        """Take in what the uploader has said, and give it files that it has room for."""
        if self._line is None and self._process is None and time.monotonic() >= self._restart_at and self.pending:
            try:
                self.start()
            except BicapError as error:
                self._restart_at = time.monotonic() + RESTART_SECONDS
                self.trouble = Troubled("", str(error), RESTART_SECONDS, 1, True)
        while self._line is not None:
            try:
                data = self._line.recv(MESSAGE_MAX)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._lost()
                break
            self._heard(report_of(data))
        self._give()

    def _heard(self, message: FromUploader) -> None:
        match message:
            case StoreOpened():
                self.opened, self.trouble = True, None
            case Sent(name, count):
                self.files[name] = replace(self.files[name], sent=count)
            case Confirmed(name, count, sha256, tries):
                self.files[name] = FileUpload(name, UploadState.CONFIRMED, count, sha256, tries)
                self._given.discard(name)
                self.trouble = None
            case Impossible(name, reason, tries):
                self.files[name] = FileUpload(name, UploadState.IMPOSSIBLE, tries=tries, reason=reason)
                self._given.discard(name)
            case StaleCredentials():
                self._renew()
            case Troubled(name, reason, seconds, tries):
                self.trouble = message
                if name in self.files:
                    self.files[name] = replace(
                        self.files[name], tries=tries, reason=reason, next_at=time.time() + seconds, sent=0
                    )

    def _give(self) -> None:
        while self._line is not None and self._waiting and len(self._given) < AT_ONCE:
            name = self._waiting[0]
            try:
                file = self._openers[name]()
            except OSError as error:
                self._waiting.popleft()
                reason = f"it cannot be read here: {error.strerror}"
                self.files[name] = FileUpload(name, UploadState.IMPOSSIBLE, reason=reason)
                continue
            with file:
                try:
                    socket.send_fds(self._line, [packed(SendFile(name))], [file.fileno()])
                except BlockingIOError:
                    return
                except OSError:
                    self._lost()
                    return
            self._waiting.popleft()
            self._given.add(name)

    def _renew(self) -> None:
        """Send the credentials that the source has now."""
        source = self._source
        if source.credentials is None or self._line is None:
            return
        try:
            with source.credentials() as file:
                socket.send_fds(self._line, [packed(Renew(True, source.settings))], [file.fileno()])
        except (OSError, BicapError):
            return  # the uploader tries again, and asks again

    def _lost(self) -> None:
        """The uploader has ended: have another begin with what is not confirmed."""
        self._end()
        if self.trouble is None or not self.trouble.refused:
            self.trouble = Troubled("", "the uploader ended; it is started again", RESTART_SECONDS, 1, False)
        self._restart_at = time.monotonic() + RESTART_SECONDS
        self._waiting = deque(file.name for file in self.pending)
        self._given.clear()

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """End the uploader; what it has not confirmed is not uploaded."""
        self._end()


def opened(path: str | Path) -> BinaryIO:
    """Return a file, open for reading."""
    return open(path, "rb")


def memory_file(content: bytes) -> BinaryIO:
    """Return a file that is in memory only."""
    file = os.fdopen(os.memfd_create("bicap"), "w+b")
    file.write(content)
    file.flush()
    file.seek(0)
    return file
