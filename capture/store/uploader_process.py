"""The uploader: a process that gets descriptors of files over a socket, and writes them into a store until confirmed.

    python -m capture.store.uploader_process FD

It is the only process that sees credentials. Before it touches a store or a file it gives up all privileges: it
becomes another user where it may, and has no capabilities in any case.
"""

import ctypes
import os
import pwd
import queue
import random
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec

from capture.errors import SpecError
from capture.store.backoff import delay
from capture.store.confirmed_upload import Claim, upload
from capture.store.object_place import ForeignContentError, ObjectPlace, PlaceError, StaleError, StoreRefusedError
from capture.store.store_credentials import (
    CLOUD_VARIABLES,
    PRIVATE_KEY,
    check_own,
    settings_in,
    standard_known_hosts,
    standard_settings,
    text_of,
)
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
    order_of,
    packed,
)
from capture.store_url import StoreUrl, folder_of, parse_store_url

USER = "nobody"
PROGRESS_SECONDS = 0.5
_NO_NEW_PRIVILEGES, _CAPABILITIES_VERSION = 38, 0x20080522


@dataclass
class _Job:
    """A file that the store has not confirmed."""

    name: str
    file: BinaryIO
    tries: int = 0
    claim: Claim = field(default_factory=Claim)


class Uploader:
    """Jobs, one after the other, each until it is confirmed or impossible. `line` is the socket to the owner."""

    def __init__(self, line: socket.socket, first: OpenStore, settings: dict[str, str], hosts: str | None) -> None:
        self._line, self._order, self._settings, self._hosts = line, first, settings, hosts
        self._url: StoreUrl = parse_store_url(first.url)
        self._place: ObjectPlace | None = None
        self._orders: queue.Queue[tuple[SendFile | Renew, list[int]] | None] = queue.Queue()
        self._jobs: deque[_Job] = deque()
        self._failures, self._next_at, self._opened = 0, 0.0, False
        self._told_at = 0.0

    def run(self) -> None:
        """Work until the owner of the files closes the socket, or ends."""
        threading.Thread(target=self._receive, name="orders", daemon=True).start()
        while True:
            busy = not self._opened or self._jobs
            wait = max(0.0, self._next_at - time.monotonic()) if busy else None
            try:
                order = self._orders.get(timeout=wait) if wait != 0.0 else self._orders.get_nowait()
            except queue.Empty:
                self._try()
                continue
            if order is None:
                return
            self._take(*order)

    def _receive(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._line, MESSAGE_MAX, 2)
            if not data:
                # Its owner is gone. What a store does at this moment may take minutes: nobody would hear of it.
                os._exit(0)
            order = order_of(data)
            assert not isinstance(order, OpenStore)
            self._orders.put((order, descriptors))

    def _take(self, order: SendFile | Renew, descriptors: list[int]) -> None:
        if isinstance(order, SendFile):
            self._jobs.append(_Job(order.name, os.fdopen(descriptors[0], "rb")))
            return
        try:
            self._settings = _settings(self._url, order.has_credentials, descriptors, order.settings)
        except StoreRefusedError as error:
            self._failed("", error, 0)
            return
        if self._place is not None:
            self._place.close()
            self._place = None
        self._next_at = 0.0

    def _try(self) -> None:
        job = self._jobs[0] if self._jobs else None
        try:
            place = self._ready()
            if job is None:
                return
            job.tries += 1
            digest, found = upload(place, self._name(job.name), job.file, self._progress(job), job.claim)
        except ForeignContentError as error:
            assert job is not None
            self._jobs.popleft()
            job.file.close()
            self._say(Impossible(job.name, str(error), job.tries))
            return
        except PlaceError as error:
            self._failed(job.name if job else "", error, job.tries if job else self._failures + 1)
            if job is not None:
                self._jobs.rotate(-1)  # one bad file does not hold up the others
            return
        self._jobs.popleft()
        job.file.close()
        self._failures = 0
        self._say(Confirmed(job.name, digest.bytes, digest.sha256, job.tries, found))

    def _ready(self) -> ObjectPlace:
        if self._place is None:
            self._place = place_at(self._url, self._settings, self._hosts)
        if not self._opened:
            self._place.size(self._name("manifest.json"))
            self._opened, self._failures = True, 0
            self._say(StoreOpened())
        return self._place

    def _name(self, name: str) -> str:
        return folder_of(self._url, self._order.folder, name)

    def _progress(self, job: _Job) -> Callable[[int], None]:
        def on_bytes(count: int) -> None:
            if time.monotonic() - self._told_at > PROGRESS_SECONDS:
                self._told_at = time.monotonic()
                self._say(Sent(job.name, count))

        return on_bytes

    def _failed(self, name: str, error: PlaceError, tries: int) -> None:
        self._failures += 1
        seconds = delay(self._failures, random.random())
        self._next_at = time.monotonic() + seconds
        self._say(Troubled(name, str(error), seconds, tries, isinstance(error, StoreRefusedError)))
        if isinstance(error, StaleError):
            self._say(StaleCredentials())

    def _say(self, message: FromUploader) -> None:
        try:
            self._line.send(packed(message))
        except OSError:
            os._exit(0)


def place_at(url: StoreUrl, settings: dict[str, str], known_hosts: str | None) -> ObjectPlace:
    """Return the store of a URL. Raises StoreRefusedError."""
    if url.is_local:
        from capture.store.folder_place import FolderPlace

        return FolderPlace()
    if url.scheme == "sftp":
        from capture.store.sftp_place import SftpPlace

        return SftpPlace(url, settings.get(PRIVATE_KEY), known_hosts)
    from capture.store.bucket_place import BucketPlace

    return BucketPlace(url, settings)


def _settings(url: StoreUrl, has_file: bool, descriptors: list[int], given: dict[str, str]) -> dict[str, str]:
    if has_file:
        profile = os.environ.get("AWS_PROFILE", "default") if url.scheme == "s3" else "default"
        found = settings_in(url.scheme, text_of(descriptors[0]), profile) | given
        # A file that is just being replaced may be empty; without this, the machine's own would be used instead.
        check_own(url.scheme, found)
        return found
    return (standard_settings(url.scheme, os.environ) if not given else {}) | given


def give_up_privileges(keep_user: bool) -> None:
    """Become another user where that is possible, and have no capabilities; no program can bring them back."""
    if os.geteuid() == 0 and not keep_user:
        try:
            entry = pwd.getpwnam(USER)
            os.setgroups([])
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        except (KeyError, PermissionError):  # a container without CAP_SETUID
            pass
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the uploader cannot give up its privileges")


def _import_all(url: StoreUrl) -> None:
    """Import everything that is used later: another user may not be able to read our modules."""
    # The event loop of asyncio looks names up in threads.
    import concurrent.futures.thread  # noqa: F401
    import encodings.idna  # noqa: F401

    if url.scheme == "sftp":
        import asyncssh  # noqa: F401

        import capture.store.sftp_place
    elif url.is_local:
        import capture.store.folder_place
    else:
        import capture.store.bucket_place  # noqa: F401


def main(descriptor: int) -> None:
    """Serve the owner of the files at the other end of a socket."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C is for the capture; the uploader ends with its owner
    line = socket.socket(fileno=descriptor)
    data, descriptors, _, _ = socket.recv_fds(line, MESSAGE_MAX, 2)
    if not data:
        return
    first = order_of(data)
    assert isinstance(first, OpenStore)
    url = parse_store_url(first.url)

    def refuse(reason: str) -> None:
        line.send(packed(Troubled("", reason, 0.0, 1, True)))

    try:
        _import_all(url)
        settings = _settings(url, first.has_credentials, descriptors, first.settings)
        if first.only_given:
            check_own(url.scheme, settings)
            for name in [name for name in os.environ if name.startswith(CLOUD_VARIABLES)]:
                del os.environ[name]
        hosts = first.known_hosts
        if first.has_known_hosts:
            hosts = text_of(descriptors[-1])
        elif hosts is None and url.scheme == "sftp":
            hosts = standard_known_hosts(os.environ)
        give_up_privileges(keep_user=url.is_local)
        os.environ["HOME"] = "/nonexistent"  # it was read; asyncssh fails over what it may not see
    except ImportError as error:
        refuse(f"{error.name} is not installed; pip install 'bicap[store]'")
        return
    except (StoreRefusedError, SpecError, OSError, msgspec.DecodeError) as error:
        refuse(str(error))
        return
    Uploader(line, first, settings, hosts).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
