"""Where container runtimes have their sockets -> the one to ask."""

import os
import stat
from collections.abc import Sequence

from capture.errors import PrivilegeError, TargetError

ENDPOINT = "CONTAINER_RUNTIME_ENDPOINT"
"""The variable by which crictl is told the same."""
KNOWN = (
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/cri-dockerd.sock",
)


def find_sockets(asked: Sequence[str] = ()) -> tuple[str, ...]:
    """The sockets asked for, or the one that the environment names, or the first that is there.

    Raises TargetError if there is none, or if one of those asked for is no socket; PrivilegeError.
    """
    if not asked and os.environ.get(ENDPOINT):
        asked = [os.environ[ENDPOINT].removeprefix("unix://")]
    for path in asked:
        _check(path)
    found = tuple(asked) or tuple(path for path in KNOWN if _is_socket(path))[:1]
    if not found:
        raise TargetError(
            f"no container runtime found (looked for {', '.join(KNOWN)}); --cri-socket says where its socket is"
        )
    return found


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _check(path: str) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except PermissionError:
        raise PrivilegeError(f"the container runtime's socket {path} may not be reached; run as root") from None
    except OSError as error:
        raise TargetError(
            f"the container runtime's socket {path} is not there ({error.strerror}); "
            "is the runtime running, and is this its socket?"
        ) from None
    if not is_socket:
        raise TargetError(f"{path} is no socket; give the CRI socket of containerd or CRI-O")
