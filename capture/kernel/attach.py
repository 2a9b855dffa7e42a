"""A loaded program -> a packet's way: a tcx link (Linux 6.6), a filter in a clsact qdisc, or XDP for what comes in.

A link dies with its descriptor, so that even SIGKILL leaves nothing behind. A filter stays: its name tells
whose it is, and the next start takes away those of captures that are no more. Another's filter is never touched;
ours goes before it, because a filter that decides a packet's fate hides it from those behind.
"""

import contextlib
import errno
import os
import re
import socket
from typing import Protocol

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from capture.errors import AttachError, PrivilegeError, TargetError
from capture.kernel import syscall
from capture.kernel.features import has_tcx
from capture.kernel.netns import Namespace
from capture.plan import Interface
from capture.spec import Hook

INGRESS, EGRESS = "ingress", "egress"
_XDP = "XDP"
_TCX = {INGRESS: syscall.BPF_TCX_INGRESS, EGRESS: syscall.BPF_TCX_EGRESS}
_CLSACT = 0xFFFF0000
_PARENTS = {INGRESS: 0xFFFFFFF2, EGRESS: 0xFFFFFFF3}  # TC_H_MIN_INGRESS, TC_H_MIN_EGRESS
_ETH_P_ALL = 3
_SHARED = 1 << 16 | socket.htons(_ETH_P_ALL)
"""Priority 1 and all protocols, as a filter tells them."""
_HANDLES = 0x40000000
"""Handles of our filters are from here on, so that nobody takes one of them for his own and replaces it."""
_NOT_IN_DRIVER = (errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE, errno.EMSGSIZE)
"""How drivers say that they have no XDP, or none for this MTU."""
_OWNED = re.compile(r"bicap/(\d+)/(\d+)/(\d+)/(qdisc)?")


class Attachment(Protocol):
    """A program in its place, until closed; `hook` says which place that is."""

    hook: str

    def close(self) -> None: ...


class TcxLink:
    """A program as the first of an interface's tcx chain."""

    hook = "tcx"

    def __init__(self, program: int, interface: Interface, side: str, namespace: Namespace) -> None:
        try:
            self._link = namespace.run(lambda: syscall.tcx_attach(program, interface.index, _TCX[side]))
        except OSError as error:
            raise _refused(error, interface, side) from None

    def close(self) -> None:
        os.close(self._link)


class XdpLink:
    """A program that sees what an interface receives before the kernel makes an skb of it, where the driver can."""

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
    """A program as a filter of our own, in a clsact qdisc that we make if there is none."""

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
            made = _make_qdisc(netlink, index)
            self._name = _owner() + ("qdisc" if made else "")
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
    """Put a program on one side of an interface. Raises AttachError, TargetError, PrivilegeError."""
    namespace.run(lambda: _remove_leftovers(interface.index))
    if hook is Hook.XDP and side == INGRESS:
        return XdpLink(program, interface, namespace)
    if hook is Hook.TCX or (hook is Hook.XDP and has_tcx()):
        return TcxLink(program, interface, side, namespace)
    return ClsactFilter(program, interface, side, namespace)


def _refused(error: OSError, interface: Interface, side: str) -> Exception:
    if error.errno == errno.EPERM:
        return PrivilegeError(f"attaching to {interface.name} needs root, or CAP_NET_ADMIN")
    if error.errno == errno.ENODEV:
        return TargetError(f"interface {interface.name} went away before the capture began")
    if error.errno == errno.EBUSY:
        return AttachError(f"{interface.name} has an XDP program of somebody else; use --hook tcx")
    if error.errno == errno.EEXIST and side == _XDP:
        return AttachError(f"an interface on top of {interface.name} has an XDP program; use --hook tcx")
    if error.errno == errno.EEXIST:
        return AttachError(f"{interface.name} has an ingress qdisc, which has no {side} hook; use --hook tcx")
    return AttachError(f"{interface.name} refuses a program on {side}: {error.strerror}")


def _owner() -> str:
    """This process, for a filter's name: namespace of pids, pid, and when it started (pids come again)."""
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
    """Whether the clsact qdisc is ours: made now, or before by one of our captures; the last of them removes it."""
    if any(q.get_attr("TCA_KIND") == "clsact" for q in netlink.get_qdiscs(index)):
        names = [name for side in _PARENTS for name, _, _ in _filters(netlink, index, side)]
        return any(_OWNED.fullmatch(name) and name.endswith("qdisc") for name in names)
    netlink.tc("add", "clsact", index)
    return True


def _first_priority(netlink: IPRoute, index: int, side: str) -> int:
    """A priority before all filters of a side, or 0, which lets the kernel choose, if there is none.

    Nothing comes before 1; but among the bpf filters of a priority the kernel asks the youngest first.
    """
    before = min((int(m["info"]) >> 16 for m in netlink.get_filters(index, parent=_PARENTS[side])), default=1) - 1
    shared = any(info == _SHARED for _, info, _ in _filters(netlink, index, side))
    return before or int(shared)


def _filters(netlink: IPRoute, index: int, side: str) -> list[tuple[str, int, int]]:
    """(name, priority and protocol, handle) of the bpf filters on one side."""
    found = []
    for message in netlink.get_filters(index, parent=_PARENTS[side]):
        options = message.get_attr("TCA_OPTIONS")
        name = options.get_attr("TCA_BPF_NAME") if message.get_attr("TCA_KIND") == "bpf" and options else None
        if name:
            found.append((str(name), int(message["info"]), int(message["handle"])))
    return found


def _remove(netlink: IPRoute, index: int, side: str, name: str) -> None:
    """Take a filter of ours away, and the qdisc if we made it and nobody uses it."""
    try:
        for found, info, handle in _filters(netlink, index, side):
            if found == name:
                netlink.tc("del-filter", "bpf", index, handle=handle, info=info, parent=_PARENTS[side])
        if name.endswith("qdisc") and not any(netlink.get_filters(index, parent=p) for p in _PARENTS.values()):
            netlink.tc("del", "clsact", index)
    except NetlinkError as error:
        if error.code not in (errno.ENODEV, errno.ENOENT, errno.EINVAL):  # the interface went, and all with it
            raise


def _remove_leftovers(index: int) -> None:
    """Take away what captures left that were killed; what cannot be read here shows when we attach."""
    with contextlib.suppress(NetlinkError), IPRoute() as netlink:
        for side in _PARENTS:
            for name, _, _ in _filters(netlink, index, side):
                if _is_leftover(name):
                    _remove(netlink, index, side, name)
