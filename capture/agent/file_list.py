"""The folder of a capture -> its files as users may fetch them, and the bytes of one.

Only names of the list are opened: a name that comes from elsewhere is compared with it, and never becomes a path.
"""

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from capture.agent.folder import CaptureFolder
from capture.agent.state import CaptureRecord, PartRecord
from capture.live.incident_folder import incident_summary, is_incident
from capture.retrieval.byte_ranges import PIECE_MOST, WantedRange
from capture.retrieval.listed_files import ListedFile
from capture.retrieval.orders import AnswerHead, Order
from capture.sink.place import summary_path


def listed_files(folder: CaptureFolder) -> list[ListedFile] | None:
    """Return all files of a capture, also of the part that runs; None if nothing is known of the capture here."""
    record = folder.load()
    return None if record is None else list(_of_parts(folder, record))


def _of_parts(folder: CaptureFolder, record: CaptureRecord) -> Iterator[ListedFile]:
    for part in record.parts:
        if not part.recorder:
            yield from _of_part(folder, part)
    yield from _incidents(folder, record)


def _incidents(folder: CaptureFolder, record: CaptureRecord) -> Iterator[ListedFile]:
    """Yield the incidents of a recorder and their JSON."""
    runs = any(part.ended is None for part in record.parts)
    for name in sorted(path.name for path in folder.path.iterdir() if is_incident(path.name)):
        path, about = folder.path / name, folder.path / summary_path(name)
        with contextlib.suppress(FileNotFoundError):  # removed a moment ago
            summary = incident_summary(str(path))
            yield ListedFile(
                name=name,
                bytes=path.stat().st_size,
                sha256=record.digests.get(name),
                complete=bool(summary.get("complete")) or not runs,
                first=_moment(summary.get("began_ns")),
                last=_moment(summary.get("ended_ns")),
            )
            content = about.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            yield ListedFile(
                name=about.name, bytes=len(content), sha256=digest, complete=bool(summary.get("complete")) or not runs
            )


def _moment(ns: Any) -> datetime | None:
    return datetime.fromtimestamp(ns / 1e9, UTC) if isinstance(ns, int) else None


def _of_part(folder: CaptureFolder, part: PartRecord) -> Iterator[ListedFile]:
    known = {file.name: file for file in part.files}
    paths = [Path(path) for path in folder.paths(part)]
    ended = part.ended is not None
    for path in paths:
        file = known.get(path.name)
        with contextlib.suppress(FileNotFoundError):  # rotated away a moment ago
            size = path.stat().st_size
            if file is not None:
                yield ListedFile(
                    name=path.name,
                    bytes=size,
                    sha256=file.sha256,
                    complete=ended,
                    first=file.first,
                    last=file.last,
                )
            else:
                yield ListedFile(name=path.name, bytes=size, complete=ended or path != paths[-1])
    summary = Path(summary_path(str(folder.path / part.file)))
    with contextlib.suppress(FileNotFoundError):  # of a part that runs, or was killed
        content = summary.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        yield ListedFile(name=summary.name, bytes=len(content), sha256=digest, complete=True)


def file_answer(folder: CaptureFolder, order: Order) -> tuple[AnswerHead, bytes]:
    """Return what an order for a file, `stat` or `read`, gets."""
    record = folder.load()
    # Only as far as needed: a file is asked for in many ranges, and summaries are hashed for the list.
    files = () if record is None else _of_parts(folder, record)
    listed = next((file for file in files if file.name == order.name), None)
    if listed is None:
        return AnswerHead(404, f"the capture has no file {order.name[:200]!r} on this node"), b""
    try:
        descriptor = os.open(folder.path / listed.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return AnswerHead(404, f"{listed.name}: {error.strerror}"), b""
    with open(descriptor, "rb", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        head = AnswerHead(size=size, sha256=listed.sha256 or "")
        if order.verb == "stat":
            return head, b""
        wanted = _wanted(order, head)
        if wanted is None:
            offset, length = 0, min(size, PIECE_MOST)
        else:
            found = wanted.within(size)
            if found is None:
                return AnswerHead(416, f"{listed.name} has {size} bytes", size), b""
            offset, length = found
        data = _read(file.fileno(), offset, length)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    head = msgspec.structs.replace(
        head, status=200 if wanted is None else 206, offset=offset, length=len(data), digest=digest
    )
    return head, data


def _wanted(order: Order, head: AnswerHead) -> WantedRange | None:
    """Return the range; None for the whole file, also if the range was for a file that was another then."""
    if order.first is None and order.last is None:
        return None
    if order.if_range and order.if_range != f'"{head.sha256}"':
        return None
    return WantedRange(order.first, order.last)


def _read(descriptor: int, offset: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, offset)):
        pieces.append(piece)
        offset, length = offset + len(piece), length - len(piece)
    return b"".join(pieces)
