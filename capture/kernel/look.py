"""The counters of interfaces, read twice -> their load; the path of an output -> the size and free bytes of its disk.

The counters are the interface's own and count all packets. A network card counts packets on the wire, while programs
at tc see several TCP segments as one packet; so on a card these counters are an upper bound.
"""

import os
import stat
import time
from collections.abc import Sequence
from functools import partial

from capture.errors import SinkError, TargetError
from capture.estimate.load import InterfaceLoad, Load
from capture.estimate.room import Disk
from capture.kernel.netlink import IPRoute, NetlinkError
from capture.kernel.netns import Namespace
from capture.plan import PlannedInterface


def counted(interfaces: Sequence[PlannedInterface], netns: str | None, seconds: float) -> list[InterfaceLoad]:
    """Return the load of interfaces, measured for `seconds`. Raises TargetError if an interface is deleted
    meanwhile."""
    started, before = time.monotonic(), _counters(interfaces, netns)
    time.sleep(seconds)
    ended, after = time.monotonic(), _counters(interfaces, netns)
    loads = []
    for planned, old, new in zip(interfaces, before, after, strict=True):
        received, sent = (
            Load(
                *((new[f"{way}_{what}"] - old[f"{way}_{what}"]) / (ended - started) for what in ("packets", "bytes"))
            )
            for way in ("rx", "tx")
        )
        sides = (received, sent) if planned.from_pod_is_ingress else (sent, received)
        loads.append(InterfaceLoad(planned.name, *sides))
    return loads


def _counters(interfaces: Sequence[PlannedInterface], netns: str | None) -> list[dict[str, int]]:
    counters: dict[int, dict[str, int]] = {}
    for path in {planned.interface.netns_path or netns for planned in interfaces}:
        namespace = Namespace(path)
        try:
            inside = [i for i in interfaces if (i.interface.netns_path or netns) == path]
            counters |= namespace.run(partial(_counters_here, inside))
        finally:
            namespace.close()
    return [counters[planned.slot] for planned in interfaces]


def _counters_here(interfaces: Sequence[PlannedInterface]) -> dict[int, dict[str, int]]:
    counters = {}
    with IPRoute() as netlink:
        for planned in interfaces:
            try:
                link = next(iter(netlink.get_links(planned.interface.index)))
            except NetlinkError:
                raise TargetError(f"interface {planned.name} was deleted while its counters were read") from None
            counters[planned.slot] = link.get_attr("IFLA_STATS64")
    return counters


def disk_of(output: str) -> Disk | None:
    """Return the disk that a file would be on, even if its folder does not exist yet; None for a pipe or a device."""
    if output == "-":
        return None
    try:
        if os.path.lexists(output) and not stat.S_ISREG(os.lstat(output).st_mode):
            return None
        folder = os.path.dirname(os.path.abspath(output))
        while not os.path.exists(folder):
            folder = os.path.dirname(folder)
        room = os.statvfs(folder)
    except OSError as error:
        raise SinkError(f"cannot read the free space for {output}: {error.strerror}") from None
    return Disk(folder, size=room.f_blocks * room.f_frsize, free=room.f_bavail * room.f_frsize)
