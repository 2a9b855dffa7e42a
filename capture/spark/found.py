"""A path -> the captures in it, each with its files in order; and those files on this machine while they are read.

A path is a file, a folder or a pattern here, or a prefix in a store (s3://, gs://, az://; needs obstore). Files of a
store are brought into a temporary folder for as long as they are read. A capture that began another file from time to
time is one if its files have dumpcap's and bicap's names, and a file that is missing between two others is named.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from capture.analysis.packets.capture_parts import (
    files_of,
    is_capture_name,
    numbers_left_out,
    sets_of,
    summary_of_set,
)
from capture.errors import TargetError
from capture.lake.store import Store, is_remote

SUMMARY = ".json"
"""End of the name of a file's summary, which appears when the capture is complete."""


@dataclass(frozen=True, slots=True)
class FoundCapture:
    """The files of a capture, and the numbers of files of its set that are not there."""

    files: tuple[str, ...]
    missing: tuple[int, ...] = ()


def find(path: str, options: Mapping[str, str]) -> list[FoundCapture]:
    """Return the captures of a path. Raises TargetError, SpecError."""
    files = _remote_files(path, options) if is_remote(path) else files_of([path])
    return [FoundCapture(parts, numbers_left_out(parts)) for parts in sets_of(files)]


def _remote_files(path: str, options: Mapping[str, str]) -> list[str]:
    files = [name for name in Store(path, options).names() if is_capture_name(name)]
    if not files:
        raise TargetError(f"{path} has no capture files, whose names end like .pcap, .pcapng or .pcapng.zst")
    return files


@contextmanager
def at_hand(files: Sequence[str], options: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the names of these files on this machine. Raises TargetError for one that the store lacks."""
    if not any(map(is_remote, files)):
        yield list(files)
        return
    with tempfile.TemporaryDirectory(prefix="bicap-") as folder:
        brought = [_brought(file, folder, options) for file in files]
        for summary in summaries_of(files):
            with suppress(TargetError):  # most programs leave none
                _brought(summary, folder, options)
        yield brought


def summaries_of(files: Sequence[str]) -> list[str]:
    """Return the names that a FILE.json of these files may have."""
    of_set = summary_of_set(tuple(files))
    return ([of_set] if of_set else []) + [f"{file}{SUMMARY}" for file in files]


def _brought(file: str, folder: str, options: Mapping[str, str]) -> str:
    target = Path(folder) / os.path.basename(file)
    Store(file, options).fetch(file, target)
    return str(target)
