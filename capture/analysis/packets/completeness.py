"""A capture's account of itself -> whether a packet may have passed and be missing only from the file.

The best source is FILE.json beside a file that bicap wrote. The other source are the Interface Statistics Blocks at
the file's end, which are read backwards: every block ends with its length.
"""

import json
import os
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from capture.pcapng import describe
from capture.pcapng.blocks import BYTE_ORDER_MAGIC, INTERFACE_STATISTICS, SECTION_HEADER
from capture.pcapng.describe import Statistics
from capture.units import format_count
from capture.wire.direction import Direction

_SUMMARY_LIMIT = 1 << 24
"""Characters of FILE.json that are read at most; a summary of 1,024 interfaces has a tenth of that."""
_TRAILER_LIMIT = 1 << 20
"""Bytes at the file's end in which statistics blocks are searched."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """Requested packets that are not in the file, by reason; `only` is the direction if just one was requested.

    `known`: the capture left an account of its losses; without one all counts are 0.
    """

    known: bool = False
    lost: int = 0
    sampled_out: int = 0
    over_limit: int = 0
    only: str = ""

    @property
    def complete(self) -> bool:
        """True if the file is known to have all packets of both directions."""
        return self.known and not (self.lost or self.sampled_out or self.over_limit or self.only)

    def __str__(self) -> str:
        if not self.known:
            return "the file does not say whether the capture lost packets"
        counts = (
            ("lost", self.lost),
            ("sampled out", self.sampled_out),
            ("left out over the limit", self.over_limit),
        )
        parts = [f"{verb} {format_count(count, 'packet')}" for verb, count in counts if count]
        if self.only:
            parts.append(f"recorded only the {self.only} direction")
        return f"the capture {', '.join(parts) or 'lost nothing'}"


def completeness(name: str) -> Completeness:
    """Return the completeness of a file; unknown if the file has no account of it, or is "-"."""
    if name == "-" or not os.path.isfile(name):
        return Completeness()
    whole = from_summary_file(f"{name}.json")
    if whole is not None:
        return whole
    try:
        with open(name, "rb") as file:
            start = file.read(12)
            file.seek(max(os.path.getsize(name) - _TRAILER_LIMIT, 0))
            return from_statistics(statistics_at_end(start, file.read()))
    except OSError:
        return Completeness()


def of_all(parts: Sequence[Completeness]) -> Completeness:
    """Return the completeness of several files together."""
    return Completeness(
        known=all(part.known for part in parts),
        lost=sum(part.lost for part in parts),
        sampled_out=sum(part.sampled_out for part in parts),
        over_limit=sum(part.over_limit for part in parts),
        only=next((part.only for part in parts if part.only), ""),
    )


def from_summary_file(name: str, files: Collection[str] | None = None) -> Completeness | None:
    """Return what a summary says; None if there is none, or if it is not about `files` (names without folders)."""
    try:
        with open(name, encoding="utf-8") as file:
            summary = json.loads(file.read(_SUMMARY_LIMIT))
        if files is not None and {os.path.basename(one["path"]) for one in summary["files"]} != set(files):
            return None
        return from_summary(summary)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None  # no summary, or one of another program


def from_summary(summary: dict[str, Any]) -> Completeness:
    """Return what FILE.json says. Raises KeyError, TypeError, ValueError or OverflowError if it is invalid."""
    account, direction = summary["account"], Direction(summary["spec"]["direction"])
    return Completeness(
        known=True,
        lost=int(account["lost"]),
        sampled_out=int(account["sampled_out"]),
        over_limit=int(account["over_limit"]),
        only="" if direction is Direction.BOTH else direction.value,
    )


def from_statistics(blocks: Iterable[Statistics]) -> Completeness:
    """Return the completeness by statistics blocks, known only if one of them counts drops."""
    counts = [count for block in blocks for count in (block.dropped, block.dropped_by_os) if count is not None]
    return Completeness(known=bool(counts), lost=sum(counts))


def statistics_at_end(start: bytes, end: bytes) -> list[Statistics]:
    """Return the statistics blocks at the end of a pcapng file; `start` is its first 12 bytes, `end` its last."""
    if start[:4] != struct.pack("<I", SECTION_HEADER):
        return []
    order = "<" if start[8:12] == struct.pack("<I", BYTE_ORDER_MAGIC) else ">"
    blocks, at = [], len(end)
    while at >= 24:
        (total,) = struct.unpack_from(order + "I", end, at - 4)
        if total % 4 or not 24 <= total <= at:
            break
        kind, leading_total = struct.unpack_from(order + "II", end, at - total)
        if kind != INTERFACE_STATISTICS or leading_total != total:
            break
        blocks.append(describe.statistics(end[at - total + 8 : at - 4], order))
        at -= total
    return blocks
