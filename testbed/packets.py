"""One vocabulary of packets for every tier: words -> bytes of an Ethernet frame, checksums left zero.

Small on purpose: the programs never look at checksums. `Ethernet` addresses are fixed.
"""

import struct
from ipaddress import ip_address

POD_MAC, NODE_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
SYN, ACK, RST, FIN = 0x02, 0x10, 0x04, 0x01


def ethernet(ethertype: int, payload: bytes) -> bytes:
    return NODE_MAC + POD_MAC + struct.pack("!H", ethertype) + payload


def ip(source: str, destination: str, protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    """An Ethernet frame with an IPv4 or IPv6 packet; `fragment` is IPv4's flags and offset field."""
    src, dst = ip_address(source), ip_address(destination)
    if src.version == 4:
        fixed = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0)
        return ethernet(0x0800, fixed + src.packed + dst.packed + payload)
    fixed = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return ethernet(0x86DD, fixed + src.packed + dst.packed + payload)


def tcp(
    source: str,
    sport: int,
    destination: str,
    dport: int,
    flags: int = ACK,
    payload: bytes = b"",
    *,
    sequence: int = 1,
    acknowledgment: int = 1,
    window: int = 65535,
    timestamps: tuple[int, int] | None = None,
) -> bytes:
    """`timestamps` are TSval and TSecr, in an option that is there only if they are given."""
    options = b"" if timestamps is None else struct.pack("!BBBBII", 1, 1, 8, 10, *timestamps)
    offset = (20 + len(options)) // 4 << 4
    header = struct.pack("!HHIIBBHHH", sport, dport, sequence, acknowledgment, offset, flags, window, 0, 0)
    return ip(source, destination, TCP, header + options + payload)


def udp(source: str, sport: int, destination: str, dport: int, payload: bytes = b"") -> bytes:
    return ip(source, destination, UDP, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def icmp(source: str, destination: str, kind: int = 8, payload: bytes = b"x" * 32) -> bytes:
    protocol = ICMP if ip_address(source).version == 4 else ICMPV6
    return ip(source, destination, protocol, struct.pack("!BBHHH", kind, 0, 0, 7, 1) + payload)


def arp() -> bytes:
    return ethernet(0x0806, bytes(28))


def with_checksum(frame: bytes) -> bytes:
    """An IPv4 frame whose header has its checksum: a bridge may drop others."""
    words = struct.unpack("!10H", frame[14:24] + b"\0\0" + frame[26:34])
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return frame[:24] + struct.pack("!H", total ^ 0xFFFF) + frame[26:]


def vlan(frame: bytes, *tags: tuple[int, int]) -> bytes:
    """The frame with tags (EtherType, TCI) in its bytes, the outermost first."""
    return frame[:12] + b"".join(struct.pack("!HH", kind, tci) for kind, tci in tags) + frame[12:]


def with_options(frame: bytes, words: int) -> bytes:
    """An IPv4 frame with `words` words of options (no-operation)."""
    return frame[:14] + bytes([0x45 + words]) + frame[15:34] + b"\x01" * (4 * words) + frame[34:]


def with_extensions(frame: bytes, *headers: tuple[int, bytes]) -> bytes:
    """An IPv6 frame with extension headers (number, its bytes from the second on) before the upper layer."""
    following = [number for number, _ in headers[1:]] + [frame[20]]
    chain = b"".join(bytes([after]) + rest for after, (_, rest) in zip(following, headers, strict=True))
    first = headers[0][0] if headers else frame[20]
    length = struct.unpack("!H", frame[18:20])[0] + len(chain)
    return frame[:18] + struct.pack("!HB", length & 0xFFFF, first) + frame[21:54] + chain + frame[54:]


def hop_by_hop(units: int = 0) -> tuple[int, bytes]:
    """A hop-by-hop options header of 8 * (1 + units) bytes."""
    return 0, bytes([units]) + bytes(6 + 8 * units)


def fragment_header(offset: int, more: bool, identification: int = 7) -> tuple[int, bytes]:
    """An IPv6 fragment header; `offset` in units of 8 bytes."""
    return 44, b"\0" + struct.pack("!HI", offset << 3 | more, identification)


def fragment(frame: bytes, offset: int, more: bool, identification: int = 7) -> bytes:
    """An IPv4 or IPv6 frame as a fragment; `offset` in units of 8 bytes."""
    if frame[12:14] == b"\x86\xdd":
        return with_extensions(frame, fragment_header(offset, more, identification))
    return frame[:18] + struct.pack("!HH", identification & 0xFFFF, (0x2000 if more else 0) | offset) + frame[22:]


def icmp_error(source: str, about: bytes, kind: int | None = None, code: int = 0) -> bytes:
    """The ICMP error that `source` sends to the sender of `about`."""
    family = 4 if about[12:14] == b"\x08\x00" else 6
    to = ip_address(about[26:30] if family == 4 else about[22:38])
    kind = kind if kind is not None else {4: 3, 6: 1}[family]
    protocol = ICMP if family == 4 else ICMPV6
    return ip(source, str(to), protocol, struct.pack("!BBHI", kind, code, 0, 0) + about[14:])


def vxlan(outer: tuple[str, str], frame: bytes, port: int = 4789) -> bytes:
    return udp(outer[0], 5555, outer[1], port, b"\x08\0\0\0\0\0\x2a\0" + frame)


def geneve(outer: tuple[str, str], frame: bytes, options: bytes = b"") -> bytes:
    return udp(
        outer[0], 5555, outer[1], 6081, struct.pack("!BBHI", len(options) // 4, 0, 0x6558, 42 << 8) + options + frame
    )


def gre(outer: tuple[str, str], frame: bytes, key: bool = False, ethernet_inside: bool = False) -> bytes:
    """GRE with the network layer of `frame` in it, or the whole frame."""
    kind = 0x6558 if ethernet_inside else int.from_bytes(frame[12:14], "big")
    header = struct.pack("!HH", 0x2000 if key else 0, kind) + (bytes(4) if key else b"")
    return ip(outer[0], outer[1], 47, header + (frame if ethernet_inside else frame[14:]))


def ip_in_ip(outer: tuple[str, str], frame: bytes) -> bytes:
    return ip(outer[0], outer[1], 4 if frame[12:14] == b"\x08\x00" else 41, frame[14:])
