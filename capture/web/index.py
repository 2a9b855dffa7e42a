"""A capture that was read -> a file beside it, FILE.bicap-index; and back, so that it opens at once the next time.

The index has the rows of the sessions, what is kept of each packet, the places of the batches, and the findings. It
is for one state of the file (size, time, first and last bytes) and one way of reading it, and is left out of account
otherwise; it holds nothing that is not in the file. An index of another user is not read: its numbers are trusted.

    magic, length of the head (8 bytes), head (JSON), then arrays, each at a multiple of 8
"""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

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
_VERSION = 1
_TEXTS = ("application", "server_name", "alpn", "http_method", "http_host", "http_path", "dns_name")
WORTH = 20_000
"""Packets from which on an index is written; fewer are read in less than a tenth of a second."""


def _stamp(opened: Opened) -> dict[str, Any]:
    """Return what must be the same for an index to be right."""
    (name,) = opened.files
    found = os.stat(name)
    with open(name, "rb") as file:
        start = file.read(4096)
        file.seek(max(found.st_size - 4096, 0))
        edges = blake2b(start + file.read(4096), digest_size=16).hexdigest()
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


def write(opened: Opened) -> None:
    """Write the index of a capture that was read to its end; where the folder cannot be written, nothing is."""
    described = opened.description
    if not is_possible(opened) or len(opened.packets) < WORTH or not isinstance(described, Reader):
        return
    arrays = {
        "sessions": opened.sessions.rows,
        "ended": opened.ended[: opened.count],
        "packets": opened.packets.rows,
        "place_packets": np.array(opened.places.packets, np.int64),
        "place_bytes": np.array(opened.places.bytes, np.int64),
    }
    head = {
        "stamp": _stamp(opened),
        "interfaces": len(described.interfaces),
        "names": len(described.names),
        "sections": described.sections,
        "texts": TEXTS.since(2),
        "facts": {name: getattr(opened, name) for name in _FACTS},
        "findings": [asdict(finding) for finding in opened.findings],
        "arrays": [[name, len(array)] for name, array in arrays.items()],
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    target = _path(opened)
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(dir=target.parent, prefix=".bicap-index-", delete=False) as file,
    ):
        try:
            file.write(_MAGIC + len(text).to_bytes(8, "little") + text)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array).data)
                file.write(bytes(-array.nbytes % 8))
            file.flush()
            os.replace(file.name, target)
        except OSError:
            os.unlink(file.name)


_FACTS = ("first_ns", "last_ns", "bytes", "waits", "notes", "damage")


def read(opened: Opened) -> bool:
    """Fill an opened capture from its index; return False if there is none that is right."""
    try:
        return len(opened.files) == 1 and not opened.live and _read(opened)
    except (OSError, ValueError, KeyError, TypeError, IndexError, BicapError):
        return False  # damaged, or of another version: the file itself is read


def _read(opened: Opened) -> bool:
    path = _path(opened)
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_uid not in (0, os.geteuid()) or file.read(8) != _MAGIC:
            return False
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        at = file.tell()
    if head["stamp"] != _stamp(opened):
        return False
    dtypes = {"sessions": SESSION, "ended": np.dtype(np.bool_), "packets": SEEN_PACKET}
    arrays: dict[str, Table] = {}
    for name, length in head["arrays"]:
        dtype = dtypes.get(name, np.dtype(np.int64))
        arrays[name] = np.memmap(path, dtype, "c", at, (length,)) if length else np.zeros(0, dtype)
        at += length * dtype.itemsize + -length * dtype.itemsize % 8
    if not _described(opened, head):
        return False
    _name_texts(arrays["sessions"], head["texts"])
    opened.sessions, opened.packets = GrowingTable.of(arrays["sessions"]), GrowingTable.of(arrays["packets"])
    opened.ended = np.asarray(arrays["ended"])
    opened.places.packets = arrays["place_packets"].tolist()
    opened.places.bytes = arrays["place_bytes"].tolist()
    for name in _FACTS:
        setattr(opened, name, head["facts"][name])
    opened.findings = [
        Finding(**{**finding, "evidence": [Evidence(**one) for one in finding["evidence"]]})
        for finding in head["findings"]
    ]
    return True


def _described(opened: Opened, head: dict[str, Any]) -> bool:
    """Read the descriptions at the file's start; return False if there are more of them further on."""
    capture = CaptureFile(opened.files[0], opened.inner)
    with capture:
        for _ in capture:
            break
    described = capture.description
    opened.capture = capture
    return (len(described.interfaces), len(described.names), described.sections) == (
        head["interfaces"],
        head["names"],
        head["sections"],
    )


def _name_texts(sessions: Table, texts: list[str]) -> None:
    """Give the texts of the rows the numbers that they have in this process."""
    numbers = np.array([0, 1, *map(TEXTS.number, texts)], np.uint32)
    if (numbers == np.arange(len(numbers))).all():
        return
    for name in _TEXTS:
        sessions[name] = numbers[sessions[name]]
