"""A network namespace's name or path -> code that runs inside it.

A new thread enters the namespace, runs the code and ends, so the caller's thread stays where it is.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from capture.errors import PrivilegeError, TargetError
from capture.kernel import syscall

Result = TypeVar("Result")
NAMED = "/run/netns"
_NS_GET_NSTYPE, _CLONE_NEWNET = 0xB703, 0x40000000  # include/uapi/linux/nsfs.h, sched.h


class Namespace:
    """An open network namespace; None is our own."""

    def __init__(self, name_or_path: str | None = None) -> None:
        self.name = name_or_path
        path = "/proc/self/ns/net" if name_or_path is None else name_or_path
        if "/" not in path:
            path = os.path.join(NAMED, path)
        self._path = path
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a FIFO
        except FileNotFoundError:
            raise TargetError(
                f"network namespace {name_or_path} does not exist; `ip netns` lists the named ones"
            ) from None
        except PermissionError:
            raise PrivilegeError(f"network namespace {path} may not be opened; run as root") from None
        except OSError as error:
            raise TargetError(f"network namespace {path} cannot be opened: {error.strerror}") from None
        try:
            if fcntl.ioctl(self.descriptor, _NS_GET_NSTYPE) != _CLONE_NEWNET:
                raise OSError
        except OSError:
            os.close(self.descriptor)
            raise TargetError(f"{name_or_path} is not a network namespace; `ip netns` lists the named ones") from None
        self.inode = os.fstat(self.descriptor).st_ino

    @property
    def gone(self) -> bool:
        """True if its path no longer leads to it: it was deleted, and exists only because we hold it open."""
        try:
            return os.stat(self._path).st_ino != self.inode
        except OSError:
            return True

    @classmethod
    def fresh(cls) -> "Namespace":
        """Return a new namespace that has only a loopback, and that ends with `close`. Raises OSError."""

        def make() -> "Namespace":
            syscall.unshare_network()
            return cls("/proc/thread-self/ns/net")

        return _in_thread(make, "netns")

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function inside the namespace and return its result; sockets that it makes stay in the namespace."""
        if self.name is None:
            return function()

        def inside() -> Result:
            self._enter()
            return function()

        return _in_thread(inside, f"netns {self.name}")

    def _enter(self) -> None:
        try:
            syscall.setns(self.descriptor)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise PrivilegeError(
                    f"entering network namespace {self.name} needs CAP_SYS_ADMIN; run as root"
                ) from None
            raise TargetError(f"network namespace {self.name} cannot be entered: {error.strerror}") from None

    def close(self) -> None:
        os.close(self.descriptor)


def _in_thread(function: Callable[[], Result], name: str) -> Result:
    """Call a function in a new thread, wait for it, and return its result or raise its exception."""
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name=name)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
