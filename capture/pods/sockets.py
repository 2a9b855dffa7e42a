"""The known paths of container runtimes' sockets -> the sockets to ask."""

import os
import stat
from collections.abc import Sequence

from capture.errors import PrivilegeError, TargetError

ENDPOINT = "CONTAINER_RUNTIME_ENDPOINT"
"""Environment variable with the socket's address; crictl uses it, too."""
KNOWN = (
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/cri-dockerd.sock",
)


def find_sockets(requested: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the requested sockets, else the one that the environment names, else the first known one that exists.

    Raises TargetError if there is none, or if a requested path is not a socket; PrivilegeError.
    """
    if not requested and os.environ.get(ENDPOINT):
        requested = [os.environ[ENDPOINT].removeprefix("unix://")]
    for path in requested:
        _check(path)
    paths = tuple(requested) or tuple(path for path in KNOWN if _is_socket(path))[:1]
    if not paths:
        raise TargetError(
            f"no container runtime found (tried {', '.join(KNOWN)}); give the path of its socket with --cri-socket"
        )
    return paths


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
            f"the container runtime's socket {path} does not exist ({error.strerror}); "
            "is the runtime running, and is this its socket?"
        ) from None
    if not is_socket:
        raise TargetError(f"{path} is not a socket; give the CRI socket of containerd or CRI-O")
