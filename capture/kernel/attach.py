"""A loaded program -> attached: as a tcx link (Linux 6.6), a filter in a clsact qdisc, or XDP for received packets.

The kernel removes a link when its descriptor is closed, so even SIGKILL leaves nothing behind. A filter stays: its
name identifies the process that made it, and the next start removes the filters of processes that have ended. Filters
of other programs are never changed; ours is placed before them, because a filter that decides the fate of a packet
hides it from the filters behind.
"""

import contextlib
import errno
import os
import re
import socket
from typing import Protocol

from capture.errors import AttachError, PrivilegeError, TargetError
from capture.kernel import syscall
from capture.kernel.features import attaches_filters
from capture.kernel.netlink import IPRoute, NetlinkError
from capture.kernel.netns import Namespace
from capture.plan import Interface
from capture.spec import Hook

INGRESS, EGRESS = "ingress", "egress"
_XDP = "XDP"
_TCX = {INGRESS: syscall.BPF_TCX_INGRESS, EGRESS: syscall.BPF_TCX_EGRESS}
_PARENTS = {INGRESS: 0xFFFFFFF2, EGRESS: 0xFFFFFFF3}  # TC_H_MIN_INGRESS, TC_H_MIN_EGRESS
_ETH_P_ALL = 3
_SHARED = 1 << 16 | socket.htons(_ETH_P_ALL)
"""`info` of a filter with priority 1 and all protocols."""
_HANDLES = 0x40000000
"""Lowest handle of our filters; other programs use low handles, and would replace a filter that has one of theirs."""
_NOT_IN_DRIVER = (errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE, errno.EMSGSIZE)
"""Errors of drivers that have no XDP, or none for this MTU."""
_OWNED = re.compile(r"bicap/(\d+)/(\d+)/(\d+)/(qdisc)?")


class Attachment(Protocol):
    """A program that is attached until `close`; `hook` says where: tcx, clsact, xdp native or xdp generic."""

    hook: str

    def close(self) -> None: ...


class TcxLink:
    """A program at the head of an interface's tcx chain."""

    hook = "tcx"

    def __init__(self, program: int, interface: Interface, side: str, namespace: Namespace) -> None:
        try:
            self._link = namespace.run(lambda: syscall.tcx_attach(program, interface.index, _TCX[side]))
        except OSError as error:
            raise _refused(error, interface, side) from None

    def close(self) -> None:
        os.close(self._link)


class XdpLink:
    """A program that sees received packets, before the kernel makes an skb of them where the driver supports that."""

    def __init__(self, program: int, interface: Interface, namespace: Namespace) -> None:
        def link() -> int:
            self.hook = "xdp native"
            try:
                return syscall.xdp_attach(program, interface.index, syscall.XDP_FLAGS_DRV_MODE)
            except OSError as error:
                if error.errno not in _NOT_IN_DRIVER:
                    raise
            self.hook = "xdp generic"
            return syscall.xdp_attach(program, interface.index, syscall.XDP_FLAGS_SKB_MODE)

        try:
            self._link = namespace.run(link)
        except OSError as error:
            raise _refused(error, interface, _XDP) from None

    def close(self) -> None:
        os.close(self._link)


class ClsactFilter:
    """A program as a filter in a clsact qdisc, which is made if there is none."""

    hook = "clsact"

    def __init__(self, program: int, interface: Interface, side: str, namespace: Namespace) -> None:
        self._interface, self._side, self._namespace = interface, side, namespace
        try:
            namespace.run(lambda: self._attach(program))
        except NetlinkError as error:
            raise _refused(OSError(error.code, os.strerror(error.code)), interface, side) from None

    def _attach(self, program: int) -> None:
        with IPRoute() as netlink:
            index = self._interface.index
            ours = _make_qdisc(netlink, index)
            self._name = _owner() + ("qdisc" if ours else "")
            try:
                netlink.tc(
                    "add-filter",
                    "bpf",
                    index,
                    handle=_HANDLES + os.getpid(),
                    parent=_PARENTS[self._side],
                    prio=_first_priority(netlink, index, self._side),
                    protocol=_ETH_P_ALL,
                    fd=program,
                    name=self._name,
                    direct_action=True,
                )
            except NetlinkError:
                _remove(netlink, index, self._side, self._name)
                raise

    def close(self) -> None:
        def remove() -> None:
            with IPRoute() as netlink:
                _remove(netlink, self._interface.index, self._side, self._name)

        self._namespace.run(remove)


def attach(hook: Hook, program: int, interface: Interface, side: str, namespace: Namespace) -> Attachment:
    """Attach a program to one side of an interface. Raises AttachError, TargetError, PrivilegeError."""
    namespace.run(lambda: _remove_leftovers(interface.index))
    if hook is Hook.XDP and side == INGRESS:
        return XdpLink(program, interface, namespace)
    if attaches_filters(hook):
        return ClsactFilter(program, interface, side, namespace)
    return TcxLink(program, interface, side, namespace)


def _refused(error: OSError, interface: Interface, side: str) -> Exception:
    if error.errno == errno.EPERM:
        return PrivilegeError(f"attaching to {interface.name} needs root, or CAP_NET_ADMIN")
    if error.errno == errno.ENODEV:
        return TargetError(f"interface {interface.name} was deleted before the capture began")
    if error.errno == errno.EBUSY:
        return AttachError(f"{interface.name} already has an XDP program; use --hook tcx")
    if error.errno == errno.EEXIST and side == _XDP:
        return AttachError(f"an interface on top of {interface.name} has an XDP program; use --hook tcx")
    if error.errno == errno.EEXIST:
        return AttachError(f"{interface.name} has an ingress qdisc, which has no {side} hook; use --hook tcx")
    return AttachError(f"{interface.name} refuses a program on {side}: {error.strerror}")


def _owner() -> str:
    """Return a name for filters of this process: pid namespace, pid, and start time, because pids are reused."""
    pid = os.getpid()
    return f"bicap/{os.stat('/proc/self/ns/pid').st_ino}/{pid}/{_started(pid)}/"


def _started(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _is_leftover(name: str) -> bool:
    owner = _OWNED.fullmatch(name)
    if owner is None or int(owner[1]) != os.stat("/proc/self/ns/pid").st_ino:
        return False
    return _started(int(owner[2])) != int(owner[3])


def _make_qdisc(netlink: IPRoute, index: int) -> bool:
    """Make a clsact qdisc if there is none. Returns True if it is ours: made now, or earlier by another capture.

    The last capture removes such a qdisc.
    """
    if any(q.get_attr("TCA_KIND") == "clsact" for q in netlink.get_qdiscs(index)):
        names = [name for side in _PARENTS for name, _, _ in _filters(netlink, index, side)]
        return any(_OWNED.fullmatch(name) and name.endswith("qdisc") for name in names)
    netlink.tc("add", "clsact", index)
    return True


def _first_priority(netlink: IPRoute, index: int, side: str) -> int:
    """Return a priority before all filters of a side; 0, which lets the kernel choose, if there are no filters.

    No priority is before 1, but the kernel runs the youngest of several bpf filters of one priority first.
    """
    before = min((int(m["info"]) >> 16 for m in netlink.get_filters(index, parent=_PARENTS[side])), default=1) - 1
    shared = any(info == _SHARED for _, info, _ in _filters(netlink, index, side))
    return before or int(shared)


def _filters(netlink: IPRoute, index: int, side: str) -> list[tuple[str, int, int]]:
    """Return (name, priority and protocol, handle) of each bpf filter on one side."""
    filters = []
    for message in netlink.get_filters(index, parent=_PARENTS[side]):
        options = message.get_attr("TCA_OPTIONS")
        name = options.get_attr("TCA_BPF_NAME") if message.get_attr("TCA_KIND") == "bpf" and options else None
        if name:
            filters.append((str(name), int(message["info"]), int(message["handle"])))
    return filters


def _remove(netlink: IPRoute, index: int, side: str, name: str) -> None:
    """Remove a filter of ours, and the qdisc if we made it and it has no other filter."""
    try:
        for filter_name, info, handle in _filters(netlink, index, side):
            if filter_name == name:
                netlink.tc("del-filter", "bpf", index, handle=handle, info=info, parent=_PARENTS[side])
        if name.endswith("qdisc") and not any(netlink.get_filters(index, parent=p) for p in _PARENTS.values()):
            netlink.tc("del", "clsact", index)
    except NetlinkError as error:
        if error.code not in (errno.ENODEV, errno.ENOENT, errno.EINVAL):  # deleted together with its interface
            raise


def _remove_leftovers(index: int) -> None:
    """Remove the filters of captures that were killed. An error is ignored: attaching reports the same one."""
    with contextlib.suppress(NetlinkError), IPRoute() as netlink:
        for side in _PARENTS:
            for name, _, _ in _filters(netlink, index, side):
                if _is_leftover(name):
                    _remove(netlink, index, side, name)
