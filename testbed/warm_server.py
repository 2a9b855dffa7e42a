"""`python -m testbed.warm_server FD`: a process with every command of bicap loaded, which forks one for each request.

FD is a SOCK_SEQPACKET socket to testbed/warm.py, which says what a request is. A child is what a shell would have
started: descriptors, environment, folder, network namespace, signals, and how it ends. It only loads nothing.
The server ends when the other end is closed; children that run then go on, as those of any parent do.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# Before numpy is imported: a thread of OpenBLAS would forbid to fork.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from capture.cli.main import COMMANDS, main
from capture.kernel.syscall import setns
from capture.nursery import server as nursery
from testbed.isolation import CLONE_NEWNS, unshare
from testbed.loops import compile_loops

SERVICES = {"agent", "controller", "web"}
"""Commands whose modules start threads when they are imported; a child imports them itself."""
_SHARED_DESCRIPTORS = 5
"""Standard input, output and error, a network namespace, and the line on which the child's end is told."""
_libc = ctypes.CDLL(None, use_errno=True)
_MS_REC, _MS_SLAVE, _MNT_DETACH = 0x4000, 0x80000, 2  # include/uapi/linux/mount.h


def load() -> None:
    """Load what commands need: modules, compiled loops, and bcc with all of LLVM."""
    for name, (module, _) in COMMANDS.items():
        if name not in SERVICES:
            importlib.import_module(module)
    compile_loops()
    nursery.load()


def serve(control: socket.socket) -> None:
    """Fork a child for each request, and tell of its end, until the other end is closed."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    lives: dict[int, tuple[int, int]] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in lives:
                poll.unregister(descriptor)
                pid, life = lives.pop(descriptor)
                with suppress(OSError):  # nobody waits for it any more
                    os.write(life, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                os.close(life)
                os.close(descriptor)
                continue
            data, descriptors, _, _ = socket.recv_fds(control, 1 << 20, _SHARED_DESCRIPTORS)
            if not data:
                return
            *shared, life = descriptors
            pid = os.fork()
            if pid == 0:
                _be_child(json.loads(data), *shared)
            pidfd = os.pidfd_open(pid)
            lives[pidfd] = pid, life
            poll.register(pidfd, select.POLLIN)
            socket.send_fds(control, [str(pid).encode()], [pidfd])
            for one in shared:
                os.close(one)


def _be_child(request: dict[str, Any], stdin: int, stdout: int, stderr: int, netns: int) -> NoReturn:
    """Become the process that was asked for, and end as Python would end it."""
    code = 1
    try:
        for descriptor, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(descriptor, target)
        _enter(netns, request["is_named_netns"])
        os.closerange(3, 1 << 16)
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        os.chdir(request["folder"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.unfreeze()
        sys.argv = ["bicap", *request["words"]]
        code = _code_of_main()
        threading._shutdown()  # type: ignore[attr-defined]  # what Python does at its end
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # nothing of the server may run


def _code_of_main() -> int:
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _enter(netns: int, is_named: bool) -> None:
    """Go into a network namespace; into a named one as `ip netns exec` does: with a /sys that shows it."""
    if os.stat(netns).st_ino == os.stat("/proc/self/ns/net").st_ino:
        return
    setns(netns)
    if is_named:
        unshare(CLONE_NEWNS)
        _mount(b"none", b"/", _MS_SLAVE | _MS_REC)
        _libc.umount2(b"/sys", _MNT_DETACH)
        _mount(b"sysfs", b"/sys", 0)


def _mount(kind: bytes, place: bytes, flags: int) -> None:
    if _libc.mount(kind, place, kind, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {place.decode()}")


def serve_forever() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; whoever started this ends it
    load()
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"bug: {threads} threads: a lock that another thread holds is held in a child for ever"
    control.send(b"!")
    serve(control)


if __name__ == "__main__":
    serve_forever()
