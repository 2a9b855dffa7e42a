"""A set of capture files -> what is in each of them and in all, read here without any code of ours."""

import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

NAME = re.compile(r".*_(\d{5})_(20\d{12})\.(pcapng|pcapng\.zst)")
"""Name by which Wireshark recognises a file of a set (fileset.c): prefix, number, date and time, suffix."""
_PACKET, _STATISTICS = 6, 5
_COUNTS = {4: "received", 5: "dropped", 6: "accepted", 8: "delivered"}
"""isb_ifrecv, isb_ifdrop, isb_filteraccept, isb_usrdeliv."""
_TIMES = {2: "start_ns", 3: "end_ns"}
_HEADER, _TRAILER = 28, 16


@dataclass(frozen=True)
class Read:
    """One file, all of whose packets have one length: what they are, and its statistics blocks by interface."""

    times: np.ndarray[Any, Any]
    frames: np.ndarray[Any, Any]
    statistics: dict[int, dict[str, int]]
    size: int
    """Bytes of pcapng."""
    statistics_size: int
    """And of the statistics in them."""

    def sequence(self) -> np.ndarray[Any, Any]:
        """The conversations that FlowSender numbered: in the order of the file."""
        if len(self.frames) == 0:
            return np.empty(0, np.int64)
        address = self.frames[:, 26:30].astype(np.int64)
        return (address[:, 1] << 16) | (address[:, 2] << 8) | address[:, 3]


def is_compressed(file: Path) -> bool:
    """By its content: -w may name it anything."""
    with file.open("rb") as opened:
        return opened.read(4) == zstandard.FRAME_HEADER


def blocks_of(file: Path) -> bytes:
    """The content of a file; if it is compressed, it is one frame with an end, and nothing follows."""
    raw = file.read_bytes()
    if not is_compressed(file):
        return raw
    frame = zstandard.ZstdDecompressor().decompressobj()
    plain = frame.decompress(raw)
    assert frame.eof, "the frame has no end"
    assert not frame.unused_data, "something follows the frame"
    return plain


def read_file(file: Path) -> Read:
    """Section, interfaces, packets of one length, statistics: in this order, and nothing else."""
    raw = blocks_of(file)
    assert raw[:4] == b"\x0a\x0d\x0d\x0a"
    kinds, at = [], 0
    while at < len(raw) and (kind := _kind(raw, at)) not in (_PACKET, _STATISTICS):
        kinds.append(kind)
        at += _total(raw, at)
    assert kinds == [0x0A0D0D0A, *[1] * (len(kinds) - 1)]
    begin, packets = at, 0
    total = _total(raw, at)
    if _kind(raw, at) == _PACKET:
        words = np.frombuffer(raw, "<u4", (len(raw) - at) // total * (total // 4), at).reshape(-1, total // 4)
        same = (words[:, 0] == _PACKET) & (words[:, 1] == total)
        packets = len(words) if same.all() else int(np.argmin(same))
        assert (words[:packets, -1] == total).all()
    table = np.frombuffer(raw, np.uint8, packets * total, begin).reshape(packets, total)
    words = table.view("<u4") if packets else np.empty((0, total // 4), "<u4")
    captured = int(words[0, 5]) if packets else 0
    assert (words[:, 5] == captured).all()
    return Read(
        times=words[:, 3].astype(np.int64) << 32 | words[:, 4].astype(np.int64),
        frames=table[:, _HEADER : _HEADER + captured],
        statistics=dict(_statistics(raw, begin + packets * total)),
        size=len(raw),
        statistics_size=len(raw) - begin - packets * total,
    )


def _kind(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")


def _total(raw: bytes, at: int) -> int:
    total = int.from_bytes(raw[at + 4 : at + 8], "little")
    assert raw[at + total - 4 : at + total] == raw[at + 4 : at + 8], f"block at {at}: trailer is not the length"
    return total


def _statistics(raw: bytes, at: int) -> list[tuple[int, dict[str, int]]]:
    """Interface and counts of each block up to the end."""
    found = []
    while at < len(raw):
        total = _total(raw, at)
        kind, _, interface = struct.unpack_from("<III", raw, at)
        assert kind == _STATISTICS, f"block at {at} is of kind {kind}"
        option, counts = at + 20, {}
        while True:
            code, length = struct.unpack_from("<HH", raw, option)
            if code == 0:
                break
            if code in _COUNTS:
                counts[_COUNTS[code]] = struct.unpack_from("<Q", raw, option + 4)[0]
            if code in _TIMES:
                high, low = struct.unpack_from("<II", raw, option + 4)
                counts[_TIMES[code]] = high << 32 | low
            option += 4 + length + -length % 4
        found.append((interface, counts))
        at += total
    return found


def files_of(folder: Path) -> list[Path]:
    """The capture files in a folder, in the order of their numbers."""
    return sorted(path for path in folder.iterdir() if ".pcapng" in path.name and not path.name.endswith(".json"))


def packets_in(files: Sequence[Path]) -> list[int]:
    """How many packets capinfos finds in each; tcpdump and it accept every one of them whole."""
    shown = subprocess.run(["capinfos", "-Mrc", "-T", *map(str, files)], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    for file in files:
        if not is_compressed(file):  # libpcap knows no zstd
            # As root, or /dev/null would be the user tcpdump's from then on.
            read = ["tcpdump", "-Z", "root", "-n", "-r", str(file), "-w", "/dev/null"]
            dumped = subprocess.run(read, capture_output=True, text=True, check=False)
            assert dumped.returncode == 0, dumped.stderr
    return [int(line.split()[-1]) for line in shown.stdout.splitlines()]


def packets_shown(file: Path) -> int:
    """How many packets tshark reads; it looks into none of them, which would take minutes."""
    words = ["tshark", "-n", "-r", str(file), "--disable-protocol", "eth", "-q", "-z", "io,stat,0"]
    shown = subprocess.run(words, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    interval = re.search(r"<> *[\d.]+ *\| *(\d+) \|", shown.stdout)
    return int(interval[1]) if interval else 0
