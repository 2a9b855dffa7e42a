"""Numbers -> a pcapng file of many short TCP sessions, interleaved: what the readers of bench.analysis read.

Each session is a request of 200 bytes and an answer of 20,000 in full segments, from the SYN to the last ACK; its
client has an address and a port of its own. All times grow; a round trip takes a millisecond.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.pcapng.blocks import InterfaceBlock, interfaces, section_header

SYN, ACK, PSH, FIN = 0x02, 0x10, 0x08, 0x01
SEGMENT, REQUEST, ANSWER = 1448, 200, 20_000
_STEP_NS = 100_000
# In an Enhanced Packet Block that holds Ethernet and IPv4: where the time, client's address and port are.
_PACKET = 28
_ADDRESSES, _PORTS = _PACKET + 14 + 12, _PACKET + 14 + 20


def _frame(up: bool, sequence: int, acknowledgment: int, flags: int, payload: int, tick: int) -> bytes:
    options = b"\x01\x01\x08\x0a" + struct.pack("!II", tick, max(tick - 1, 0))
    ports = (1, 80) if up else (80, 1)
    tcp = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledgment, 8 << 4, flags, 65535, 0, 0) + options
    ends = b"\x0a\1\0\1\x0a\2\0\1" if up else b"\x0a\2\0\1\x0a\1\0\1"
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp) + payload, 1, 0x4000, 64, 6, 0) + ends
    return bytes.fromhex("020000000001020000000002") + b"\x08\0" + ip + tcp + bytes(payload)


def _session() -> Iterator[tuple[bool, bytes]]:
    """Whether the client sent it, and the frame."""
    up, down, tick = 1000, 5000, 1

    def one(way: bool, flags: int, payload: int = 0) -> tuple[bool, bytes]:
        nonlocal up, down, tick
        tick += 1
        own, other = (up, down) if way else (down, up)
        frame = _frame(way, own, other if flags & ACK else 0, flags, payload, tick)
        moved = payload + bool(flags & (SYN | FIN))
        up, down = (up + moved, down) if way else (up, down + moved)
        return way, frame

    yield one(True, SYN)
    yield one(False, SYN | ACK)
    yield one(True, ACK)
    yield one(True, ACK | PSH, REQUEST)
    yield one(False, ACK)
    left = ANSWER
    while left:
        yield one(False, ACK | PSH, min(left, SEGMENT))
        left -= min(left, SEGMENT)
        if left // SEGMENT % 2 == 0:
            yield one(True, ACK)
    yield one(True, ACK | FIN)
    yield one(False, ACK | FIN)
    yield one(True, ACK)


def _blocks(up: bool, frame: bytes, group: int, round_: int, step: int, snaplen: int) -> npt.NDArray[np.uint8]:
    """One packet of each session of a round, as blocks: [group, bytes]."""
    kept = frame[:snaplen]
    total = 32 + len(kept) + -len(kept) % 4
    block = struct.pack("<IIIIIII", 6, total, 0, 0, 0, len(kept), len(frame)) + kept + bytes(-len(kept) % 4)
    out = np.tile(np.frombuffer(block + struct.pack("<I", total), np.uint8), (group, 1))
    session = round_ * group + np.arange(group, dtype=np.int64)

    def put(at: int, values: npt.NDArray[Any], kind: str) -> None:
        out[:, at : at + np.dtype(kind).itemsize] = values.astype(kind)[:, np.newaxis].view(np.uint8)

    times = 1_700_000_000 * 10**9 + (round_ * 64 + step) * group * _STEP_NS // 64 + np.arange(group) * _STEP_NS // 64
    put(12, times >> 32, "<u4")
    put(16, times & 0xFFFFFFFF, "<u4")
    put(_ADDRESSES + (0 if up else 4), 0x0A010000 + session // 50_000, ">u4")
    put(_PORTS + (0 if up else 2), 10_000 + session % 50_000, ">u2")
    return out


def write(path: Path, sessions: int, group: int = 500, snaplen: int = 262_144, first: int | None = None) -> int:
    """Write so many sessions, `group` of them open at a time, or of all only the `first` packets; their number."""
    packets = list(_session())[:first]
    with path.open("wb") as file:
        file.write(section_header(hardware="", os="", application="", comment=""))
        file.write(interfaces([InterfaceBlock("bench0")]))
        for round_ in range(sessions // group):
            for step, (up, frame) in enumerate(packets):
                _blocks(up, frame, group, round_, step, snaplen).tofile(file)
    return sessions // group * group * len(packets)
