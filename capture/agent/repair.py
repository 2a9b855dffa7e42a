"""A pcapng file of a killed capture -> the same, cut after its last whole block, with its packets counted."""

import os
import struct
from dataclasses import dataclass

_SECTION, _PACKET = 0x0A0D0D0A, 6
_HEADER = struct.Struct("<II")
_TRAILER = struct.Struct("<I")
_TIME = struct.Struct("<II")
_PIECE = 4 << 20
_BLOCK_MIN = 12


@dataclass(frozen=True, slots=True)
class Repaired:
    """A file after the repair. `last_ns` is the time of its last packet, or 0; `cut` are the bytes removed."""

    packets: int
    bytes: int
    last_ns: int
    cut: int


def repair(path: str) -> Repaired:
    """Cut a file of ours after its last whole block. Raises OSError.

    A file that is compressed is left as it is: readers read it up to its last whole block, and what is in it is not
    counted.
    """
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        if _HEADER.unpack(file.read(_HEADER.size).ljust(_HEADER.size, b"\0"))[0] != _SECTION:
            return Repaired(0, size, 0, 0)
        file.seek(0)
        packets, end, last_ns = _whole(file)
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
    return Repaired(packets, end, last_ns, size - end)


def _whole(file) -> tuple[int, int, int]:  # type: ignore[no-untyped-def]
    """Return the number of packets, the end of the last whole block, and the time of the last packet."""
    packets, position, last_ns = 0, 0, 0
    data = b""
    while True:
        more = file.read(_PIECE)
        data += more
        at = 0
        while at + _BLOCK_MIN <= len(data):
            kind, length = _HEADER.unpack_from(data, at)
            if length < _BLOCK_MIN or length % 4:
                return packets, position + at, last_ns
            if at + length > len(data):
                break
            if _TRAILER.unpack_from(data, at + length - 4)[0] != length:
                return packets, position + at, last_ns
            if kind == _PACKET:
                packets += 1
                high, low = _TIME.unpack_from(data, at + 12)
                last_ns = high << 32 | low
            at += length
        position, data = position + at, data[at:]
        if not more:
            return packets, position, last_ns
