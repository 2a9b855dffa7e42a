"""Interface names, and network namespaces -> what the kernel knows of the interfaces in them; a watch for changes."""

import re
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from capture.errors import PrivilegeError, SpecError, TargetError
from capture.filters.rule import Address
from capture.kernel.dump import dump_addresses, dump_links
from capture.kernel.netns import Namespace
from capture.plan import Interface

ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
_IFF_UP = 1
_SHOWN = 20
"""So many interfaces are named where one was not found; a node may have hundreds."""
_POD_END = re.compile(r"(eth|net)\d+")
"""How CNI calls the interface inside a pod; its host's side has another name (veth..., cali..., lxc...)."""
_RTMGRP_LINK, _RTM_NEWLINK, _RTM_DELLINK = 1, 16, 17
_NO_NSID = 1 << 31
"""NETNSA_NSID_NOT_ASSIGNED is -1, and pyroute2 reads it unsigned."""
_LINK_ITSELF = 0
"""The family of messages about an interface; AF_BRIDGE tells that it left its bridge, with the same type."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface and what it hangs on: `peer` is an ifindex in the namespace `peer_nsid` (None is its own)."""

    interface: Interface
    kind: str | None
    ethernet: bool
    up: bool
    peer: int | None
    peer_nsid: int | None
    addresses: tuple[Address, ...] = ()

    @property
    def routable(self) -> tuple[Address, ...]:
        """Its addresses that mean something beyond the link."""
        return tuple(address for address in self.addresses if not address.is_link_local)


def find_interfaces(names: tuple[str, ...], namespace: Namespace) -> list[Interface]:
    """Look the interfaces up. Raises TargetError for one that does not exist, SpecError if it is not Ethernet."""

    def look() -> list[Interface]:
        with IPRoute() as netlink:
            return [_find(netlink, name, namespace) for name in names]

    return namespace.run(look)


def links_in(namespace: Namespace) -> list[Link]:
    """All interfaces of a namespace, with their addresses. Raises TargetError, PrivilegeError."""
    return namespace.run(lambda: _links(namespace, None))


def links_seen_from(namespace: Namespace, other: Namespace, nsid: int | None) -> list[Link]:
    """Those of another namespace, which is only entered if ours has no number for it. Raises as `links_in` does."""
    if nsid is None:
        return links_in(other)
    return namespace.run(lambda: _links(other, nsid))


def _links(namespace: Namespace, nsid: int | None) -> list[Link]:
    try:
        addresses: dict[int, list[Address]] = {}
        for message in dump_addresses(nsid):
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if text:
                addresses.setdefault(message["index"], []).append(ip_address(text))
        return [_link(message, namespace, addresses) for message in dump_links(nsid)]
    except PermissionError:
        raise PrivilegeError("looking into network namespaces needs CAP_NET_ADMIN; run as root") from None
    except OSError as error:
        raise TargetError(f"network namespace {namespace.name} cannot be looked into: {error.strerror}") from None


def nsid_of(other: Namespace, namespace: Namespace) -> int | None:
    """By which number interfaces of `namespace` call another, where they have their peers; None if by none."""

    def look() -> int | None:
        with IPRoute() as netlink:
            found: Mapping[str, int] | None = netlink.get_netnsid(fd=other.descriptor)
        return found["nsid"] if found and found["nsid"] < _NO_NSID else None

    return namespace.run(look)


def _link(message: Any, namespace: Namespace, addresses: Mapping[int, list[Address]]) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info else None
    mac = message.get_attr("IFLA_ADDRESS")
    name, nsid = message.get_attr("IFLA_IFNAME"), message.get_attr("IFLA_LINK_NETNSID")
    return Link(
        interface=Interface(
            name=name,
            index=message["index"],
            netns=namespace.inode,
            mac=bytes.fromhex(mac.replace(":", "")) if mac else b"",
            mtu=message.get_attr("IFLA_MTU") or 0,
            pod_side=kind == "veth" and nsid is not None and not _POD_END.fullmatch(name),
        ),
        kind=kind,
        ethernet=message["ifi_type"] in (ARPHRD_ETHER, ARPHRD_LOOPBACK),
        up=bool(message["flags"] & _IFF_UP),
        peer=message.get_attr("IFLA_LINK"),
        peer_nsid=nsid,
        addresses=tuple(addresses.get(message["index"], ())),
    )


def _find(netlink: IPRoute, name: str, namespace: Namespace) -> Interface:
    where = f" in network namespace {namespace.name}" if namespace.name else ""
    try:
        message = next(iter(netlink.link("get", ifname=name)))
    except NetlinkError:
        known = [link.get_attr("IFLA_IFNAME") for link in netlink.get_links()]
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise TargetError(
            f"interface {name} does not exist{where}; there are: {', '.join(known[:_SHOWN])}{more}"
        ) from None
    link = _link(message, namespace, {})
    if not link.ethernet:
        raise SpecError(f"interface {name}{where} has no Ethernet header (type {message['ifi_type']}); not supported")
    return link.interface


def _indexes() -> set[int]:
    return {index for index, _ in socket.if_nameindex()}


class LinkWatch:
    """Says which interfaces of a namespace were deleted, from RTM_DELLINK."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

        def listen() -> socket.socket:
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
            listener.bind((0, _RTMGRP_LINK))
            return listener

        self._socket = namespace.run(listen)

    def fileno(self) -> int:
        return self._socket.fileno()

    def deleted(self, known: Collection[int]) -> set[int]:
        """The indexes of interfaces that went since the last call, at least all that are `known`; does not wait."""
        gone: set[int] = set()
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return gone
            except OSError:  # ENOBUFS: messages were dropped, so look what is still there
                gone |= set(known) - self._namespace.run(_indexes)
                continue
            while len(data) >= 24:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _RTM_DELLINK and data[16] == _LINK_ITSELF:
                    gone.add(struct.unpack_from("=i", data, 20)[0])
                data = data[(max(length, 16) + 3) & ~3 :]

    def close(self) -> None:
        self._socket.close()
