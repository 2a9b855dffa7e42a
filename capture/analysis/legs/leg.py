"""What is known of a leg: the way from a point to the next, its packets, delays and losses."""

from dataclasses import dataclass, field

from capture.analysis.latency.histogram import Histogram
from capture.analysis.legs.clocks import Offset
from capture.analysis.legs.observe import Point


@dataclass(slots=True)
class Leg:
    """From a point to the next, in this direction.

    `lost` are numbers of packets in the file of `source`. `delays` are exact where `clock` is None, else each of them
    is right to its uncertainty. `early` counts packets that arrived before they left, whatever is uncertain: then
    the times of `source` and `target` contradict each other. `unplaced` were paired, but their time says nothing.
    """

    source: Point
    target: Point
    paired: int = 0
    doubtful: int = 0
    early: int = 0
    unplaced: int = 0
    delays: Histogram = field(default_factory=Histogram)
    clock: Offset | None = None
    lost: list[int] = field(default_factory=list)
    not_captured: int = 0
    resegmented: int = 0
    undecided: int = 0
    "seen at the beginning, while the capture at the end had not begun, or was over"

    @property
    def share_lost(self) -> float:
        """Of the packets that began the leg, and of which it is known what became of them."""
        return len(self.lost) / max(self.paired + len(self.lost), 1)


@dataclass(frozen=True, slots=True)
class Alone:
    """Packets at a point of whose session, or of whose direction in it, no other point saw anything."""

    point: Point
    packets: int
