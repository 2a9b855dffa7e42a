"""Bytes of a pcap or pcapng file, piece by piece -> the positions of packets, and the interfaces and names.

Either byte order, several sections, time units and offsets per interface. No I/O: `take` gets bytes and returns how
many it has used. Interfaces are numbered through the whole file: those of a section follow those of the section
before.
"""

import struct
from copy import copy
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Any

import numpy as np

from capture.arrays.aliases import Bytes
from capture.errors import FormatError
from capture.pcapng import describe
from capture.pcapng.blocks import BYTE_ORDER_MAGIC, INTERFACE_DESCRIPTION, NAME_RESOLUTION, SECTION_HEADER
from capture.pcapng.compiled import scan
from capture.pcapng.describe import InterfaceDescription
from capture.units import format_count

INTERFACES_MAX = 1 << 18
"""Most interfaces of a file; more count as damage. A day of files of a minute each, merged, has 1,440 for each."""
NAMES_MAX = 1 << 16
"""Most addresses whose names are kept; later ones have no name."""

# The first four bytes of a file -> byte order, nanoseconds in a unit of a time's fraction.
_PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_PCAP_HEADER = 24
_SMALLEST = {SECTION_HEADER: 28, INTERFACE_DESCRIPTION: 20, NAME_RESOLUTION: 12}
_DAMAGE = {
    scan.TOO_LONG: f"a block of more than {scan.BLOCK_LIMIT >> 20} MiB",
    scan.BAD_LENGTH: "a block with an impossible length",
    scan.BAD_TRAILER: "a block that does not end with its length",
    scan.BAD_INTERFACE: "a packet of an interface that is not described",
    scan.BAD_CAPTURED: "a packet that is longer than what holds it",
}


class Reader:
    """The state of reading one file; `name` is for messages.

    `section` is the first one's header, `interfaces` and `names` are those read so far; their number is limited,
    because the file is not trusted.
    """

    def __init__(self, name: str) -> None:
        self.interfaces: list[InterfaceDescription] = []
        self.names: dict[IPv4Address | IPv6Address, str] = {}
        self.section = describe.SectionDescription()
        self.sections = 0
        """Number of section headers so far; 0 in a pcap file."""
        self._name = name
        self._position = 0
        self._base = 0
        self._packets = 0
        self._order = ""
        self._tick_ns = 0
        self._section_start = 0
        self._last_ns = 0
        self._table = np.zeros(8, scan.INTERFACE_TICKS)

    @property
    def position(self) -> int:
        """Bytes of the file that were used so far: where the next block begins."""
        return self._position

    def resumed(self, position: int, packets: int) -> "Reader":
        """Return a reader that goes on at the block at this byte, behind so many packets.

        This one has read the file before, so all interfaces are known. Only for a file of at most one section.
        """
        other = copy(self)
        other.interfaces, other.names = list(self.interfaces), dict(self.names)
        other._table = self._table.copy()
        other._position, other._packets = position, packets
        return other

    def take(self, data: Bytes, at: int, end: int, packets: Any) -> tuple[int, int, bool]:
        """Fill rows of `packets` from data[at:end]. Returns (next position, rows, True if more bytes are needed).

        Raises FormatError at damage, in the call after the one that returned the packets before it.
        """
        start, count = at, 0
        self._base = self._position - start
        while True:
            if not self._order:
                header = self._begin(data, at, end)
                if header == 0:
                    return self._used(start, at, count), count, True
                at += header
            before = count
            big = self._order == ">"
            if self._tick_ns:
                at, count, why = scan.scan_pcap(data, at, end, big, self._tick_ns, packets, count)
            else:
                known = len(self.interfaces) - self._section_start
                at, count, why = scan.scan_pcapng(
                    data, at, end, big, self._table, known, self._last_ns, packets, count
                )
            if count > before:
                packets["interface"][before:count] += self._section_start
                self._last_ns = int(packets["time_ns"][count - 1])
            if why in (scan.MORE, scan.FULL):
                return self._used(start, at, count), count, why == scan.MORE
            if why == scan.DESCRIPTION:
                try:
                    used = self._describe(data, at, end)
                except FormatError:
                    if count:
                        return self._used(start, at, count), count, False
                    raise
                if used == 0:
                    return self._used(start, at, count), count, True
                at += used
            elif count:  # damage: return the packets before it first
                return self._used(start, at, count), count, False
            else:
                raise self._damage(_DAMAGE[why], at)

    def end(self, left: int) -> None:
        """End the file; `left` bytes were not used. Raises FormatError if there are any, or if there was no file."""
        if not self._order:
            raise self._not_a_capture()
        if left:
            self._base = self._position
            raise self._damage(f"it is cut off, {left:,} bytes after the last whole block", 0)

    def _used(self, start: int, at: int, count: int) -> int:
        self._position += at - start
        self._packets += count
        return at

    def _not_a_capture(self) -> FormatError:
        return FormatError(
            f"not a pcap or pcapng file: {self._name}; give one, or one that is compressed with gzip or zstd"
        )

    def _damage(self, what: str, at: int) -> FormatError:
        return FormatError(
            f"{self._name} is damaged at byte {self._base + at:,}: {what}; "
            f"the {format_count(self._packets, 'packet')} before it {'was' if self._packets == 1 else 'were'} read"
        )

    def _begin(self, data: Bytes, at: int, end: int) -> int:
        """Read the header of a file. Returns the bytes used, 0 if more are needed."""
        if end - at < 12:
            return 0
        first = bytes(data[at : at + 4])
        if first in _PCAP_MAGICS:
            if end - at < _PCAP_HEADER:
                return 0
            self._order, self._tick_ns = _PCAP_MAGICS[first]
            _, _, _, _, _, snaplen, link = struct.unpack(self._order + "IHHiIII", bytes(data[at : at + _PCAP_HEADER]))
            # The upper bits say if frames end with a checksum (draft-ietf-opsawg-pcap, section 4).
            self.interfaces.append(InterfaceDescription(link & 0xFFFF, snaplen))
            return _PCAP_HEADER
        if first != struct.pack("<I", SECTION_HEADER):
            raise self._not_a_capture()
        return self._describe(data, at, end)

    def _describe(self, data: Bytes, at: int, end: int) -> int:
        """Read a block that is not a packet. Returns the bytes used, 0 if the block is incomplete."""
        order = self._order
        if bytes(data[at : at + 4]) == struct.pack("<I", SECTION_HEADER):
            magic = bytes(data[at + 8 : at + 12])
            order = "<" if magic == struct.pack("<I", BYTE_ORDER_MAGIC) else ">"
            if magic != struct.pack(order + "I", BYTE_ORDER_MAGIC):
                raise self._damage("a section without a byte order", at)
        kind, total = struct.unpack(order + "II", bytes(data[at : at + 8]))
        if total < _SMALLEST[kind] or total % 4 or total > scan.BLOCK_LIMIT:
            raise self._damage(_DAMAGE[scan.BAD_LENGTH], at)
        if at + total > end:
            return 0
        body = bytes(data[at + 8 : at + total - 4])
        if kind == SECTION_HEADER:
            major, minor = struct.unpack(order + "HH", body[4:8])
            if major != 1:
                raise self._damage(f"a section of pcapng version {major}.{minor}; only version 1 is known", at)
            if not self._order:
                self.section = describe.section(body, order)
            self._order, self._section_start = order, len(self.interfaces)
            self.sections += 1
        elif kind == INTERFACE_DESCRIPTION:
            self._add(describe.interface(body, order), at)
        elif kind == NAME_RESOLUTION:
            for address, name in islice(describe.names(body, order), NAMES_MAX - len(self.names)):
                self.names.setdefault(address, name)
        return int(total)

    def _add(self, interface: InterfaceDescription, at: int) -> None:
        if len(self.interfaces) == INTERFACES_MAX:
            raise self._damage(f"more than {INTERFACES_MAX:,} interfaces", at)
        number = len(self.interfaces) - self._section_start
        if number == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        exponent = interface.resolution & 0x7F
        row = self._table[number]
        row["snaplen"] = interface.snaplen
        row["multiply"], row["divide"], row["shift"] = 1, 1, 0  # an earlier section may have used this row
        if not interface.resolution & 0x80:
            row["multiply"] = 10 ** max(9 - exponent, 0)
            row["divide"] = 10 ** min(max(exponent - 9, 0), 18)
        elif exponent:
            row["shift"] = min(exponent, 62)
        else:
            row["multiply"] = 10**9
        # An offset of this size does not fit, and is taken as damage.
        row["offset_ns"] = interface.offset_s * 10**9 if abs(interface.offset_s) < 1 << 33 else 0
        self.interfaces.append(interface)
