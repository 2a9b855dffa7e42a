"""A query for packets -> the packets of a capture that answer it, batch by batch, with their session numbers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capture.analysis.packets.packet_table import Kind
from capture.analysis.packets.reading import Batch
from capture.analysis.packets.several import CaptureSource
from capture.analysis.sessions.notes import notes_of
from capture.analysis.sessions.tracker import Tracker
from capture.analysis.streams.followed import no_such_session
from capture.arrays.aliases import Mask, Table
from capture.arrays.rows import picked
from capture.wire.protocols import RST, TCP

if TYPE_CHECKING:
    from capture.analysis.packets.packet_filter import PacketFilter  # loads libpcap, which few queries need


@dataclass(frozen=True, slots=True)
class PacketQuery:
    """Packets to show: of these sessions, or of all if there are none; that match an expression; anomalies only."""

    sessions: tuple[int, ...] = ()
    expression: "PacketFilter | None" = None
    anomalies: bool = False
    count: int | None = None

    def __str__(self) -> str:
        """Return the options that ask for it."""
        options = [f"--session {number}" for number in self.sessions]
        options += [] if self.expression is None else [f"--packets {self.expression.text!r}"]
        options += ["--anomalies"] if self.anomalies else []
        options += [] if self.count is None else [f"-c {self.count}"]
        return " ".join(options) or "all packets"

    def of(
        self,
        capture: CaptureSource,
        batches: Iterable[Batch],
        across_interfaces: bool,
        watch: Callable[[Batch], None] | None = None,
        notes: list[str] | None = None,
    ) -> Iterator[Batch]:
        """Return the chosen ones of a capture's packets, with their session numbers.

        `batches` are those of `capture`; `watch` gets each before packets are chosen from it; `notes` gets sentences
        about what was read, also if it is damaged. Raises FormatError, FilterError, and SpecError at the end if there
        is no such session.
        """
        left = self.count
        tracker = Tracker(by_interface=not across_interfaces)
        try:
            for batch in self._chosen(capture, batches, tracker, watch):
                yield batch if left is None else Batch(batch.data, batch.packets[:left])
                if left is not None:
                    left -= len(batch.packets)
                    if left <= 0:
                        return
        finally:
            if notes is not None:
                notes += notes_of(capture.name, tracker)

    def _chosen(
        self,
        capture: CaptureSource,
        batches: Iterable[Batch],
        tracker: Tracker,
        watch: Callable[[Batch], None] | None,
    ) -> Iterator[Batch]:
        missing, last = set(self.sessions), 0
        for batch in batches:
            for _ in tracker.feed(batch.data, batch.packets):
                pass
            packets = batch.packets
            if watch is not None:
                watch(batch)
            if self.expression is not None:
                packets = picked(packets, self.expression.accepted(batch, capture.description.interfaces))
            if self.anomalies:
                packets = picked(packets, anomalous(packets))
            if self.sessions:
                last = max(last, int(batch.packets["session"].max()))
                missing -= set(batch.packets["session"].tolist())
                packets = picked(packets, np.isin(packets["session"], self.sessions))
            if len(packets):
                yield Batch(batch.data, packets)
        if missing:
            raise no_such_session(", ".join(map(str, sorted(missing))), last)


def anomalous(packets: Table) -> Mask:
    """Return a mask of packets with marks, of RST, and of ICMP errors; the packets have gone through a Tracker."""
    later = packets["kind"] & (Kind.LATER_FRAGMENT | Kind.CUT) > 0
    resets = (packets["protocol"] == TCP) & (packets["tcp_flags"] & RST > 0) & ~later
    errors = packets["kind"] & Kind.ICMP_ERROR > 0
    mask: Mask = (packets["marks"] > 0) | resets | errors
    return mask
