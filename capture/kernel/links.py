"""Interface names and network namespaces -> the interfaces in them, as the kernel describes them; deletions."""

import re
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from capture.errors import PrivilegeError, SpecError, TargetError
from capture.filters.rule import Address
from capture.kernel.dump import dump_addresses, dump_links
from capture.kernel.netlink import IPRoute, NetlinkError
from capture.kernel.netns import Namespace
from capture.plan import Interface

ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
_IFF_UP = 1
_SHOWN = 20
"""Most interfaces that an error lists; a node may have hundreds."""
_POD_END = re.compile(r"(eth|net)\d+")
"""Names that CNI gives an interface inside a pod; its host's side has other names (veth..., cali..., lxc...)."""
_RTMGRP_LINK, _RTM_NEWLINK, _RTM_DELLINK = 1, 16, 17
_NO_NSID = 1 << 31
"""NETNSA_NSID_NOT_ASSIGNED is -1, and pyroute2 reads it unsigned."""
_LINK_ITSELF = 0
"""Family of messages about an interface. A message of this type with AF_BRIDGE means that it left its bridge."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface and its peer: `peer` is an ifindex in the namespace `peer_nsid` (None is the same namespace)."""

    interface: Interface
    kind: str | None
    ethernet: bool
    up: bool
    peer: int | None
    peer_nsid: int | None
    addresses: tuple[Address, ...] = ()

    @property
    def routable(self) -> tuple[Address, ...]:
        """Its addresses without the link-local ones."""
        return tuple(address for address in self.addresses if not address.is_link_local)


def find_interfaces(names: tuple[str, ...], namespace: Namespace) -> list[Interface]:
    """Return the interfaces of these names. Raises TargetError if one does not exist, SpecError if not Ethernet."""

    def find() -> list[Interface]:
        with IPRoute() as netlink:
            return [_find(netlink, name, namespace) for name in names]

    return namespace.run(find)


def links_in(namespace: Namespace) -> list[Link]:
    """Return all interfaces of a namespace, with their addresses. Raises TargetError, PrivilegeError."""
    return namespace.run(lambda: _links(namespace, None))


def links_seen_from(namespace: Namespace, other: Namespace, nsid: int | None) -> list[Link]:
    """Return the interfaces of `other`, which is entered only if it has no number (`nsid`) in `namespace`.

    Raises what `links_in` does.
    """
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
        raise PrivilegeError("reading network namespaces needs CAP_NET_ADMIN; run as root") from None
    except OSError as error:
        raise TargetError(f"network namespace {namespace.name} cannot be read: {error.strerror}") from None


def nsid_of(other: Namespace, namespace: Namespace) -> int | None:
    """Return the number that `other` has in `namespace`, by which links name the namespace of a peer; None if
    none."""

    def read() -> int | None:
        with IPRoute() as netlink:
            answer: Mapping[str, int] | None = netlink.get_netnsid(fd=other.descriptor)
        return answer["nsid"] if answer and answer["nsid"] < _NO_NSID else None

    return namespace.run(read)


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
    """Reports the interfaces of a namespace that were deleted, from RTM_DELLINK."""

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
        """Return the indexes of interfaces deleted since the last call, at least of all `known`; does not wait."""
        gone: set[int] = set()
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return gone
            except OSError:  # ENOBUFS: messages were dropped, so compare with the interfaces that exist
                gone |= set(known) - self._namespace.run(_indexes)
                continue
            while len(data) >= 24:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _RTM_DELLINK and data[16] == _LINK_ITSELF:
                    gone.add(struct.unpack_from("=i", data, 20)[0])
                data = data[(max(length, 16) + 3) & ~3 :]

    def close(self) -> None:
        self._socket.close()
