"""Section, interface, name and statistics blocks -> bytes (draft-ietf-opsawg-pcapng, section 4).

stream.compiled writes Enhanced Packet Blocks. Options always end with opt_endofopt, padding is zero, and all
interfaces of a file have the same link type and snaplen, because libpcap stops reading otherwise.
"""

import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

SECTION_HEADER, INTERFACE_DESCRIPTION, NAME_RESOLUTION, INTERFACE_STATISTICS = 0x0A0D0D0A, 1, 4, 5
ENHANCED_PACKET = 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
LINKTYPE_ETHERNET = 1
SNAPLEN = 262_144
"""Snaplen in every interface block, regardless of the capture's own: the largest that readers accept."""
NANOSECONDS = 9

BYTE_ORDER = "<" if sys.byteorder == "little" else ">"
"""That of this machine, in which bicap writes, as struct says it."""
HEAD = struct.Struct(BYTE_ORDER + "II")
"""Kind and length, with which every block begins."""
PACKET_HEAD = struct.Struct(BYTE_ORDER + "IIIII")
"""Kind, length, interface and both words of the time of an Enhanced Packet Block; see `time_of`."""
OPTION_LIMIT = 65_535
"""Most bytes of an option; longer text is cut."""
PACKET_HEADER, PACKET_TRAILER = 28, 16
"""Bytes of an Enhanced Packet Block before the packet, and behind its padding: epb_flags, end of options, length."""


def time_of(high: int, low: int) -> int:
    """Return the time that two words of a block say, in units of its interface."""
    return high << 32 | low


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def packet_block_bytes(captured: int) -> int:
    """Return the length of an Enhanced Packet Block with `captured` bytes of a packet."""
    return PACKET_HEADER + captured + -captured % 4 + PACKET_TRAILER


def _option(code: int, value: bytes | str | None) -> bytes:
    if value is None or value in {"", b""}:
        return b""
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if len(data) > OPTION_LIMIT:
        data = data[:OPTION_LIMIT].decode("utf-8", "ignore").encode()
    return struct.pack(BYTE_ORDER + "HH", code, len(data)) + _padded(data)


def _options(*options: bytes) -> bytes:
    joined = b"".join(options)
    return joined + bytes(4) if joined else b""


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack(BYTE_ORDER + "I", len(body) + 12)
    return struct.pack(BYTE_ORDER + "I", kind) + length + body + length


def section_header(*, hardware: str, os: str, application: str, comment: str, more: Sequence[str] = ()) -> bytes:
    """Return the first block of a file; the length of the section is left open (-1). `more` are further comments."""
    fixed = struct.pack(BYTE_ORDER + "IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
    comments = (_option(1, text) for text in (comment, *more))
    options = (*comments, _option(2, hardware), _option(3, os), _option(4, application))
    return _block(SECTION_HEADER, fixed + _options(*options))


def foreign_interface(link: int, snaplen: int, name: str, options: Sequence[tuple[int, bytes]]) -> bytes:
    """Return an Interface Description Block with times in nanoseconds; `options` are those besides name and times."""
    rest = (_option(code, value) for code, value in options)
    fixed = struct.pack(BYTE_ORDER + "HHI", link, 0, snaplen)
    return _block(INTERFACE_DESCRIPTION, fixed + _options(_option(2, name), *rest, _option(9, bytes([NANOSECONDS]))))


@dataclass(frozen=True, slots=True)
class InterfaceBlock:
    """The content of an interface block; `name` is unique in the file, `filter` a tcpdump expression."""

    name: str
    description: str = ""
    filter: str = ""
    os: str = ""
    mac: bytes = b""

    def encode(self) -> bytes:
        """Return the Interface Description Block."""
        fixed = struct.pack(BYTE_ORDER + "HHI", LINKTYPE_ETHERNET, 0, SNAPLEN)
        return _block(
            INTERFACE_DESCRIPTION,
            fixed
            + _options(
                _option(2, self.name),
                _option(3, self.description),
                _option(6, self.mac if len(self.mac) == 6 else None),
                _option(9, bytes([NANOSECONDS])),
                _option(11, b"\0" + self.filter.encode() if self.filter else None),
                _option(12, self.os),
            ),
        )


def interfaces(blocks: Sequence[InterfaceBlock]) -> bytes:
    """Return interface blocks in the order of their ids."""
    return b"".join(block.encode() for block in blocks)


def packet(interface: int, time_ns: int, data: bytes, original: int, comment: str) -> bytes:
    """Return an Enhanced Packet Block with a comment; times are nanoseconds."""
    fixed = struct.pack(BYTE_ORDER + "I", interface) + _time(time_ns)
    fixed += struct.pack(BYTE_ORDER + "II", len(data), original)
    return _block(ENHANCED_PACKET, fixed + _padded(data) + _options(_option(1, comment)))


def names(addresses: Mapping[IPv4Address | IPv6Address, str]) -> bytes:
    """Return a Name Resolution Block with one name per address; no bytes if there are no names."""
    if not addresses:
        return b""
    records = []
    for address, name in addresses.items():
        value = address.packed + name.encode("utf-8", "replace") + b"\0"
        records.append(struct.pack(BYTE_ORDER + "HH", 1 if address.version == 4 else 2, len(value)) + _padded(value))
    return _block(NAME_RESOLUTION, b"".join(records) + bytes(4))


@dataclass(frozen=True, slots=True)
class InterfaceStatistics:
    """The account of one interface: times in wall-clock nanoseconds, and numbers of packets."""

    interface: int
    start_ns: int
    end_ns: int
    received: int
    accepted: int
    dropped: int
    delivered: int
    comment: str = ""

    def encode(self) -> bytes:
        """Return the Interface Statistics Block; Wireshark shows drops only from isb_ifdrop."""

        def count(code: int, value: int) -> bytes:
            return _option(code, struct.pack(BYTE_ORDER + "Q", value))

        return _block(
            INTERFACE_STATISTICS,
            struct.pack(BYTE_ORDER + "I", self.interface)
            + _time(self.end_ns)
            + _options(
                _option(1, self.comment),
                _option(2, _time(self.start_ns)),
                _option(3, _time(self.end_ns)),
                count(4, self.received),
                count(5, self.dropped),
                count(6, self.accepted),
                count(8, self.delivered),
            ),
        )


def _time(nanoseconds: int) -> bytes:
    """Return a time as two words, the high one first in either byte order."""
    return struct.pack(BYTE_ORDER + "II", nanoseconds >> 32, nanoseconds & 0xFFFFFFFF)
