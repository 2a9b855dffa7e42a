"""A network namespace's name or path -> code that runs inside it.

A thread of its own enters the namespace and ends: the caller's threads never move.
"""

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from capture.errors import PrivilegeError, TargetError
from capture.kernel import syscall

Result = TypeVar("Result")
NAMED = "/run/netns"


class Namespace:
    """An open network namespace; None is the one we are in."""

    def __init__(self, name_or_path: str | None = None) -> None:
        self.name = name_or_path
        path = "/proc/self/ns/net" if name_or_path is None else name_or_path
        if "/" not in path:
            path = os.path.join(NAMED, path)
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise TargetError(
                f"network namespace {name_or_path} does not exist; `ip netns` lists the named ones"
            ) from None
        except PermissionError:
            raise PrivilegeError(f"network namespace {path} may not be opened; run as root") from None
        self.inode = os.fstat(self.descriptor).st_ino

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function inside the namespace; sockets it makes stay there."""
        if self.name is None:
            return function()
        outcome: list[Result] = []
        failure: list[BaseException] = []

        def inside() -> None:
            try:
                syscall.setns(self.descriptor)
                outcome.append(function())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=inside, name=f"netns {self.name}")
        thread.start()
        thread.join()
        if failure:
            if isinstance(failure[0], PermissionError):
                raise PrivilegeError(f"entering network namespace {self.name} needs CAP_SYS_ADMIN; run as root")
            raise failure[0]
        return outcome[0]

    def close(self) -> None:
        os.close(self.descriptor)
