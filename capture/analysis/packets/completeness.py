"""What a capture says of itself -> whether a packet that is missing may be missing from the file alone.

FILE.json, beside a file of bicap's, says it best. Else the Interface Statistics Blocks at the file's end do, which
are read from there backwards: every block ends with its length.
"""

import json
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from capture.pcapng import describe
from capture.pcapng.blocks import BYTE_ORDER_MAGIC, INTERFACE_STATISTICS, SECTION_HEADER
from capture.pcapng.describe import Statistics
from capture.wire.direction import Direction

_SUMMARY_LIMIT = 1 << 24
"""Characters: that of 1,024 interfaces has a tenth."""
_TRAILER_LIMIT = 1 << 20
"""Statistics blocks are looked for in so many bytes at the end."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """Packets that were asked for and are not in the file; `only` is the one direction that was asked for."""

    known: bool = False
    lost: int = 0
    sampled_out: int = 0
    over_limit: int = 0
    only: str = ""

    @property
    def complete(self) -> bool:
        """Whether the file is known to have all packets of both directions."""
        return self.known and not (self.lost or self.sampled_out or self.over_limit or self.only)

    def __str__(self) -> str:
        if not self.known:
            return "the file does not say whether the capture lost packets"
        counts = (
            (self.lost, "lost"),
            (self.sampled_out, "sampled out"),
            (self.over_limit, "over the limit"),
        )
        parts = [f"{count:,} packet{' was' if count == 1 else 's were'} {what}" for count, what in counts if count]
        if self.only:
            parts.append(f"only the {self.only} direction was captured")
        return f"in the capture {', '.join(parts)}" if parts else "the capture lost nothing"


def completeness(name: str) -> Completeness:
    """What is known of a file, "-" included: nothing is an answer too."""
    if name == "-" or not os.path.isfile(name):
        return Completeness()
    try:
        with open(f"{name}.json", encoding="utf-8") as summary:
            return from_summary(json.loads(summary.read(_SUMMARY_LIMIT)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        pass  # none, or not bicap's
    try:
        with open(name, "rb") as file:
            start = file.read(12)
            file.seek(max(os.path.getsize(name) - _TRAILER_LIMIT, 0))
            return from_statistics(statistics_at_end(start, file.read()))
    except OSError:
        return Completeness()


def of_all(parts: Sequence[Completeness]) -> Completeness:
    """What is known of several files together."""
    return Completeness(
        known=all(part.known for part in parts),
        lost=sum(part.lost for part in parts),
        sampled_out=sum(part.sampled_out for part in parts),
        over_limit=sum(part.over_limit for part in parts),
        only=next((part.only for part in parts if part.only), ""),
    )


def from_summary(summary: dict[str, Any]) -> Completeness:
    """FILE.json -> what it says. Raises KeyError, TypeError, ValueError or OverflowError if that is no summary."""
    account, direction = summary["account"], Direction(summary["spec"]["direction"])
    return Completeness(
        known=True,
        lost=int(account["lost"]),
        sampled_out=int(account["sampled_out"]),
        over_limit=int(account["over_limit"]),
        only="" if direction is Direction.BOTH else direction.value,
    )


def from_statistics(blocks: Iterable[Statistics]) -> Completeness:
    """Statistics blocks -> drops; known only if one of them counts drops."""
    counts = [count for block in blocks for count in (block.dropped, block.dropped_by_os) if count is not None]
    return Completeness(known=bool(counts), lost=sum(counts))


def statistics_at_end(start: bytes, end: bytes) -> list[Statistics]:
    """The statistics blocks that a pcapng file ends with; `start` is its first 12 bytes, `end` its last."""
    if start[:4] != struct.pack("<I", SECTION_HEADER):
        return []
    order = "<" if start[8:12] == struct.pack("<I", BYTE_ORDER_MAGIC) else ">"
    found, at = [], len(end)
    while at >= 24:
        (total,) = struct.unpack_from(order + "I", end, at - 4)
        if total % 4 or not 24 <= total <= at:
            break
        kind, again = struct.unpack_from(order + "II", end, at - total)
        if kind != INTERFACE_STATISTICS or again != total:
            break
        found.append(describe.statistics(end[at - total + 8 : at - 4], order))
        at -= total
    return found
