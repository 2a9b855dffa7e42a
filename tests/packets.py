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


def tcp(source: str, sport: int, destination: str, dport: int, flags: int = ACK, payload: bytes = b"") -> bytes:
    header = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 5 << 4, flags, 65535, 0, 0)
    return ip(source, destination, TCP, header + payload)


def udp(source: str, sport: int, destination: str, dport: int, payload: bytes = b"") -> bytes:
    return ip(source, destination, UDP, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def icmp(source: str, destination: str, kind: int = 8, payload: bytes = b"x" * 32) -> bytes:
    protocol = ICMP if ip_address(source).version == 4 else ICMPV6
    return ip(source, destination, protocol, struct.pack("!BBHHH", kind, 0, 0, 7, 1) + payload)


def arp() -> bytes:
    return ethernet(0x0806, bytes(28))
