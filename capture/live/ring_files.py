"""The files of a ring -> those that an incident needs, their names in it, and those that an earlier run has left."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from capture.analysis.packets.capture_parts import IN_SET
from capture.run.file_start import FileStart

INCIDENT_SUFFIX = ".pcapng"


@dataclass(frozen=True, slots=True)
class RingFile:
    """A file of the ring; of the one that grows, `size` is the most that it may have."""

    start: FileStart
    size: int


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file of an earlier run: its path, and its device and inode."""

    path: str
    identity: tuple[int, int]


def files_since(files: Sequence[RingFile], from_ns: int, room: int) -> Sequence[RingFile]:
    """Return the youngest files that meet the time from `from_ns` on, as many as fit `room`; at least the last one.

    A file has no packet that is older than the beginning of the file before it.
    """
    taken = size = 0
    for file in reversed(files):
        size += file.size
        if taken and size > room:
            break
        taken += 1
        if file.start.began_ns <= from_ns:
            break
    return files[len(files) - taken :]


def link_path(incident: str, file: str) -> str:
    """Return the path of a ring's file in an incident: files of one incident are a set for Wireshark and for us."""
    named = IN_SET.fullmatch(os.path.basename(file))
    if named is None:
        raise ValueError(f"{file} is not a file of a set")
    return f"{incident.removesuffix(INCIDENT_SUFFIX)}_{named[2]}_{named[3]}{INCIDENT_SUFFIX}"


def left_files(first: str) -> list[LeftFile]:
    """Return the files of earlier runs that have the names of a ring, oldest first; `first` is its first file now."""
    folder, name = os.path.split(first)
    named = IN_SET.fullmatch(name)
    if named is None:
        return []
    found = []
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            other = IN_SET.fullmatch(entry.name)
            same = other is not None and (other[1], other[4]) == (named[1], named[4])
            if other is not None and same and entry.name != name and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                path = os.path.join(folder, entry.name)
                found.append((other[3], other[2], LeftFile(path, (status.st_dev, status.st_ino))))
    return [file for _, _, file in sorted(found, key=lambda one: one[:2])]
