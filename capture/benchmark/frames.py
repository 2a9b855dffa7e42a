"""A size -> the frame that senders repeat: UDP over IPv4, of the first of the conversations that they make."""

import struct
from ipaddress import IPv4Address

HEADERS = 42
"""Ethernet, IPv4, UDP."""
_TO, _FROM = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")


def udp(size: int, source: str = "10.0.0.0", source_port: int = 1024) -> bytes:
    """`size` bytes with the Ethernet header; checksums stay zero, nobody here looks at them."""
    payload = bytes(size - HEADERS)
    datagram = struct.pack("!HHHH", source_port, 2000, 8 + len(payload), 0) + payload
    addresses = IPv4Address(source).packed + IPv4Address("10.200.0.1").packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0)
    return _TO + _FROM + b"\x08\x00" + header + addresses + datagram
