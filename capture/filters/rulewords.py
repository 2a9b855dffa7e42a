"""Texts of options -> values of rules: "10.0.0.0/8:80,8000-8100", "tcp", "syn,!ack", "echo-request".

All functions raise a SpecError that names the field, the text and the valid forms.
"""

from ipaddress import ip_address, ip_network

from capture.errors import SpecError
from capture.filters.podname import parse_pod_name
from capture.filters.rule import PORT_MAX, Endpoint, IcmpType, Network, Ports, TcpFlags
from capture.wire.direction import Direction
from capture.wire.protocols import ICMP_CODES, ICMP_TYPES, PROTOCOLS, TCP_FLAGS, protocol_name


def parse_endpoint(text: str, field: str) -> Endpoint:
    """Turn `IP`, `IP/len`, `NAMESPACE/POD`, each with `:ports`, `[IPv6]:ports` or `:ports` into an Endpoint.

    "any" matches every address.
    """
    if text.strip().lower() in ("any", "*"):
        return Endpoint()
    host, ports = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise SpecError(f"{field} {text!r}: an IPv6 address with a port is written [2001:db8::1]:443")
        ports = rest[1:]
    elif text.count(":") == 1:
        host, _, ports = text.partition(":")
    if text.endswith(":") and not text.endswith("::"):
        raise SpecError(f"{field} {text!r}: the port is missing after ':'")
    if not host and not ports:
        raise SpecError(f"{field} is empty; give an address, a network, or :port")
    ranges = parse_ports(ports, f"{field} {text!r}")
    if "/" in host and not _is_address(host.partition("/")[0]):
        return Endpoint(ports=ranges, pod=parse_pod_name(host, field))
    return Endpoint(_network(host, text, field) if host else None, ranges)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _network(host: str, text: str, field: str) -> Network:
    try:
        return ip_network(host, strict=False)
    except ValueError:
        raise SpecError(
            f"{field} {text!r}: {host!r} is not an IP address or network; write 10.0.0.1, 10.0.0.0/8, 10.0.0.1:80, "
            "[2001:db8::1]:443, :80, or a pod as shop/web-0:80"
        ) from None


def agreed_direction(direction: Direction | None, bidirectional: bool | None, fields: str) -> Direction | None:
    """Return the direction that both fields mean, None if neither is given.

    Raises SpecError that begins with `fields` if they contradict each other.
    """
    if direction is None:
        return None if bidirectional is None else Direction.BOTH if bidirectional else Direction.FORWARD
    if bidirectional is not None and bidirectional != (direction is Direction.BOTH):
        raise SpecError(f"{fields} contradict each other; give one of them")
    return direction


def parse_ports(text: str, field: str) -> tuple[Ports, ...]:
    """Turn "80", "80,443" or "8000-8100" into ranges, in order; "" is none."""
    return tuple(sorted({_port_range(part, field) for part in text.split(",")})) if text else ()


def _port_range(part: str, field: str) -> Ports:
    first, dash, last = part.strip().partition("-")
    ends = [first, last] if dash else [first, first]
    for end in ends:
        if not (end.isascii() and end.isdecimal()) or int(end) > PORT_MAX:
            raise SpecError(f"{field}: port {end!r} is not a number from 0 to {PORT_MAX}")
    if int(ends[0]) > int(ends[1]):
        raise SpecError(f"{field}: port range {part.strip()} ends before it begins")
    return Ports(int(ends[0]), int(ends[1]))


def parse_protocol(text: str, field: str = "protocol") -> int | None:
    """Turn a name or a number into an IP protocol number; "any" is None."""
    word = text.strip().lower()
    if word == "any":
        return None
    if word.isascii() and word.isdecimal() and int(word) < 256:
        return int(word)
    if word not in PROTOCOLS:
        raise SpecError(f"{field} {text!r} is not known; give {', '.join(PROTOCOLS)}, any, or a number from 0 to 255")
    return PROTOCOLS[word]


def parse_family(text: str, field: str = "family") -> int | None:
    """Turn 4, 6, ipv4, ipv6 or any into 4, 6 or None."""
    families = {"4": 4, "ipv4": 4, "6": 6, "ipv6": 6, "any": None}
    if text.lower() not in families:
        raise SpecError(f"{field} {text!r} is not known; give ipv4, ipv6 or any")
    return families[text.lower()]


def parse_tcp_flags(text: str, field: str = "tcp-flags") -> TcpFlags:
    """Turn "syn,!ack" or "0x02/0x12" (value/mask) into TcpFlags."""
    value, slash, mask = text.partition("/")
    if slash:
        try:
            return TcpFlags(int(value, 0), int(mask, 0))
        except ValueError:
            raise SpecError(f"{field} {text!r}: value and mask are numbers, like 0x02/0x12") from None
    wanted = {True: 0, False: 0}
    for word in text.split(","):
        name = word.strip().lower()
        bit = TCP_FLAGS.get(name.removeprefix("!"))
        if bit is None:
            raise SpecError(
                f"{field} {text!r}: {word.strip()!r} is not a TCP flag; there are {', '.join(TCP_FLAGS)}, "
                "with ! for unset, or value/mask"
            )
        wanted[not name.startswith("!")] |= bit
    if wanted[True] & wanted[False]:
        raise SpecError(f"{field} {text!r}: a flag cannot be both set and unset")
    return TcpFlags(wanted[True], wanted[True] | wanted[False])


def parse_icmp_types(text: str, protocol: int | None, field: str = "icmp-type") -> tuple[IcmpType, ...]:
    """Turn "echo-request,destination-unreachable/port-unreachable" or "8,3/3" into types of a protocol."""
    if protocol not in ICMP_TYPES:
        raise SpecError(f"{field} {text!r} needs protocol icmp or icmpv6, but protocol is {protocol_name(protocol)}")
    return tuple(_icmp_type(word.strip().lower(), protocol, f"{field} {text!r}") for word in text.split(","))


def _icmp_type(word: str, protocol: int, field: str) -> IcmpType:
    name, slash, code = word.partition("/")
    types = ICMP_TYPES[protocol]
    kind = _number(name, types | {"echo": types["echo-request"]}, f"{field}: {protocol_name(protocol)} type")
    if not slash:
        return IcmpType(kind)
    return IcmpType(kind, _number(code, ICMP_CODES.get((protocol, kind), {}), f"{field}: code of type {kind}"))


def _number(word: str, names: dict[str, int], what: str) -> int:
    if word in names:
        return names[word]
    if word.isascii() and word.isdecimal() and int(word) < 256:
        return int(word)
    known = f" or one of {', '.join(names)}" if names else ""
    raise SpecError(f"{what} {word!r} is not known; give a number from 0 to 255{known}")
