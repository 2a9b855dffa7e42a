"""Types: a leg with its packets, delays and losses, and packets that no leg could be found for."""

from dataclasses import dataclass, field

from capture.analysis.latency.histogram import Histogram
from capture.analysis.legs.clocks import Offset
from capture.analysis.legs.observe import Point
from capture.wire.drop_reasons import KernelReason


@dataclass(slots=True)
class Leg:
    """The path from a point to the next one, in this direction. All numbers count packets.

    `lost` are packet numbers in the file of `source`. `delays` are exact if `clock` is None, else within its
    uncertainty. `early` packets arrived before they left by more than the uncertainty: the times of `source` and
    `target` contradict each other. `unplaced` packets were paired, but the offset of the clocks was unknown then.
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
    reasons: dict[KernelReason, int] = field(default_factory=dict)
    """Lost packets for which the kernel of a node gave a reason, the most frequent first."""
    not_captured: int = 0
    resegmented: int = 0
    undecided: int = 0
    """Packets seen at the beginning while the capture at the end was not running."""

    @property
    def share_lost(self) -> float:
        """Share lost of the packets that entered the leg and whose fate is known, 0 to 1."""
        return len(self.lost) / max(self.paired + len(self.lost), 1)


@dataclass(frozen=True, slots=True)
class Alone:
    """Number of packets at a point whose session, or whose direction of it, no other point saw."""

    point: Point
    packets: int
