"""Samples and sessions -> how long things took, on which side, and which side the wait is on.

A histogram per measure and side, with 128 steps for each doubling: a quantile is exact to 0.4 %, memory is fixed.
What could not be told apart is not in them; it is counted.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.packets.packet_table import SIDES, Measure
from capture.arrays.aliases import Table
from capture.arrays.rows import picked
from capture.units import format_duration
from capture.wire.protocols import TCP

_STEPS_BITS = 7
_STEPS = 1 << _STEPS_BITS
_BUCKETS = _STEPS * (64 - _STEPS_BITS)


def bucket(durations_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The histogram's step of each duration; those of at least 0."""
    # Of the exponent alone: a large number that is rounded up to the next power of two lands one step too high.
    exponent = np.maximum(np.frexp(durations_ns.astype(np.float64))[1] - 1, _STEPS_BITS)
    shift = exponent - _STEPS_BITS
    steps: npt.NDArray[np.int64] = np.minimum(shift * _STEPS + (durations_ns >> shift), _BUCKETS - 1)
    return steps


def middle(step: int) -> float:
    """The duration in the middle of a step, in nanoseconds."""
    if step < 2 * _STEPS:
        return float(step)
    shift = step // _STEPS - 1
    return (step - shift * _STEPS + 0.5) * float(1 << shift)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Nanoseconds; the quantiles to 0.4 %."""

    measure: str
    side: str
    count: int
    min_ns: int
    median_ns: float
    p90_ns: float
    p99_ns: float
    max_ns: int


@dataclass(slots=True)
class Histogram:
    """Durations that are added; ask for quantiles at any time."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    least: int = np.iinfo(np.int64).max
    most: int = 0

    def add(self, durations_ns: npt.NDArray[np.int64]) -> None:
        self.counts += np.bincount(bucket(durations_ns), minlength=_BUCKETS)
        self.least = min(self.least, int(durations_ns.min()))
        self.most = max(self.most, int(durations_ns.max()))

    def quantile(self, share: float) -> float:
        """The smallest duration that so large a share does not exceed."""
        passed = np.cumsum(self.counts)
        step = int(np.searchsorted(passed, np.ceil(share * passed[-1])))
        return min(max(middle(step), float(self.least)), float(self.most))


class Latency:
    """Add what a Tracker gives; ask at any time."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[int, int], Histogram] = {}
        self.left_out = dict.fromkeys(
            ("ambiguous", "unsampled", "handshakes_ambiguous", "questions_repeated", "questions_unanswered"), 0
        )
        self.wait_ns = dict.fromkeys(SIDES, 0)

    def add(self, sessions: Table, samples: Table) -> None:
        """Sessions that ended, and samples of any."""
        for measure in np.unique(samples["measure"]).tolist():
            for side in (0, 1):
                chosen = samples["duration_ns"][(samples["measure"] == measure) & (samples["side"] == side)]
                if len(chosen):
                    self._histograms.setdefault((measure, side), Histogram()).add(chosen)
        tcp = sessions["protocol"] == TCP
        twice = (sessions["syns"] > 1) & (sessions["syn_acks"] > 0) & (sessions["server_ns"] < 0)
        again = (sessions["syn_acks"] > 1) & (sessions["ack_packet"] > 0)
        for name in SIDES:
            self.left_out["ambiguous"] += int(sessions[name]["rtt_ambiguous"].sum())
            self.left_out["unsampled"] += int(sessions[name]["rtt_unsampled"].sum())
        self.left_out["handshakes_ambiguous"] += int(twice.sum() + again.sum())
        self.left_out["questions_repeated"] += int(sessions["repeated"].sum())
        self.left_out["questions_unanswered"] += int(sessions["unanswered"].sum())
        self._wait(picked(sessions, tcp))

    def _wait(self, sessions: Table) -> None:
        """What a client waited for, split where packets were captured.

        The server's side: SYN to SYN-ACK, and each request to the first byte of its answer. The client's: SYN-ACK
        to ACK, and for each answer the way to the client and back.
        """
        client = sessions["client"]
        handshake = np.maximum(sessions["client_ns"], 0)
        mean = client["rtt_sum_ns"] // np.maximum(client["rtt_count"], 1)
        way = np.where(client["rtt_count"] > 0, mean, handshake)
        self.wait_ns["server"] += int(
            np.maximum(sessions["server_ns"], 0).sum() + sessions["first_byte_sum_ns"].sum()
        )
        self.wait_ns["client"] += int(handshake.sum() + (way * sessions["requests"].astype(np.int64)).sum())

    def distributions(self) -> list[Distribution]:
        """One for each measure and side that has samples."""
        return [
            Distribution(
                measure=Measure(measure).name.lower(),
                side=SIDES[side],
                count=int(histogram.counts.sum()),
                min_ns=histogram.least,
                median_ns=histogram.quantile(0.5),
                p90_ns=histogram.quantile(0.9),
                p99_ns=histogram.quantile(0.99),
                max_ns=histogram.most,
            )
            for (measure, side), histogram in sorted(self._histograms.items())
        ]

    @property
    def sentence(self) -> str:
        """Which side the wait is on."""
        total = sum(self.wait_ns.values())
        if not total:
            return "no handshake or request of a TCP session was seen: there is no wait to place"
        larger = max(SIDES, key=lambda side: self.wait_ns[side])
        other = SIDES[1 - SIDES.index(larger)]
        share = self.wait_ns[larger] / total
        return (
            f"{share:.0%} of the wait is on the {larger} side ({format_duration(self.wait_ns[larger])} in all), "
            f"{1 - share:.0%} on the {other} side"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "measures": [asdict(one) for one in self.distributions()],
            "left_out": self.left_out,
            "wait_ns": self.wait_ns,
            "sentence": self.sentence,
        }
