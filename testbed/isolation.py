"""A test run -> network and mount namespaces of its own, so that it sees what it made and nothing of other runs.

Namespaces are named by files of /run/netns, which is a file system of the run's own, too. /sys stays the machine's:
control groups and BTF are below it, and nothing here reads interfaces from it.
"""

import ctypes
import subprocess

from capture.kernel.syscall import CLONE_NEWNET

CLONE_NEWNS = 0x00020000  # include/uapi/linux/sched.h


def unshare(kinds: int) -> None:
    """Move this thread, and all that it starts, into fresh namespaces of these kinds (CLONE_NEW*). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(kinds) != 0:
        raise OSError(ctypes.get_errno(), "no namespaces of one's own")


def isolate() -> None:
    """Move this thread into namespaces of a test run. Raises OSError."""
    unshare(CLONE_NEWNS | CLONE_NEWNET)
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
