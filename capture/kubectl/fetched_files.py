"""Files on nodes -> the same files in a folder here, each compared with its SHA-256.

FOLDER/NODE/NAME.part grows range by range and becomes FOLDER/NODE/NAME when it is whole and its hash is right. So
whatever ends in the middle, a power cut included, the next run goes on where this one ended.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.errors import ApiError, FormatError, SinkError
from capture.kubectl.remote_files import RemoteFiles
from capture.retrieval.listed_files import CaptureListing, ListedFile, ListedNode

PART = ".part"
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file of a node that is here, whole."""

    node: str
    path: Path


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is not here, and why."""

    node: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.node}{f', {self.what}' if self.what else ''}: {self.why}"


def wanted_files(listing: CaptureListing) -> Iterator[tuple[ListedNode, ListedFile]]:
    """Yield the files that are whole on their nodes."""
    for node in listing.nodes:
        for file in node.files:
            if node.reachable and file.complete:
                yield node, file


def left_out(listing: CaptureListing) -> Iterator[LeftOut]:
    """Yield what cannot be fetched now."""
    for node in listing.nodes:
        if not node.reachable:
            yield LeftOut(node.node, "", node.unreachable or "its agent does not answer")
            continue
        if node.phase == "Failed":
            yield LeftOut(node.node, "", node.message or node.reason or "the capture failed there")
        elif node.reason == "AgentMissing":
            yield LeftOut(node.node, "", node.message or "its agent is missing")
        for file in node.files:
            if not file.complete:
                yield LeftOut(node.node, file.name, "is still being written")


def bytes_here(folder: Path, node: str, file: ListedFile) -> int:
    """Return how many bytes of a file are here already."""
    try:
        whole = _place(folder, node, file.name)
    except FormatError:  # fetch_file says so
        return 0
    for path in (whole, _part(whole)):
        if path.exists():
            return min(path.stat().st_size, file.bytes)
    return 0


def fetch_file(source: RemoteFiles, node: str, file: ListedFile, folder: Path, progress: Progress) -> FetchedFile:
    """Bring a file here; `progress` gets the number of bytes as they come. Raises BicapError."""
    whole = _place(folder, node, file.name)
    part = _part(whole)
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        if whole.exists() and _is(whole, file):
            return FetchedFile(node, whole)
        for attempt in range(2):
            if _fill(source, node, file, part, progress):
                part.replace(whole)
                return FetchedFile(node, whole)
            part.unlink()
            if attempt:
                break
            progress(-file.bytes)
    except OSError as error:
        raise SinkError(f"cannot write {part}: {error.strerror}; what is there already is kept") from None
    raise FormatError(f"{file.name} on {node} does not have its SHA-256; it was changed after the capture")


def _fill(source: RemoteFiles, node: str, file: ListedFile, part: Path, progress: Progress) -> bool:
    """Complete the part. Returns True if it has the file's hash."""
    digest = hashlib.sha256()
    with open(part, "a+b") as out:
        at = _hash(out, digest, file.bytes)
        out.truncate(at)
        while at < file.bytes:
            data = source.read(node, file, at)
            out.write(data)
            out.flush()
            digest.update(data)
            at += len(data)
            progress(len(data))
        os.fsync(out.fileno())
    return file.sha256 is None or digest.hexdigest() == file.sha256


def _hash(file: Any, digest: Any, most: int) -> int:
    """Add what a file has to a digest, at most so many bytes. Returns their number."""
    file.seek(0)
    at = 0
    while at < most:
        data = file.read(min(1 << 20, most - at))
        if not data:
            break
        digest.update(data)
        at += len(data)
    file.seek(at)
    return at


def _is(path: Path, file: ListedFile) -> bool:
    """True if a file that is here is the one that is wanted; without a hash its size must do."""
    if path.stat().st_size != file.bytes:
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        _hash(content, digest, file.bytes)
    return file.sha256 is None or digest.hexdigest() == file.sha256


def _part(whole: Path) -> Path:
    return whole.with_name(whole.name + PART)


def _place(folder: Path, node: str, name: str) -> Path:
    """Return where a file is put. Names come from elsewhere, and must not lead out of the folder."""
    for word in (node, name):
        if not word or "/" in word or "\0" in word or word in (".", ".."):
            raise FormatError(f"{word!r} is not the name of a node or of a file")
    return folder / node / name


def fetch_all(
    source: RemoteFiles, listing: CaptureListing, folder: Path, progress: Progress
) -> tuple[list[FetchedFile], list[LeftOut]]:
    """Bring all files here. A node whose files cannot be had is left out, the rest is kept."""
    fetched, missing, lost = [], list(left_out(listing)), set()
    for node, file in wanted_files(listing):
        if node.node in lost:
            continue
        try:
            fetched.append(fetch_file(source, node.node, file, folder, progress))
        except FormatError as error:
            missing.append(LeftOut(node.node, file.name, str(error)))
        except ApiError as error:
            if error.code not in (404, 503):  # nothing else can be had, either
                raise
            missing.append(LeftOut(node.node, file.name, str(error)))
            if error.code == 503:
                lost.add(node.node)
    return fetched, missing
