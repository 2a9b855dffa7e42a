"""Bytes of a pcap or pcapng file, piece by piece -> where packets are, and everything that describes them.

Any section byte order, several sections, time units and offsets per interface. No I/O: `take` is given bytes and says
how many it has used. Numbers of interfaces are of the whole file: each section's begin after those of the one before.
"""

import struct
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

INTERFACES_MAX = 1 << 18
"""More are taken for damage. A day of files of a minute each, put together, has 1,440 for each interface."""
NAMES_MAX = 1 << 16
"""Addresses that have names; what comes beyond has none."""

# The first four bytes, as they are in the file -> byte order, nanoseconds of a fraction's unit.
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
    scan.BAD_LENGTH: "a block whose length cannot be",
    scan.BAD_TRAILER: "a block that does not end with its length",
    scan.BAD_INTERFACE: "a packet of an interface that is not described",
    scan.BAD_CAPTURED: "a packet that is longer than what holds it",
}


class Reader:
    """The state of reading one file; `name` is for messages.

    `interfaces` and `names` are what has been read of them so far: of a stranger's file not without end.
    """

    def __init__(self, name: str) -> None:
        self.interfaces: list[InterfaceDescription] = []
        self.names: dict[IPv4Address | IPv6Address, str] = {}
        self._name = name
        self._position = 0
        self._base = 0
        self._packets = 0
        self._order = ""
        self._tick_ns = 0
        self._section = 0
        self._last_ns = 0
        self._table = np.zeros(8, scan.INTERFACE_TICKS)

    def take(self, data: Bytes, at: int, end: int, packets: Any) -> tuple[int, int, bool]:
        """Rows of `packets` from data[at:end]: (next position, rows, whether more bytes are needed to go on).

        Raises FormatError where the file is damaged, after the packets before that have been returned.
        """
        start, count = at, 0
        self._base = self._position - start
        while True:
            if not self._order:
                begun = self._begin(data, at, end)
                if begun == 0:
                    return self._used(start, at, count), count, True
                at += begun
            before = count
            big = self._order == ">"
            if self._tick_ns:
                at, count, why = scan.scan_pcap(data, at, end, big, self._tick_ns, packets, count)
            else:
                known = len(self.interfaces) - self._section
                at, count, why = scan.scan_pcapng(
                    data, at, end, big, self._table, known, self._last_ns, packets, count
                )
            if count > before:
                packets["interface"][before:count] += self._section
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
            elif count:  # damage: what was read comes first
                return self._used(start, at, count), count, False
            else:
                raise self._damage(_DAMAGE[why], at)

    def end(self, left: int) -> None:
        """The file ends here, with so many bytes that were not used. Raises FormatError if there are any."""
        if not self._order:
            raise FormatError(f"{self._name} is no pcap or pcapng file; give one, or what gzip or zstd made of one")
        if left:
            self._base = self._position
            raise self._damage(f"it is cut off, {left:,} bytes after the last whole block", 0)

    def _used(self, start: int, at: int, count: int) -> int:
        self._position += at - start
        self._packets += count
        return at

    def _damage(self, what: str, at: int) -> FormatError:
        return FormatError(
            f"{self._name} is damaged at byte {self._base + at:,}: {what}; "
            f"the {self._packets:,} packets before it were read"
        )

    def _begin(self, data: Bytes, at: int, end: int) -> int:
        """Look at the first bytes of a file; bytes used, 0 if there are too few."""
        if end - at < 12:
            return 0
        first = bytes(data[at : at + 4])
        if first in _PCAP_MAGICS:
            if end - at < _PCAP_HEADER:
                return 0
            self._order, self._tick_ns = _PCAP_MAGICS[first]
            _, _, _, _, _, snaplen, link = struct.unpack(self._order + "IHHiIII", bytes(data[at : at + _PCAP_HEADER]))
            # The upper bits say whether frames end with a checksum (draft-ietf-opsawg-pcap, section 4).
            self.interfaces.append(InterfaceDescription(link & 0xFFFF, snaplen))
            return _PCAP_HEADER
        if first != struct.pack("<I", SECTION_HEADER):
            raise FormatError(f"{self._name} is no pcap or pcapng file; give one, or what gzip or zstd made of one")
        return self._describe(data, at, end)

    def _describe(self, data: Bytes, at: int, end: int) -> int:
        """Take a block that is no packet; bytes used, 0 if it is not complete."""
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
            self._order, self._section = order, len(self.interfaces)
        elif kind == INTERFACE_DESCRIPTION:
            self._add(describe.interface(body, order), at)
        elif kind == NAME_RESOLUTION:
            for address, name in islice(describe.names(body, order), NAMES_MAX - len(self.names)):
                self.names.setdefault(address, name)
        return int(total)

    def _add(self, interface: InterfaceDescription, at: int) -> None:
        if len(self.interfaces) == INTERFACES_MAX:
            raise self._damage(f"more than {INTERFACES_MAX:,} interfaces", at)
        number = len(self.interfaces) - self._section
        if number == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        exponent = interface.resolution & 0x7F
        row = self._table[number]
        row["snaplen"] = interface.snaplen
        row["multiply"], row["divide"], row["shift"] = 1, 1, 0  # a section before may have had its interface here
        if not interface.resolution & 0x80:
            row["multiply"] = 10 ** max(9 - exponent, 0)
            row["divide"] = 10 ** min(max(exponent - 9, 0), 18)
        elif exponent:
            row["shift"] = min(exponent, 62)
        else:
            row["multiply"] = 10**9
        # A time of this offset would not fit: it is a damaged file's.
        row["offset_ns"] = interface.offset_s * 10**9 if abs(interface.offset_s) < 1 << 33 else 0
        self.interfaces.append(interface)
