"""Ends of a conversation -> its Community ID; a text like `tcp 10.0.0.1:4000 > 10.0.0.2:80` -> its ends.

The Community ID (version 1, seed 0) is the same for both directions and on all machines; Zeek, Suricata and others
name a conversation by it, too (https://github.com/corelight/community-id-spec).
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha1
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack

from capture.wire.protocols import ICMP, ICMPV6, PROTOCOLS, WITH_PORTS

_ECHO = {ICMP: (8, 0), ICMPV6: (128, 129)}
"""Types of echo request and reply, which stand for the ports of client and server."""
_TEXT = re.compile(r"(\S+) (\S+) > (\S+)")


@dataclass(frozen=True, slots=True)
class ConversationEnds:
    """Protocol number, and address and port of client and server; a port is 0 where there is none."""

    protocol: int
    client: tuple[IPv4Address | IPv6Address, int]
    server: tuple[IPv4Address | IPv6Address, int]

    @property
    def community_id(self) -> str:
        """The Community ID; ICMP is taken to be an echo."""
        (client, client_port), (server, server_port) = self.client, self.server
        return community_id_of(self.protocol, (client.packed, client_port), (server.packed, server_port))


def community_id_of(protocol: int, client: tuple[bytes, int], server: tuple[bytes, int]) -> str:
    """Return the Community ID of a conversation between two ends (address, port). ICMP is taken to be an echo."""
    ports = _ECHO.get(protocol, (client[1], server[1]))
    ends = sorted(zip((client[0], server[0]), ports, strict=True))
    text = b"".join([bytes(2), *(address for address, _ in ends), bytes((protocol, 0))])
    if protocol in WITH_PORTS or protocol in _ECHO:
        text += pack("!HH", *(port for _, port in ends))
    return f"1:{b64encode(sha1(text, usedforsecurity=False).digest()).decode()}"


def parse_ends(text: str) -> ConversationEnds | None:
    """Return the ends of a text; None if it is not that of a conversation of IP."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    name, client, server = found.groups()
    try:
        protocol = PROTOCOLS[name] if name in PROTOCOLS else int(name)
        ends = _end(client), _end(server)
    except ValueError:
        return None
    same = ends[0][0].version == ends[1][0].version
    return ConversationEnds(protocol, *ends) if same and 0 <= protocol < 256 else None


def _end(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, "0"
    number = int(port)
    if not 0 <= number < 65536:
        raise ValueError(port)
    return ip_address(host), number
