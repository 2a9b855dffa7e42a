"""Samples and sessions -> latencies by measure and side, and the side on which clients waited.

There is one histogram per measure and side: quantiles are exact to 0.4 %, memory is fixed. Ambiguous samples are not
in them, but counted.
"""

from dataclasses import dataclass

import numpy as np

from capture.analysis.latency.histogram import Histogram
from capture.analysis.sessions.session_table import SIDES, Measure
from capture.arrays.aliases import Table
from capture.arrays.rows import rows_where
from capture.units import format_duration
from capture.wire.protocols import TCP


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations of one measure on one side; quantiles are exact to 0.4 %."""

    measure: str
    side: str
    count: int
    min_ns: int
    median_ns: float
    p90_ns: float
    p99_ns: float
    max_ns: int


class Latency:
    """Latencies of the sessions and samples that are added."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[int, int], Histogram] = {}
        self.left_out = dict.fromkeys(
            ("ambiguous", "unsampled", "handshakes_ambiguous", "questions_repeated", "questions_unanswered"), 0
        )
        self.wait_ns = dict.fromkeys(SIDES, 0)

    def add(self, sessions: Table, samples: Table) -> None:
        """Add sessions that ended, and samples of any sessions."""
        for measure in np.unique(samples["measure"]).tolist():
            for side in (0, 1):
                chosen = samples["duration_ns"][(samples["measure"] == measure) & (samples["side"] == side)]
                if len(chosen):
                    self._histograms.setdefault((measure, side), Histogram()).add(chosen)
        tcp = sessions["protocol"] == TCP
        ambiguous_syns = (sessions["syns"] > 1) & (sessions["syn_acks"] > 0) & (sessions["server_ns"] < 0)
        ambiguous_syn_acks = (sessions["syn_acks"] > 1) & (sessions["ack_packet"] > 0)
        for name in SIDES:
            self.left_out["ambiguous"] += int(sessions[name]["rtt_ambiguous"].sum())
            self.left_out["unsampled"] += int(sessions[name]["rtt_unsampled"].sum())
        self.left_out["handshakes_ambiguous"] += int(ambiguous_syns.sum() + ambiguous_syn_acks.sum())
        self.left_out["questions_repeated"] += int(sessions["repeated"].sum())
        self.left_out["questions_unanswered"] += int(sessions["unanswered"].sum())
        self._wait(rows_where(sessions, tcp))

    def _wait(self, sessions: Table) -> None:
        """Add the time that clients waited, split at the capture point.

        On the server's side: SYN to SYN-ACK, and each request to the first byte of its answer. On the client's side:
        SYN-ACK to ACK, and one round trip to the client for each answer.
        """
        client = sessions["client"]
        handshake = np.maximum(sessions["client_ns"], 0)
        mean = client["rtt_sum_ns"] // np.maximum(client["rtt_count"], 1)
        trip = np.where(client["rtt_count"] > 0, mean, handshake)
        self.wait_ns["server"] += int(
            np.maximum(sessions["server_ns"], 0).sum() + sessions["first_byte_sum_ns"].sum()
        )
        self.wait_ns["client"] += int(handshake.sum() + (trip * sessions["requests"].astype(np.int64)).sum())

    def distributions(self) -> list[Distribution]:
        """Return a distribution for each measure and side that has samples."""
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
        """Sentence that says on which side clients waited."""
        total = sum(self.wait_ns.values())
        if not total:
            return "no handshake or request of a TCP session was seen, so no wait was measured"
        larger = max(SIDES, key=lambda side: self.wait_ns[side])
        other = SIDES[1 - SIDES.index(larger)]
        share = self.wait_ns[larger] / total
        return (
            f"{share:.0%} of the wait is on the {larger} side ({format_duration(self.wait_ns[larger])} in all), "
            f"{1 - share:.0%} on the {other} side"
        )
