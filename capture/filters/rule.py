"""Rules as frozen, validated values. The mirror of a rule matches the answers to the packets that the rule matches.

Equal rules are the same request. Every wrong value is a SpecError that names the field.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from capture.errors import SpecError
from capture.filters.podname import PodName
from capture.wire.protocols import (
    EXTENSION_HEADERS,
    ICMP,
    ICMP_ANSWERS,
    ICMPV6,
    TCP,
    TCP_FLAGS,
    WITH_PORTS,
    protocol_name,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
PORT_MAX = 65535


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    """A range of ports that includes both ends."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a rule: an address, a network or a pod's addresses (None is any), and ports (none is any)."""

    network: Network | None = None
    ports: tuple[Ports, ...] = ()
    pod: PodName | None = None

    @property
    def host(self) -> bool:
        """True if the network is one address."""
        return self.network is not None and self.network.prefixlen == self.network.max_prefixlen

    @property
    def exact(self) -> bool:
        """True if this is one address, with one port or none."""
        return self.host and (not self.ports or (len(self.ports) == 1 and self.ports[0].first == self.ports[0].last))

    def __str__(self) -> str:
        ports = ",".join(str(span) for span in self.ports)
        if self.pod is not None:
            return f"{self.pod}:{ports}" if ports else str(self.pod)
        if self.network is None:
            return f":{ports}" if ports else "any"
        host = str(self.network.network_address) if self.host else str(self.network)
        if not ports:
            return host
        return f"[{host}]:{ports}" if self.network.version == 6 else f"{host}:{ports}"


@dataclass(frozen=True, slots=True)
class TcpFlags:
    """TCP flags that must be set and unset: flags & mask == value."""

    value: int
    mask: int

    def __post_init__(self) -> None:
        if not 0 < self.mask <= 0xFF or self.value & ~self.mask:
            raise SpecError(
                f"tcp-flags {self.value:#x}/{self.mask:#x}: the value has bits outside the mask of 8 bits"
            )

    def answer(self) -> "TcpFlags":
        """Return the flags of the answer: SYN-ACK for SYN, SYN for SYN-ACK, else the same flags."""
        syn, ack = TCP_FLAGS["syn"], TCP_FLAGS["ack"]
        if self.value & syn and self.mask & ack:
            return TcpFlags(self.value ^ ack, self.mask)
        return self

    def __str__(self) -> str:
        names = [("" if self.value & bit else "!") + name for name, bit in TCP_FLAGS.items() if self.mask & bit]
        return ",".join(names)


@dataclass(frozen=True, slots=True)
class IcmpType:
    """An ICMP type, with one code or any (None)."""

    type: int
    code: int | None = None

    def answer(self, protocol: int) -> "IcmpType":
        """Return the type that answers this one; the same type if none does."""
        return replace(self, type=ICMP_ANSWERS[protocol].get(self.type, self.type))

    def __str__(self) -> str:
        return str(self.type) if self.code is None else f"{self.type}/{self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A five-tuple with wildcards, and further conditions on a packet.

    `protocol` is an IP protocol number, `family` 4 or 6; None is any. `answer_flags` and `answer_icmp` are the
    conditions on the reverse direction; by default (None) SYN-ACK answers SYN, and an echo reply an echo request.
    """

    source: Endpoint = Endpoint()
    destination: Endpoint = Endpoint()
    protocol: int | None = None
    family: int | None = None
    tcp_flags: TcpFlags | None = None
    answer_flags: TcpFlags | None = None
    icmp: tuple[IcmpType, ...] = ()
    answer_icmp: tuple[IcmpType, ...] | None = None

    def __post_init__(self) -> None:
        self._check_family()
        named = protocol_name(self.protocol)
        ports = self.source.ports + self.destination.ports
        if ports and self.protocol is not None and self.protocol not in WITH_PORTS:
            raise SpecError(f"protocol {named} has no ports, but port {ports[0]} is given")
        if self.protocol in EXTENSION_HEADERS and self.family != 4:
            raise SpecError(
                f"protocol {named} is an IPv6 extension header, and rules match what follows those; "
                f"give family 4, or the tcpdump expression 'ip6 proto {named}'"
            )
        for forward, answer, what in (
            (self.tcp_flags, self.answer_flags, "TCP flags"),
            (self.icmp, self.answer_icmp, "ICMP types"),
        ):
            if answer and not forward:
                raise SpecError(f"{what} are given for the answer but not for the packet it answers; give both")
        if (self.tcp_flags or self.answer_flags) and self.protocol != TCP:
            raise SpecError(f"TCP flags are given, but protocol is {named}; give protocol tcp")
        if (self.icmp or self.answer_icmp) and self.protocol not in ICMP_ANSWERS:
            raise SpecError(f"ICMP types are given, but protocol is {named}; give protocol icmp or icmpv6")

    def _check_family(self) -> None:
        candidates = {
            f"source {self.source}": self.source.network.version if self.source.network else None,
            f"destination {self.destination}": self.destination.network.version if self.destination.network else None,
            f"protocol {protocol_name(self.protocol)}": {ICMP: 4, ICMPV6: 6}.get(self.protocol or -1),
            "family": self.family,
        }
        families = {what: family for what, family in candidates.items() if family is not None}
        if len(set(families.values())) > 1:
            words = ", ".join(f"{what} is IPv{family}" for what, family in families.items())
            raise SpecError(f"a rule mixes IP families: {words}")
        if families:
            object.__setattr__(self, "family", next(iter(families.values())))

    @property
    def exact(self) -> bool:
        """True if this is one conversation without further conditions on its packets."""
        bare = not (self.tcp_flags or self.answer_flags or self.icmp or self.answer_icmp)
        named = bool(self.source.ports) and bool(self.destination.ports) if self.protocol in WITH_PORTS else True
        return bare and named and self.protocol is not None and self.source.exact and self.destination.exact

    @property
    def names_pods(self) -> bool:
        """True if an endpoint is a pod."""
        return self.source.pod is not None or self.destination.pod is not None

    @property
    def asks_transport(self) -> bool:
        """True if only packets with a transport header can match."""
        return bool(self.source.ports or self.destination.ports or self.tcp_flags or self.icmp)

    @property
    def mirror(self) -> "Rule":
        """The rule that matches the answers."""
        flags, icmp = self.tcp_flags, self.icmp
        answer_flags = self.answer_flags or (flags.answer() if flags else None)
        answer_icmp = self.answer_icmp
        if answer_icmp is None:
            answer_icmp = tuple(kind.answer(self.protocol or 0) for kind in icmp)
        return replace(
            self,
            source=self.destination,
            destination=self.source,
            tcp_flags=answer_flags,
            answer_flags=flags if self.answer_flags else None,
            icmp=answer_icmp,
            answer_icmp=icmp if self.answer_icmp is not None else None,
        )

    def __str__(self) -> str:
        words = [protocol_name(self.protocol), str(self.source), ">", str(self.destination)]
        if self.tcp_flags:
            words.append(f"[{self.tcp_flags}]")
        if self.icmp:
            words.append(f"[{' '.join(str(kind) for kind in self.icmp)}]")
        if self.family and not (self.source.network or self.destination.network):
            words.insert(0, f"IPv{self.family}")
        return " ".join(words)
