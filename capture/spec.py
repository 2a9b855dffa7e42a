"""What the user asked for, as frozen values: no kernel words, no look at the machine.

Equality means the same request. Construction validates; everything wrong is a SpecError naming the field.
"""

from dataclasses import asdict, dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from capture.errors import SpecError

SNAPLEN_MAX = 262_144
"""What every reader of pcapng accepts for one packet; also the default."""
SNAPLEN_MIN = 18
"""An Ethernet header with its VLAN tag."""
BUFFER_DEFAULT = 64 << 20

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
WITH_PORTS = frozenset({6, 17, 132})

Network = IPv4Network | IPv6Network


class Direction(Enum):
    """Which packets of a conversation: source to destination as asked, back, or both."""

    BOTH = "both"
    FORWARD = "forward"
    REVERSE = "reverse"


class Hook(Enum):
    """Where the programs sit: tcx links (Linux 6.6), or filters of a clsact qdisc."""

    AUTO = "auto"
    TCX = "tcx"
    CLSACT = "clsact"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a rule; None is anything."""

    network: Network | None = None
    port: int | None = None

    def __str__(self) -> str:
        if self.network is None:
            return "any" if self.port is None else f":{self.port}"
        exact = self.network.prefixlen == self.network.max_prefixlen
        host = str(self.network.network_address) if exact else str(self.network)
        if self.port is None:
            return host
        return f"[{host}]:{self.port}" if self.network.version == 6 else f"{host}:{self.port}"


def parse_endpoint(text: str, field: str) -> Endpoint:
    """Turn `IP`, `IP/len`, `IP:port`, `[IPv6]:port` or `:port` into an Endpoint. Raises SpecError."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise SpecError(f"{field} {text!r}: an IPv6 address with a port is written [2001:db8::1]:443")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if text.endswith(":") and not text.endswith("::"):
        raise SpecError(f"{field} {text!r}: the port is missing after ':'")
    if not host and not port:
        raise SpecError(f"{field} is empty; give an address, a network, or :port")
    return Endpoint(_network(host, text, field) if host else None, _port(port, text, field) if port else None)


def _network(host: str, text: str, field: str) -> Network:
    try:
        return ip_network(host, strict=False)
    except ValueError:
        raise SpecError(
            f"{field} {text!r}: {host!r} is no IP address or network; write 10.0.0.1, 10.0.0.0/8, 10.0.0.1:80, "
            "[2001:db8::1]:443 or :80"
        ) from None


def _port(port: str, text: str, field: str) -> int:
    if not port.isdecimal() or int(port) > 65535:
        raise SpecError(f"{field} {text!r}: port {port!r} is not a number from 0 to 65535")
    return int(port)


@dataclass(frozen=True, slots=True)
class Rule:
    """A five-tuple with wildcards; protocol is an IP protocol number, None is any."""

    source: Endpoint = Endpoint()
    destination: Endpoint = Endpoint()
    protocol: int | None = None

    def __post_init__(self) -> None:
        networks = [side.network for side in (self.source, self.destination) if side.network is not None]
        families = {network.version for network in networks}
        if len(families) > 1:
            raise SpecError(f"source {self.source} and destination {self.destination} are of different IP families")
        wrong = {PROTOCOLS["icmp"]: 6, PROTOCOLS["icmpv6"]: 4}.get(self.protocol or 0)
        if wrong in families:
            raise SpecError(f"protocol {protocol_name(self.protocol)} does not exist in IPv{wrong}")
        ports = [side.port for side in (self.source, self.destination) if side.port is not None]
        if ports and self.protocol is not None and self.protocol not in WITH_PORTS:
            raise SpecError(f"protocol {protocol_name(self.protocol)} has no ports, but port {ports[0]} is asked for")

    @property
    def family(self) -> int | None:
        """4, 6, or None for both."""
        for side in (self.source, self.destination):
            if side.network is not None:
                return side.network.version
        return {PROTOCOLS["icmp"]: 4, PROTOCOLS["icmpv6"]: 6}.get(self.protocol or 0)

    def __str__(self) -> str:
        return f"{protocol_name(self.protocol)} {self.source} > {self.destination}"


def parse_protocol(text: str) -> int | None:
    """Turn a name or a number into an IP protocol number; "any" is None. Raises SpecError."""
    if text.lower() == "any":
        return None
    if text.isdecimal() and int(text) < 256:
        return int(text)
    if text.lower() not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise SpecError(f"protocol {text!r} is not known; give {known}, any, or a number from 0 to 255")
    return PROTOCOLS[text.lower()]


def protocol_name(number: int | None) -> str:
    """The inverse of parse_protocol."""
    return next(
        (name for name, value in PROTOCOLS.items() if value == number),
        "any" if number is None else str(number),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSpec:
    """A capture as asked for. Sizes are bytes, times nanoseconds; None is no limit."""

    interfaces: tuple[str, ...]
    netns: str | None = None
    rules: tuple[Rule, ...] = ()
    direction: Direction = Direction.BOTH
    snaplen: int = SNAPLEN_MAX
    count: int | None = None
    duration_ns: int | None = None
    buffer_bytes: int = BUFFER_DEFAULT
    hook: Hook = Hook.AUTO

    def __post_init__(self) -> None:
        if not self.interfaces:
            raise SpecError("no interface given; name one with -i (`ip -br link` lists them)")
        twice = {name for name in self.interfaces if self.interfaces.count(name) > 1}
        if twice:
            raise SpecError(f"interface {twice.pop()} is given twice")
        if not SNAPLEN_MIN <= self.snaplen <= SNAPLEN_MAX:
            raise SpecError(f"snaplen {self.snaplen} is not from {SNAPLEN_MIN} to {SNAPLEN_MAX}")
        if self.count is not None and self.count < 1:
            raise SpecError(f"count {self.count} is not at least 1")
        if self.duration_ns is not None and self.duration_ns <= 0:
            raise SpecError("duration is not longer than 0")

    def as_json(self) -> dict[str, Any]:
        """The spec as plain values, for the file and the summary."""
        plain = asdict(self)
        plain["rules"] = [str(rule) for rule in self.rules]
        plain["direction"], plain["hook"] = self.direction.value, self.hook.value
        return plain
