"""A test run -> network and mount namespaces of its own, so that it sees what it made and nothing of other runs.

Namespaces are named by files of /run/netns, which is a file system of the run's own, too. /sys stays the machine's:
control groups and BTF are below it, and nothing here reads interfaces from it.
"""

import ctypes
import subprocess

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000  # include/uapi/linux/sched.h


def isolate() -> None:
    """Move this thread, and all that it starts from now on, into fresh namespaces. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a test run needs namespaces of its own")
    for words in (
        ["mount", "--make-rprivate", "/"],
        ["mkdir", "-p", "/run/netns"],
        ["mount", "-t", "tmpfs", "bicap-tests", "/run/netns"],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(words, check=True)


def own_mounts() -> dict[str, str]:
    """Where file systems are mounted, by the number of the mount; below /run/netns the names of namespaces.

    A mount that was there before the run has another path once a folder above it has another name.
    """
    with open("/proc/self/mountinfo") as mounts:  # proc(5): number, parent, device, root, where, ...
        return {words[0]: words[4] for words in map(str.split, mounts)}
