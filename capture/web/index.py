"""A capture that was read -> a file beside it, FILE.bicap-index; and back, so that it opens at once the next time.

The index has the rows of the sessions, what is kept of each packet, the places of the batches, and the findings. It
is for one state of the file (size, time, first and last bytes) and one way of reading it, and is left out of account
otherwise; it holds nothing that is not in the file. An index of another user is not read: its numbers are trusted.
An index that was cut or written over at an edge of its parts is not read either, decision 0052 says what is checked.

    magic, length of the head (8 bytes), digest of the head (16), head (JSON), then arrays, each at a multiple of 8
"""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.diagnose.trouble import Evidence, Finding
from capture.analysis.packets.reading import CaptureFile
from capture.analysis.sessions.session_table import SESSION
from capture.arrays.aliases import Table
from capture.arrays.texts import TEXTS
from capture.errors import BicapError
from capture.pcapng.reader import Reader
from capture.web.growing import GrowingTable
from capture.web.opened import SEEN_PACKET, Opened

SUFFIX = ".bicap-index"
_MAGIC = b"bicap-ix"
_VERSION = 2
_START = len(_MAGIC) + 8 + 16
_EDGE = 4096
_FREE_SHARE = 10
"""An index takes at most this part of the free space beside the file, 1 / n."""
_TEXTS = ("application", "server_name", "alpn", "http_method", "http_host", "http_path", "dns_name")
WORTH = 20_000
"""Packets from which on an index is written; fewer are read in less than a tenth of a second."""


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _edges(array: npt.NDArray[Any]) -> str:
    """Return a digest of the first and the last bytes of an array."""
    data = np.ascontiguousarray(array).view(np.uint8)
    return _digest(data[:_EDGE].tobytes() + data[-_EDGE:].tobytes()).hex()


def stamp(opened: Opened) -> dict[str, Any]:
    """Return what must be the same for an index to be right; empty for a capture that can have none."""
    if len(opened.files) != 1 or opened.live:
        return {}
    (name,) = opened.files
    with open(name, "rb") as file:
        found = os.fstat(file.fileno())
        start = file.read(_EDGE)
        file.seek(max(found.st_size - _EDGE, 0))
        edges = _digest(start + file.read(_EDGE)).hex()
    return {
        "version": _VERSION,
        "size": found.st_size,
        "changed_ns": found.st_mtime_ns,
        "edges": edges,
        "across": opened.across_interfaces,
        "inner": opened.inner,
        "rows": blake2b(repr((SESSION.descr, SEEN_PACKET.descr)).encode(), digest_size=16).hexdigest(),
    }


def _path(opened: Opened) -> Path:
    return Path(opened.files[0] + SUFFIX)


def is_possible(opened: Opened) -> bool:
    """True for one plain file, of which all interfaces are described before the first packet."""
    return len(opened.files) == 1 and opened.places.usable and not opened.live


def write(opened: Opened, before: dict[str, Any]) -> None:
    """Write the index of a capture that was read to its end; where the folder cannot be written, nothing is.

    `before` is the stamp from before it was read: a file that changed meanwhile gets no index.
    """
    described = opened.description
    if not is_possible(opened) or len(opened.packets) < WORTH or not isinstance(described, Reader):
        return
    with suppress(OSError):
        if stamp(opened) == before:
            _write(opened, described, before)


def _write(opened: Opened, described: Reader, before: dict[str, Any]) -> None:
    arrays = {
        "sessions": opened.sessions.rows,
        "ended": opened.ended[: opened.count],
        "packets": opened.packets.rows,
        "place_packets": np.array(opened.places.packets, np.int64),
        "place_bytes": np.array(opened.places.bytes, np.int64),
    }
    head = {
        "stamp": before,
        "interfaces": len(described.interfaces),
        "names": len(described.names),
        "sections": described.sections,
        "texts": TEXTS.since(2),
        "facts": {name: getattr(opened, name) for name in _FACTS},
        "findings": [asdict(finding) for finding in opened.findings],
        "arrays": [[name, len(array), _edges(array)] for name, array in arrays.items()],
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    target = _path(opened)
    size = _START + len(text) + sum(array.nbytes for array in arrays.values())
    if size > shutil.disk_usage(target.parent).free // _FREE_SHARE:
        return
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".bicap-index-", delete=False) as file:
        try:
            file.write(_MAGIC + len(text).to_bytes(8, "little") + _digest(text) + text)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array).data)
                file.write(bytes(-array.nbytes % 8))
            file.flush()
            os.replace(file.name, target)
        except OSError:
            os.unlink(file.name)


_FACTS = ("first_ns", "last_ns", "bytes", "waits", "notes", "damage")


def open_or_read(opened: Opened) -> None:
    """Open a capture by its index; without one begin to read it, and write the index at the end."""
    if read(opened):
        opened.finish()
    else:
        before = stamp(opened)
        opened.start(then=lambda complete: write(complete, before))


def read(opened: Opened) -> bool:
    """Fill an opened capture from its index; return False if there is none that is right."""
    try:
        return len(opened.files) == 1 and not opened.live and _read(opened)
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError, BicapError):
        return False  # damaged, or of another version: the file itself is read


def _read(opened: Opened) -> bool:
    path = _path(opened)
    with open(path, "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_uid not in (0, os.geteuid()) or file.read(8) != _MAGIC:
            return False
        length, digest = int.from_bytes(file.read(8), "little"), file.read(16)
        if length > found.st_size - _START or _digest(text := file.read(length)) != digest:
            return False
        head = json.loads(text)
        at = file.tell()
    if head["stamp"] != stamp(opened):
        return False
    dtypes = {"sessions": SESSION, "ended": np.dtype(np.bool_), "packets": SEEN_PACKET}
    arrays: dict[str, Table] = {}
    for name, length, edges in head["arrays"]:
        dtype = dtypes.get(name, np.dtype(np.int64))
        arrays[name] = np.memmap(path, dtype, "c", at, (length,)) if length else np.zeros(0, dtype)
        if _edges(arrays[name]) != edges:
            return False
        at += length * dtype.itemsize + -length * dtype.itemsize % 8
    findings = [
        Finding(**{**finding, "evidence": [Evidence(**one) for one in finding["evidence"]]})
        for finding in head["findings"]
    ]
    _name_texts(arrays["sessions"], head["texts"])
    if at != found.st_size or not _described(opened, head):
        return False
    opened.sessions.close()
    opened.packets.close()
    opened.sessions, opened.packets = GrowingTable.of(arrays["sessions"]), GrowingTable.of(arrays["packets"])
    opened.ended = np.asarray(arrays["ended"])
    opened.places.packets = arrays["place_packets"].tolist()
    opened.places.bytes = arrays["place_bytes"].tolist()
    for name in _FACTS:
        setattr(opened, name, head["facts"][name])
    opened.findings = findings
    return True


def _described(opened: Opened, head: dict[str, Any]) -> bool:
    """Read the descriptions at the file's start; return False if there are more of them further on."""
    capture = CaptureFile(opened.files[0], opened.inner)
    with capture:
        for _ in capture:
            break
    described = capture.description
    found = (len(described.interfaces), len(described.names), described.sections)
    if found != (head["interfaces"], head["names"], head["sections"]):
        return False  # opened.capture is not begun, so the file can still be read by it
    opened.close_capture()
    opened.capture = capture
    return True


def _name_texts(sessions: Table, texts: list[str]) -> None:
    """Give the texts of the rows the numbers that they have in this process."""
    numbers = np.array([0, 1, *map(TEXTS.number, texts)], np.uint32)
    if (numbers == np.arange(len(numbers))).all():
        return
    for name in _TEXTS:
        sessions[name] = numbers[sessions[name]]
