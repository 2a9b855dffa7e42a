"""Antrea's PacketCapture (crd.antrea.io/v1alpha1) -> a document with the same meaning and Antrea's defaults.

The structs follow its CRD and types.go; the document follows its CEL rules and its filter
(packetcapture/capture/bpf.go): one IP family; matchers of flags and messages OR-ed, the same in both directions; one
capture point; no ICMP errors about the conversation. An error is a SpecError that begins with the path of the field.
"""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from capture.errors import SpecError
from capture.filters.podname import DEFAULT_NAMESPACE
from capture.filters.rule import Endpoint, IcmpType, Ports, Rule, TcpFlags
from capture.request.document import Document, LimitsPart, TargetPart
from capture.request.kubernetes import DirectionWord, FamilyWord, Metadata, PodReference, PointWord
from capture.request.rules import plain_rule
from capture.wire.protocols import ICMP, ICMPV6, TCP, UDP

ANTREA_API_VERSION = "crd.antrea.io/v1alpha1"
TIMEOUT_DEFAULT = 60
"""Duration without `timeout`, seconds."""

_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "ICMP": ICMP, "ICMPV6": ICMPV6}
_HEADERS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}
_MESSAGES = {
    "icmp": {"icmp-echo": 8, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-timxceed": 11},
    # Antrea's guide and its code spell two of these differently; both spellings are accepted.
    "icmpv6": {
        "icmpv6-echo": 128,
        "icmpv6-echoreply": 129,
        "icmpv6-unreach": 1,
        "icmpv6-dstunreach": 1,
        "icmpv6-pkt-too-big": 2,
        "icmpv6-pkttoobig": 2,
        "icmpv6-timxceed": 3,
        "icmpv6-paramprob": 4,
    },
}

_Port = Annotated[int, Meta(ge=1, le=65535)]
_Byte = Annotated[int, Meta(ge=0, le=255)]


class _Object(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    pass


class Side(_Object):
    """`source` or `destination`."""

    pod: PodReference | None = None
    ip: str | None = None


class FlagsMatcher(_Object):
    """Matches flags & mask == value. Default of the mask: the value."""

    value: _Byte
    mask: _Byte | None = None


class Udp(_Object):
    """Ports of UDP."""

    src_port: _Port | None = None
    dst_port: _Port | None = None


class Tcp(Udp):
    """Ports of TCP, and matchers of flags, of which one must match."""

    flags: list[FlagsMatcher] = []


class Message(_Object):
    """A type by name or number, and a code."""

    type: str | _Byte
    code: _Byte | None = None


class Icmp(_Object):
    """Messages, of which one must match."""

    messages: list[Message] = []


class TransportHeader(_Object):
    """At most one of the four."""

    tcp: Tcp | None = None
    udp: Udp | None = None
    icmp: Icmp | None = None
    icmpv6: Icmp | None = None


class Packet(_Object):
    """Conditions on a packet."""

    ip_family: FamilyWord = "IPv4"
    protocol: _Byte | str | None = None
    transport_header: TransportHeader = msgspec.field(default_factory=TransportHeader)


class FirstN(_Object):
    """Number of packets after which the capture ends."""

    number: Annotated[int, Meta(ge=1)]


class CaptureConfig(_Object):
    """When to end the capture; firstN is the only way."""

    first_n: FirstN


class Spec(_Object):
    """The request."""

    capture_config: CaptureConfig
    source: Side | None = None
    destination: Side | None = None
    packet: Packet = msgspec.field(default_factory=Packet)
    direction: DirectionWord = "SourceToDestination"
    capture_point: Literal["Source", "Destination"] | None = None
    timeout: Annotated[int, Meta(ge=1, le=300)] = TIMEOUT_DEFAULT
    file_server: Any = None


class AntreaPacketCapture(_Object):
    """The object; its status is ignored."""

    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec
    status: Any = None

    def document(self) -> Document:
        """Return its document. Raises SpecError."""
        spec = self.spec
        if spec.file_server is not None:
            raise SpecError("spec.fileServer: captures are not uploaded; leave it out, and name a file with -w")
        sides = {"Source": spec.source, "Destination": spec.destination}
        pods = [point for point, side in sides.items() if side and side.pod]
        if not pods:
            raise SpecError("spec.source and spec.destination: neither is a pod; one of them must be")
        point: PointWord = spec.capture_point or ("Source" if "Source" in pods else "Destination")
        if point not in pods:
            raise SpecError(f"spec.capturePoint {point}: spec.{point.lower()} is not a pod")
        return Document(
            target=TargetPart(point=point),
            rules=[plain_rule(rule) for rule in _rules(spec)],
            direction=spec.direction,
            icmp_errors=False,
            limits=LimitsPart(packets=spec.capture_config.first_n.number, duration=spec.timeout),
        )


def _rules(spec: Spec) -> tuple[Rule, ...]:
    """Return one rule, or one for each matcher of flags."""
    packet, header = spec.packet, spec.packet.transport_header
    family, protocol = int(packet.ip_family[-1]), _protocol(packet)
    ports = header.tcp or header.udp or Udp()
    messages = _messages("icmp", header.icmp) or _messages("icmpv6", header.icmpv6)
    source = _endpoint(spec.source, ports.src_port, "spec.source")
    destination = _endpoint(spec.destination, ports.dst_port, "spec.destination")
    try:
        rule = Rule(
            source=source,
            destination=destination,
            protocol=protocol,
            family=family,
            icmp=messages,
            answer_icmp=messages or None,
        )
        matchers = _matchers(header.tcp.flags) if header.tcp else []
    except SpecError as error:
        raise SpecError(f"spec.packet (ipFamily {packet.ip_family}): {error}") from None
    if not matchers:
        return (rule,)
    return tuple(replace(rule, tcp_flags=flags, answer_flags=flags) for flags in matchers)


def _protocol(packet: Packet) -> int | None:
    """Return the protocol by its number or name, else that of the header, or ports would match any protocol."""
    given = [name for name in _HEADERS if getattr(packet.transport_header, name) is not None]
    if len(given) > 1:
        raise SpecError(f"spec.packet.transportHeader: {' and '.join(given)} do not combine; give one of them")
    word = packet.protocol
    if isinstance(word, str) and word.upper() not in _PROTOCOLS:
        raise SpecError(f"spec.packet.protocol {word!r} is not known; give {', '.join(_PROTOCOLS)} or a number")
    protocol = _PROTOCOLS[word.upper()] if isinstance(word, str) else word
    if not given:
        return protocol
    if protocol not in (None, _HEADERS[given[0]]):
        raise SpecError(f"spec.packet.transportHeader.{given[0]} is not a header of protocol {word}")
    return _HEADERS[given[0]]


def _endpoint(side: Side | None, port: int | None, where: str) -> Endpoint:
    ports = (Ports(port, port),) if port is not None else ()
    if side is None:
        return Endpoint(ports=ports)
    if (side.pod is None) == (side.ip is None):
        raise SpecError(f"{where} must be a pod or an ip; give one of them")
    if side.pod is not None:
        return Endpoint(ports=ports, pod=side.pod.pod(f"{where}.pod", DEFAULT_NAMESPACE))
    try:
        network = ip_network(ip_address(side.ip or ""))
    except ValueError:
        raise SpecError(f"{where}.ip {side.ip!r} is not an IP address") from None
    return Endpoint(network, ports)


def _messages(name: str, header: Icmp | None) -> tuple[IcmpType, ...]:
    types, names = [], _MESSAGES[name]
    for message in header.messages if header else []:
        kind = names.get(message.type.lower()) if isinstance(message.type, str) else message.type
        if kind is None:
            raise SpecError(
                f"spec.packet.transportHeader.{name}: type {message.type!r} is not known; "
                f"give a number, or {', '.join(names)}"
            )
        types.append(IcmpType(kind, message.code))
    return tuple(types)


def _matchers(flags: list[FlagsMatcher]) -> list[TcpFlags]:
    """Return each distinct matcher; none if one of them matches every packet."""
    pairs = [(given.value, given.value if given.mask is None else given.mask) for given in flags]
    return [] if (0, 0) in pairs else [TcpFlags(value, mask) for value, mask in dict.fromkeys(pairs)]
