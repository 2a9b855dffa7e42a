"""Events of drops and resets -> the fields of SessionReasons, joined by ends and time.

An event belongs to the sessions with its ends, in either direction, at all points that saw them, from a second before
their first packet to a second behind their last. Nothing is concluded from the absence of an event.
"""

from collections import defaultdict, deque
from dataclasses import replace

from capture.analysis.packets.events import events_of
from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Table
from capture.arrays.texts import TEXTS
from capture.wire.drop_reasons import DROPPED, LOSSES, RESET, KernelReason

APART_NS = 10**9
"""Most time between an event and its session, ns."""
EVENTS_MAX = 1 << 18
"""Latest events that are kept."""
_Ends = tuple[int, tuple[int, int, int], tuple[int, int, int]]


class SessionEvents:
    """The events of a capture. `add` each batch, then `fill` sessions that ended."""

    def __init__(self) -> None:
        self._of: defaultdict[_Ends, list[tuple[int, int, KernelReason]]] = defaultdict(list)
        self._order: deque[_Ends] = deque()

    def add(self, batch: Batch) -> None:
        """Add the events among the packets."""
        if not batch.events:
            return
        for row, _, reason in events_of(batch.data, batch.packets):
            if reason is None:
                continue
            packet = batch.packets[row]
            ends = [
                (int(packet[f"{side}_high"]), int(packet[f"{side}_low"]), int(packet[f"{side}_port"]))
                for side in ("source", "destination")
            ]
            key = int(packet["protocol"]), min(ends), max(ends)
            self._of[key].append((int(packet["time_ns"]), int(packet["number"]), reason))
            self._order.append(key)
            if len(self._order) > EVENTS_MAX:
                oldest = self._order.popleft()
                self._of[oldest].pop(0)
                if not self._of[oldest]:
                    del self._of[oldest]

    def fill(self, sessions: Table) -> None:
        """Write the fields into the rows of sessions."""
        if not self._of:
            return
        names = [f"{side}_{half}" for side in ("client", "server") for half in ("high", "low", "port")]
        columns = [sessions[name].tolist() for name in ("protocol", *names, "first_ns", "last_ns")]
        for row, (protocol, *ends, first_ns, last_ns) in enumerate(zip(*columns, strict=True)):
            client, server = tuple(ends[:3]), tuple(ends[3:])
            events = self._of.get((protocol, min(client, server), max(client, server)))
            mine = [one for one in events or () if first_ns - APART_NS <= one[0] <= last_ns + APART_NS]
            drops = [one for one in mine if one[2].what == DROPPED and one[2].kind in LOSSES]
            # Who receives an RST says so before its sender does, which alone knows why (active resets).
            resets = sorted((one for one in mine if one[2].what != DROPPED), key=lambda one: one[2].what != RESET)
            sessions["drops"][row] = len(drops)
            for name, found in (("drop", drops), ("reset", resets)):
                if found:
                    _, packet, reason = found[0]
                    sessions[f"{name}_packet"][row] = packet
                    sessions[f"{name}_event"][row] = TEXTS.number(str(replace(reason, netns=0)))
