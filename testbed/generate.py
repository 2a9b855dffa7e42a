"""Random packets, rules and expressions from small pools, so that they meet: everything from one seeded Random.

Packets are ordinary and adversarial: tags, options, extension headers, fragments, tunnels, ICMP errors, cut short at
any byte, wrong header lengths, noise.
"""

import struct
from ipaddress import ip_network
from random import Random

from capture.filters.rule import Endpoint, IcmpType, Ports, Rule, TcpFlags
from capture.wire.protocols import ICMP_TYPES, TCP_FLAGS
from testbed import packets

IPV4 = ("10.0.0.1", "10.0.0.2", "10.0.1.7", "192.0.2.9")
IPV6 = ("fd00::1", "fd00::2", "fd00:0:0:1::7", "2001:db8::9")
PORTS = (0, 22, 53, 80, 443, 8000, 8050, 65535)
NETWORKS = {
    4: ("10.0.0.0/30", "10.0.0.0/23", "192.0.0.0/8", "0.0.0.0/0"),
    6: ("fd00::/64", "fd00::/61", "2000::/3", "::/0"),
}
MACS = (packets.POD_MAC, packets.NODE_MAC, b"\xff" * 6, bytes.fromhex("01005e000001"))
_MESSAGES = (
    bytes.fromhex("000701000001000000000000") + b"\3web\4shop\0\0\1\0\1",
    b"GET /cart HTTP/1.1\r\nHost: web.shop\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
    bytes.fromhex("15030300020230"),
    bytes.fromhex("1603010047010000430303") + bytes(32) + bytes.fromhex("0000021301010000180000000d000b000008")
    + b"web.shop" + bytes.fromhex("00100003000268320000"),
)  # fmt: skip
"""Starts of messages: a DNS query, HTTP, a TLS alert, a hello with a wrong length."""


def packet(random: Random, number: int) -> bytes:
    """Any packet; `number` keeps the identifications of fragments apart."""
    frame = _ordinary(random)
    for alter in random.sample(_ALTERATIONS, random.choice((0, 0, 1, 1, 2))):
        frame = alter(random, frame, number)
    if random.random() < 0.3:
        frame = random.choice(MACS) + random.choice(MACS) + frame[12:]
    return frame


def _ordinary(random: Random) -> bytes:
    pool = random.choice((IPV4, IPV6))
    a, b = random.choice(pool), random.choice(pool)
    kind = random.choice(("tcp", "tcp", "udp", "udp", "sctp", "icmp", "other", "arp", "noise"))
    ends = (a, random.choice(PORTS), b, random.choice(PORTS))
    if kind == "tcp":
        flags = random.choice((2, 0x12, 0x10, 0x18, 0x11, 4, 0x14, random.randrange(256)))
        return packets.tcp(*ends, flags=flags, payload=random.choice((b"", b"", random.choice(_MESSAGES))))
    if kind == "udp":
        return packets.udp(*ends, payload=random.choice((random.randbytes(random.choice((0, 1, 40))), _MESSAGES[0])))
    if kind == "sctp":
        return packets.ip(a, b, 132, struct.pack("!HHII", ends[1], ends[3], 1, 0) + bytes(8))
    if kind == "icmp":
        return packets.icmp(a, b, random.choice((0, 3, 8, 11, 13, 14, 128, 129, 1, 135, 136)))
    if kind == "other":
        return packets.ip(a, b, random.choice((47, 50, 2, 89, 255, 6)), random.randbytes(random.choice((0, 2, 30))))
    if kind == "arp":
        return packets.ethernet(
            0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, random.choice((1, 2))) + random.randbytes(20)
        )
    return packets.ethernet(
        random.choice((0x0800, 0x86DD, 0x8100, 0x88A8, 0x88B5, 60)), random.randbytes(random.randrange(60))
    )


def _is_ip(frame: bytes, family: int = 0) -> bool:
    kinds = {4: b"\x08\x00", 6: b"\x86\xdd"}
    return len(frame) >= 54 and frame[12:14] in ([kinds[family]] if family else list(kinds.values()))


def _tag(random: Random, frame: bytes, _: int) -> bytes:
    tags = [
        (random.choice((0x8100, 0x88A8, 0x9100)), random.randrange(1 << 16))
        for _ in range(random.choice((1, 1, 2, 3)))
    ]
    return packets.vlan(frame, *tags)


def _options(random: Random, frame: bytes, _: int) -> bytes:
    return packets.with_options(frame, random.randrange(1, 11)) if _is_ip(frame, 4) else frame


def _extensions(random: Random, frame: bytes, number: int) -> bytes:
    if not _is_ip(frame, 6):
        return frame
    choices = (
        packets.hop_by_hop(),
        packets.hop_by_hop(1),
        (43, b"\0" + bytes(6)),
        (60, b"\x01" + bytes(14)),
        (51, b"\x04" + bytes(22)),
        packets.fragment_header(0, False, number),
        (135, b"\0" + bytes(6)),
    )
    return packets.with_extensions(frame, *random.choices(choices, k=random.choice((1, 1, 2, 3, 9))))


def _fragment(random: Random, frame: bytes, number: int) -> bytes:
    if not _is_ip(frame):
        return frame
    return packets.fragment(frame, random.choice((0, 0, 1, 185)), random.random() < 0.7, number)


def _cut(random: Random, frame: bytes, _: int) -> bytes:
    return frame[: random.randrange(14, len(frame) + 1)]


def _wrong_length(random: Random, frame: bytes, _: int) -> bytes:
    """A header length field that lies."""
    return frame[:14] + bytes([frame[14] & 0xF0 | random.randrange(16)]) + frame[15:] if _is_ip(frame, 4) else frame


def _error(random: Random, frame: bytes, _: int) -> bytes:
    if not _is_ip(frame):
        return frame
    pool = IPV4 if _is_ip(frame, 4) else IPV6
    return packets.icmp_error(random.choice(pool), frame)


def _tunnel(random: Random, frame: bytes, _: int) -> bytes:
    pool = random.choice((IPV4, IPV6))
    outer = (random.choice(pool), random.choice(pool))
    if not _is_ip(frame):
        return packets.vxlan(outer, frame)
    wrap = random.choice((packets.vxlan, packets.geneve, packets.gre, packets.ip_in_ip))
    return wrap(outer, frame)


_ALTERATIONS = (_tag, _options, _extensions, _fragment, _cut, _wrong_length, _error, _tunnel)


def rule(random: Random) -> Rule:
    """Any valid rule."""
    family = random.choice((4, 6))
    protocol = random.choice((None, None, 6, 6, 6, 17, 132, {4: 1, 6: 58}[family], 47, 50))
    ports = protocol in (None, 6, 17, 132)
    source, destination = _endpoint(random, family, ports), _endpoint(random, family, ports)
    flags = None
    icmp: tuple[IcmpType, ...] = ()
    if protocol == 6 and random.random() < 0.4:
        mask = random.choice((2, 0x12, 0x10, 4, 0x3F, random.randrange(1, 256)))
        flags = TcpFlags(random.randrange(256) & mask, mask)
    if protocol in ICMP_TYPES and random.random() < 0.6:
        kinds = random.sample(sorted(ICMP_TYPES[protocol].values()), 2)
        icmp = tuple(IcmpType(kind, random.choice((None, None, 0, 3))) for kind in kinds)
    asked = family if random.random() < 0.2 else None
    return Rule(source=source, destination=destination, protocol=protocol, family=asked, tcp_flags=flags, icmp=icmp)


def _endpoint(random: Random, family: int, ports: bool) -> Endpoint:
    pool = IPV4 if family == 4 else IPV6
    network = random.choice((None, None, random.choice(pool), random.choice(pool), random.choice(NETWORKS[family])))
    spans: list[Ports] = []
    if ports and random.random() < 0.5:
        for _ in range(random.choice((1, 1, 2))):
            first = random.choice(PORTS)
            spans.append(Ports(first, max(first, random.choice((first, first, *PORTS)))))
    return Endpoint(ip_network(network) if network else None, tuple(sorted(set(spans))))


def expression(random: Random, depth: int = 3) -> str:
    """Any tcpdump expression for Ethernet."""
    if depth and random.random() < 0.6:
        joined = random.choice((" and ", " or "))
        parts = [expression(random, depth - 1) for _ in range(random.choice((2, 2, 3)))]
        text = joined.join(f"({part})" for part in parts)
    else:
        text = _primitive(random)
    return f"not ({text})" if random.random() < 0.15 else text


def _primitive(random: Random) -> str:
    way = random.choice(("", "src ", "dst ", "src or dst ", "src and dst "))
    name = random.choice(("", "tcp ", "udp ", "sctp "))
    host = random.choice((*IPV4, *IPV6))
    port = random.choice(PORTS)
    flag = random.choice(list(TCP_FLAGS.values()))
    return random.choice((
        f"{way}host {host}",
        f"{way}net {random.choice((*NETWORKS[4][:3], *NETWORKS[6][:3]))}",
        f"{name}{way}port {port}",
        f"{name}{way}portrange {port}-{max(port, 8050)}",
        random.choice(("ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "sctp", "ip proto 47", "ip6 proto 50")),
        f"ether {random.choice(('src', 'dst', 'host'))} 02:00:00:00:00:0{random.choice('12')}",
        random.choice(("ether broadcast", "ether multicast", "ip multicast", "ip6 multicast")),
        f"len > {random.choice((42, 60, 100))}",
        f"tcp[tcpflags] & {flag} != 0",
        f"tcp[13] = {random.choice((2, 18, 16))}",
        f"icmp[icmptype] {random.choice(['=', '!='])} {random.choice(['icmp-echo', 'icmp-echoreply', '8', '3'])}",
        f"ip[12:4] = 0x0a00000{random.choice('12')}",
        f"ip[16] = {random.choice((10, 192))}",
        f"udp[0:2] = {port}",
        f"ip6[8:4] = 0x{random.choice(('fd000000', '20010db8'))}",
        "tcp[((tcp[12:1] & 0xf0) >> 2):1] = 0x47",
        f"ip[8] < {random.choice((63, 65))}",
        f"ip[2:2] - ((ip[0] & 0xf) << 2) > {random.choice((8, 20, 40))}",
        f"ether[{random.choice((26, 30, 23, 36))}:1] = {random.choice((10, 6, 17, 0))}",
        f"ip[14:4] = 0x00010a0{random.choice('0')}",
        f"icmp[0] & 8 = {random.choice((8, 0))}",
        "ether[0] & 1 = 1",
        f"vlan {random.choice(('', '42'))}",
        f"ip6 protochain {random.choice((6, 17))}",
        f"arp[6:2] = {random.choice((1, 2))}",
    ))  # fmt: skip
