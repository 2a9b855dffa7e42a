"""Interface names -> what the kernel knows of them, and a watch for their end."""

import re
import socket
import struct

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from capture.errors import SpecError, TargetError
from capture.kernel.netns import Namespace
from capture.plan import Interface

ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
_SHOWN = 20
"""So many interfaces are named where one was not found; a node may have hundreds."""
_POD_END = re.compile(r"(eth|net)\d+")
"""How CNI calls the interface inside a pod; its host's side has another name (veth..., cali..., lxc...)."""
_RTMGRP_LINK, _RTM_DELLINK = 1, 17
_LINK_ITSELF = 0
"""The family of messages about an interface; AF_BRIDGE tells that it left its bridge, with the same type."""


def find_interfaces(names: tuple[str, ...], namespace: Namespace) -> list[Interface]:
    """Look the interfaces up. Raises TargetError for one that does not exist, SpecError if it is not Ethernet."""

    def look() -> list[Interface]:
        with IPRoute() as netlink:
            return [_find(netlink, name, namespace) for name in names]

    return namespace.run(look)


def _find(netlink: IPRoute, name: str, namespace: Namespace) -> Interface:
    where = f" in network namespace {namespace.name}" if namespace.name else ""
    try:
        link = next(iter(netlink.link("get", ifname=name)))
    except NetlinkError:
        known = [link.get_attr("IFLA_IFNAME") for link in netlink.get_links()]
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise TargetError(
            f"interface {name} does not exist{where}; there are: {', '.join(known[:_SHOWN])}{more}"
        ) from None
    if link["ifi_type"] not in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
        raise SpecError(f"interface {name}{where} has no Ethernet header (type {link['ifi_type']}); not supported")
    info = link.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info else None
    mac = link.get_attr("IFLA_ADDRESS")
    return Interface(
        name=link.get_attr("IFLA_IFNAME"),
        index=link["index"],
        netns=namespace.inode,
        mac=bytes.fromhex(mac.replace(":", "")) if mac else b"",
        mtu=link.get_attr("IFLA_MTU") or 0,
        pod_side=kind == "veth" and link.get_attr("IFLA_LINK_NETNSID") is not None and not _POD_END.fullmatch(name),
    )


def _indexes() -> set[int]:
    return {index for index, _ in socket.if_nameindex()}


class LinkWatch:
    """Says which interfaces of a namespace were deleted, from RTM_DELLINK; all of them when the namespace was.

    A deleted namespace lives on while we hold it, and sends no message: ask now and then.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.netns, self._namespace = namespace.inode, namespace

        def listen() -> socket.socket:
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
            listener.bind((0, _RTMGRP_LINK))
            return listener

        self._socket = namespace.run(listen)
        self._there = namespace.run(_indexes)

    def fileno(self) -> int:
        return self._socket.fileno()

    def deleted(self) -> set[int]:
        """The indexes of interfaces that went since the last call; does not wait."""
        gone = set(self._there) if self._namespace.gone else set()
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return gone
            except OSError:  # ENOBUFS: messages were dropped, so look what is still there
                gone |= self._there - self._namespace.run(_indexes)
                continue
            while len(data) >= 24:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _RTM_DELLINK and data[16] == _LINK_ITSELF:
                    gone.add(struct.unpack_from("=i", data, 20)[0])
                data = data[(max(length, 16) + 3) & ~3 :]

    def close(self) -> None:
        self._socket.close()
