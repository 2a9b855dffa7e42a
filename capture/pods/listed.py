"""A file with pods, as `bicap pods --json` prints them -> the pods, and an event when the file is replaced.

    pods = ListedPods("/run/bicap/pods.json")
    for pod in pods.look().pods: ...

Whoever writes the file knows more about pods than the runtime does: labels as they are now, and pods of other nodes.
The file is replaced by rename, so that it is always whole.
"""

import ctypes
import os
import select
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

import msgspec

from capture.errors import TargetError
from capture.filters.podname import PodName
from capture.pods.listing import Listing
from capture.selection.pod import Container, Pod

_IN_MOVED_TO, _IN_NONBLOCK, _IN_CLOEXEC = 0x80, 0o4000, 0o2000000  # include/uapi/linux/inotify.h
_EVENTS_MAX = 1 << 16


class _Container(msgspec.Struct):
    name: str
    id: str = ""
    running: bool = True


class _Pod(msgspec.Struct, rename="camel", kw_only=True):
    """One of the listed pods; other keys, like interfaces, are ignored."""

    namespace: Annotated[str, msgspec.Meta(min_length=1)]
    name: Annotated[str, msgspec.Meta(min_length=1)]
    uid: str = ""
    state: str = "Ready"
    labels: dict[str, str] = {}
    ips: list[str] = []
    host_network: bool = False
    sandbox: str = msgspec.field(name="sandboxID", default="")
    netns: str | None = None
    pid: int | None = None
    created_ns: int = 0
    elsewhere: bool = False
    containers: list[_Container] = []

    def pod(self, path: str) -> Pod:
        return Pod(
            name=PodName(self.namespace, self.name),
            uid=self.uid,
            sandbox=self.sandbox or self.uid,
            ready=self.state == "Ready",
            created_ns=self.created_ns,
            labels=self.labels,
            addresses=tuple(ip_address(ip) for ip in self.ips),
            host_network=self.host_network,
            netns=self.netns,
            pid=self.pid,
            containers=tuple(Container(one.name, one.id, one.running) for one in self.containers),
            socket=path,
            elsewhere=self.elsewhere,
        )


_decoder = msgspec.json.Decoder(list[_Pod])


class ListedPods:
    """The pods of a file. Methods raise TargetError if it cannot be read, or is not such a file."""

    pid = None
    """A file is no process: the node is that of the caller."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._closed = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def look(self) -> Listing:
        """Return the pods that are listed now."""
        try:
            with open(self.path, "rb") as file:
                return Listing(tuple(one.pod(self.path) for one in _decoder.decode(file.read())))
        except OSError as error:
            raise TargetError(f"the list of pods {self.path} cannot be read: {error.strerror}") from None
        except (msgspec.DecodeError, ValueError) as error:
            raise TargetError(
                f"{self.path} is not a list of pods as `bicap pods --json` prints it: {error}"
            ) from None

    def changes(self) -> Iterator[None]:
        """Yield at once, and then each time when the file was replaced; ends after `close`."""
        directory, name = os.path.split(os.path.abspath(self.path))
        watch = _watch(directory)
        poll = select.poll()
        for descriptor in (watch, self._closed):
            poll.register(descriptor, select.POLLIN)
        try:
            yield
            while self._closed not in dict(poll.poll()):
                if name.encode() in os.read(watch, _EVENTS_MAX):
                    yield
        finally:
            os.close(watch)

    def close(self) -> None:
        """Let a thread that waits in `changes` end."""
        os.eventfd_write(self._closed, 1)


def _watch(directory: str) -> int:
    """Return an inotify descriptor that reports files that get a name in a directory."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    if watch < 0 or libc.inotify_add_watch(watch, os.fsencode(directory), _IN_MOVED_TO) < 0:
        raise TargetError(f"{directory} cannot be watched: {os.strerror(ctypes.get_errno())}")
    return int(watch)
