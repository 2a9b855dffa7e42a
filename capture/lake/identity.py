"""Captures and conversations -> numbers that are the same wherever they are computed.

A capture's number is made of its path and of the time of its first packet, so that what is read again replaces what
was written, and two captures do not. A conversation's is its Community ID (capture.wire.conversation_ends).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from capture.analysis.packets.capture_parts import captures_of, files_of, name_of
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.gathered import Gathered
from capture.analysis.packets.reading import Batch
from capture.lake.named_points import Points
from capture.wire.conversation_ends import community_id_of

_UNKNOWN = "unknown"
_LOW = (1 << 64) - 1


@dataclass(slots=True)
class Origin:
    """The capture that rows are of: what they say about it. `watch` its batches before rows are made."""

    name: str
    place: str
    """Path, the same from every folder."""
    points: Points
    completeness: Completeness
    first_ns: int | None = None
    """Time of the first packet."""

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Return the batches, and learn the time of the first packet."""
        for batch in batches:
            if self.first_ns is None:
                self.first_ns = int(batch.packets["time_ns"][0])
            yield batch

    @property
    def number(self) -> str:
        """Number of the capture: 16 hexadecimal digits."""
        first = _UNKNOWN if self.first_ns is None else self.first_ns
        return sha256(f"{self.place}\0{first}".encode()).hexdigest()[:16]


def place_of(words: Iterable[str]) -> str:
    """Return the path of the captures that words of a command line name. Raises TargetError."""
    names = (name_of(parts) for parts in captures_of(files_of(list(words))))
    return "\0".join(name if name == "-" or "://" in name else os.path.abspath(name) for name in names)


def together(origins: Sequence[Origin], completeness: Completeness) -> Origin:
    """Return the origin of rows that are about several captures together."""
    if len(origins) == 1:
        return origins[0]
    nodes = {origin.points.only_node for origin in origins}
    return Origin(
        name=", ".join(origin.name for origin in origins),
        place="\0".join(origin.place for origin in origins),
        points=Points(Gathered(), nodes.pop() if len(nodes) == 1 else ""),
        completeness=completeness,
        first_ns=min((origin.first_ns for origin in origins if origin.first_ns is not None), default=None),
    )


def community_id(
    family: int, protocol: int, client: tuple[int, int, int], server: tuple[int, int, int]
) -> str | None:
    """Return the Community ID of a session between two ends (address in two halves, port).

    ICMP is taken to be an echo. None for packets that are not IP.
    """
    if not family:
        return None
    size = 4 if family == 4 else 16
    ends = ((_number(family, *end[:2]).to_bytes(size), end[2]) for end in (client, server))
    return community_id_of(protocol, *ends)


def _number(family: int, high: int, low: int) -> int:
    return low & 0xFFFFFFFF if family == 4 else (high & _LOW) << 64 | low & _LOW
