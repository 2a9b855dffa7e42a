"""A request to rtnetlink -> all messages of its answer; also about a network namespace that we do not enter.

pyroute2 decodes the messages, but cannot send requests about another namespace. With IFLA_TARGET_NETNSID (Linux 5.0)
such a request needs CAP_NET_ADMIN, while entering the namespace needs CAP_SYS_ADMIN.
"""

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

from capture.kernel.netlink import ifaddrmsg, ifinfmsg

# include/uapi/linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h
_SOL_NETLINK, _NETLINK_GET_STRICT_CHK = 270, 12
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_GETLINK, _RTM_GETADDR = 18, 22
_IFLA_TARGET_NETNSID, _IFA_TARGET_NETNSID = 46, 10
_RECEIVE = 1 << 16


def dump_links(nsid: int | None = None) -> list[Any]:
    """Return the links of our namespace, or of the namespace that has the number `nsid` in ours. Raises OSError."""
    return [_decoded(ifinfmsg, m) for m in _dump(_RTM_GETLINK, bytes(16), _IFLA_TARGET_NETNSID, nsid)]


def dump_addresses(nsid: int | None = None) -> list[Any]:
    """Return the addresses of that namespace. Raises OSError."""
    return [_decoded(ifaddrmsg, m) for m in _dump(_RTM_GETADDR, bytes(8), _IFA_TARGET_NETNSID, nsid)]


def _decoded(kind: Any, message: bytes) -> Any:
    decoded = kind(message)
    decoded.decode()
    return decoded


def _dump(request: int, header: bytes, target: int, nsid: int | None) -> Iterator[bytes]:
    attribute = b"" if nsid is None else struct.pack("=HHi", 8, target, nsid)
    length = 16 + len(header) + len(attribute)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)  # else addresses are those of our namespace
        netlink.send(struct.pack("=IHHII", length, request, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + header + attribute)
        while True:
            data = netlink.recv(_RECEIVE)
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):  # NLMSG_DONE can carry an error, too
                    (error,) = struct.unpack_from("=i", data, 16)
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    return
                yield data[:length]
                data = data[(length + 3) & ~3 :]
