"""Words of a command line -> capture files, those of one capture together and in order.

A word is a file, a folder (its capture files), a pattern, or the name that -w had for a set of files. A capture that
begins another file from time to time leaves parts. Files are parts of one capture if their names say so: those of
dumpcap and bicap (out_00001_20261124230551.pcapng, out_00002_...); or names that differ only in numbers (tcpdump's
out.pcap, out.pcap1) if their times do not overlap, for node1.pcap and node2.pcap are two captures. To find out, the
latter are read once.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from itertools import pairwise, takewhile
from pathlib import Path

from capture.analysis.packets.completeness import Completeness, completeness, from_summary_file, of_all
from capture.analysis.packets.reading import CaptureFile
from capture.errors import FormatError, TargetError

_SUFFIXES = re.compile(r"\.(pcap|pcapng|cap|ntar)\d*(\.(gz|zst|zstd))?$", re.IGNORECASE)
"""End of the name of a capture file in a folder."""
IN_SET = re.compile(r"(.*)_(\d{5})_(\d{14})(\..*)?")
"""A name of dumpcap's: stem, number, local time, suffix."""
_DIGITS = re.compile(r"\d+")

Parts = tuple[str, ...]
"""Files of one capture, in order."""


def files_of(words: Sequence[str]) -> list[str]:
    """Return the files that words name, each once. Raises TargetError for a folder or pattern without any."""
    return list(dict.fromkeys(file for word in words for file in _files(word)))


def is_capture_name(name: str) -> bool:
    """True if a file of this name in a folder is a capture file."""
    return _SUFFIXES.search(name) is not None


def _files(word: str) -> list[str]:
    if os.path.isdir(word):
        found = sorted(str(path) for path in Path(word).iterdir() if is_capture_name(path.name) and path.is_file())
        if not found:
            raise TargetError(f"{word} has no capture files, whose names end like .pcap, .pcapng or .pcapng.zst")
        return found
    if word != "-" and not os.path.exists(word) and any(letter in word for letter in "*?["):
        found = sorted(name for name in glob(word) if os.path.isfile(name) and not name.endswith(".json"))
        if not found:
            raise TargetError(f"no file matches {word}")
        return found
    return [word] if word == "-" or os.path.exists(word) else _set_called(word) or [word]


def _set_called(word: str) -> list[str]:
    """Return the files of the set that a capture wrote with `-w WORD`; none if there is no such set."""
    folder, name = os.path.split(word)
    start = next((name[: -len(end)] for end in (".pcapng.zst", ".pcapng.zstd") if name.endswith(end)), "")
    start = start or os.path.splitext(name)[0]
    end = name[len(start) :]
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    named = ((other, IN_SET.fullmatch(other)) for other in names)
    return sorted(os.path.join(folder, other) for other, it in named if it and (it[1], it[4] or "") == (start, end))


def captures_of(files: Sequence[str]) -> list[Parts]:
    """Return the files by capture, captures in order of their first file in `files`."""
    place = {file: at for at, file in enumerate(files)}
    found = [parts for group in _alike(files).values() for parts in _parts(group)]
    return sorted(found, key=lambda parts: min(place[file] for file in parts))


def sets_of(files: Sequence[str]) -> list[Parts]:
    """Return the files by capture as their names alone say, without reading any: only dumpcap's names make a set."""
    found: list[Parts] = []
    for group in _alike(files).values():
        named = all(IN_SET.fullmatch(os.path.basename(file)) for file in group)
        found += _parts(group) if named else ((file,) for file in group)
    return found


def numbers_left_out(parts: Parts) -> tuple[int, ...]:
    """Return the numbers that are missing between the first and the last file of a set."""
    numbers = [int(named[2]) for file in parts if (named := IN_SET.fullmatch(os.path.basename(file)))]
    return tuple(sorted(set(range(min(numbers), max(numbers))) - set(numbers))) if numbers else ()


def summary_of_set(parts: Parts) -> str | None:
    """Return the name of the FILE.json of a set, None for other files."""
    named = IN_SET.fullmatch(parts[0])
    return f"{named[1]}{named[4] or ''}.json" if named else None


def _alike(files: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Return the files by what their names have in common."""
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for file in files:
        folder, name = os.path.split(file)
        named = IN_SET.fullmatch(name)
        key = (folder, named[1], named[4] or "") if named else (folder, _DIGITS.sub("", name))
        alike[key].append(file)
    return alike


def _parts(group: Sequence[str]) -> Iterator[Parts]:
    if len(group) == 1:
        yield tuple(group)
        return
    named = [IN_SET.fullmatch(os.path.basename(file)) for file in group]
    if all(named):
        in_order = sorted(zip(named, group, strict=True), key=lambda one: one[0].group(3, 2) if one[0] else ())
        yield tuple(file for _, file in in_order)
        return
    spans = {file: _span(file) for file in group}
    ordered = sorted((file for file in group if spans[file]), key=lambda file: spans[file] or ())
    last = [spans[file] for file in ordered]
    if all(before[1] <= after[0] for before, after in pairwise(last) if before and after):
        empty = [file for file in group if not spans[file]]
        yield (*ordered, *empty)
    else:
        yield from ((file,) for file in group)


def _span(file: str) -> tuple[int, int] | None:
    """Return the times of a file's first and last packet, ns; None if it has no packets or cannot be read."""
    first = last = None
    if not os.path.isfile(file):
        return None
    try:
        with CaptureFile(file, decoded=False) as capture:
            for batch in capture:
                times = batch.packets["time_ns"]
                first = int(times[0]) if first is None else first
                last = int(times[-1])
    except (FormatError, TargetError):
        pass  # reading it for the answer reports this
    return None if first is None or last is None else (first, last)


def name_of(parts: Parts) -> str:
    """Return a name for all parts together: that of the only one, or a pattern with * where they differ."""
    if len(parts) == 1:
        return parts[0]
    named = IN_SET.fullmatch(parts[0])
    if named:
        return f"{named[1]}_*{named[4] or ''}"
    start = _common(parts)
    return f"{start}*{_common([part[len(start) :][::-1] for part in parts])[::-1]}"


def _common(texts: Sequence[str]) -> str:
    """Return the start that all texts have in common."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in alike)


def completeness_of(parts: Parts) -> Completeness:
    """Return the completeness of all parts together: by the summary of their set if it is about them."""
    summary = summary_of_set(parts)
    if summary is not None:
        whole = from_summary_file(summary, {os.path.basename(part) for part in parts})
        if whole is not None:
            return whole
    return of_all([completeness(part) for part in parts])


def completeness_of_all(words: Sequence[str]) -> Completeness:
    """Return the completeness of all captures that words name."""
    return of_all([completeness_of(parts) for parts in captures_of(files_of(words))])
