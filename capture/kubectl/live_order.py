"""Frames of several nodes, as they come -> their packets in order of time, and what a user must know.

The problem. Each node sends its packets in order, but some later than others, and a node may fall silent or die.

The invariant: a packet is given out when no earlier one can come any more. Every node says so about itself, several
times a second: its watermark is a time before which it has sent everything. What is older than the smallest
watermark, less the uncertainty of the clocks, is given out, in order; nothing that is given out is earlier than what
went before.

Why nothing holds it up: a node without packets sends watermarks, too. One that sends nothing for PATIENCE_SECONDS, or
holds up more than HELD_MAX bytes of the others, is left out and named; when it is heard again it is taken in again,
and those of its packets that have become too late are counted as left out. They are in the files on their node.

Times are not changed: a clock that is wrong shows in them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from capture.pcapng.joined_section import JoinedSection
from capture.pcapng.packet_runs import EVER, PacketOrigin, merged
from capture.units import format_count, format_duration

PATIENCE_SECONDS = 3.0
HELD_MAX = 256 << 20
UNCERTAINTY_MAX_NS = 10**9
"""Longest wait for the uncertainty of a clock; with a larger one order is a matter of luck anyway."""


@dataclass(slots=True)
class LiveNode:
    """A node whose packets come."""

    name: str
    origin: PacketOrigin
    heard: float
    watermark_ns: int = 0
    uncertainty_ns: int = 0
    held: int = 0
    """Bytes that came and were not given out."""
    counts: bool = True
    """True if its watermark holds up the others."""
    over: bool = False
    named: bool = False
    """True if a user was told that it is left out."""
    lost: int = 0
    late: int = 0
    clock: str = field(default="")


class LiveOrder:
    """Orders the packets of all nodes. `add` frames, then take what is `ready`."""

    def __init__(self, section: JoinedSection, held_max: int = HELD_MAX) -> None:
        self._section, self._held_max = section, held_max
        self._nodes: dict[str, LiveNode] = {}
        self._last_ns = 0
        self._reports: list[str] = []

    @property
    def nodes(self) -> Mapping[str, LiveNode]:
        """The nodes that were heard of."""
        return self._nodes

    @property
    def over(self) -> bool:
        """True if no node will send anything more."""
        return bool(self._nodes) and all(node.over for node in self._nodes.values())

    @property
    def packets(self) -> int:
        """Number of packets that were given out."""
        return sum(node.origin.packets - node.late for node in self._nodes.values())

    def reports(self) -> list[str]:
        """Return what a user must know and was not told yet."""
        reports, self._reports = self._reports, []
        return reports

    def add(self, header: Mapping[str, Any], payload: bytes, now: float) -> None:
        """Take a frame; `now` is monotonic, in seconds."""
        name, kind = str(header.get("node", "")), header.get("kind")
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = LiveNode(name, PacketOrigin(self._section, name, f"the stream of {name}"), now)
        node.heard = now
        if not node.counts and not node.over and kind in ("blocks", "watermark"):
            node.counts = True
            self._again(node)
        if kind == "blocks":
            node.over, node.counts = False, True
            self._again(node)
            node.held += len(payload)
            node.origin.feed(payload)
        elif kind == "watermark":
            node.watermark_ns = max(node.watermark_ns, int(header["ns"]))
        elif kind == "clock":
            self._clock(node, header)
        elif kind == "lost" and int(header["packets"]) > node.lost:
            more, node.lost = int(header["packets"]) - node.lost, int(header["packets"])
            self._reports.append(f"{format_count(more, 'packet')} of {name} left out under pressure")
            self._section.note(name, f"live stream: {node.lost} packets left out under pressure")
        elif kind in ("gone", "ended"):
            node.over, node.counts = True, False
            # A node that has not begun is gone, too; what it waits for is in the status of the capture.
            if kind == "gone" and node.watermark_ns:
                node.named = True
                self._reports.append(f"{name} is left out: {header.get('reason') or 'it is gone'}")

    def _again(self, node: LiveNode) -> None:
        if node.named:
            node.named = False
            self._reports.append(f"{node.name} is heard again")

    def _clock(self, node: LiveNode, header: Mapping[str, Any]) -> None:
        uncertainty = int(header.get("uncertaintyNs") or 0)
        node.uncertainty_ns = min(max(uncertainty, 0), UNCERTAINTY_MAX_NS)
        offset = int(header.get("offsetNs") or 0)
        state = "synchronized" if header.get("synchronized") else "not synchronized"
        text = f"clock of {node.name}: {state}, {format_duration(offset)} from the controller's"
        text += f", to within {format_duration(uncertainty)}" if uncertainty else ""
        self._section.clock(node.name, text)
        if not node.clock and abs(offset) > UNCERTAINTY_MAX_NS:
            self._reports.append(f"{text}: the stream waits for the slowest clock")
        node.clock = text

    def ready(self, now: float) -> Iterator[bytes]:
        """Yield blocks that can be given out now."""
        self._leave_out(now)
        described = self._section.take()
        if described:
            yield described
        yield from self._until(self._limit_ns())

    def _limit_ns(self) -> int:
        """Return the latest time of which everything is here."""
        waiting = [node for node in self._nodes.values() if node.counts]
        if not waiting:
            return EVER if self._nodes else 0
        uncertainty = max(node.uncertainty_ns for node in self._nodes.values())
        return min(node.watermark_ns for node in waiting) - uncertainty - 1

    def _until(self, limit_ns: int) -> Iterator[bytes]:
        for node in self._nodes.values():
            self._drop_late(node)
        nodes = [node for node in self._nodes.values() if node.held]
        before = sum(node.held for node in nodes)
        yield from merged([node.origin for node in nodes], limit_ns)
        if before:
            for node in nodes:
                self._last_ns = max(self._last_ns, node.origin.last_ns)
                node.held = node.origin.held

    def _drop_late(self, node: LiveNode) -> None:
        """Leave out packets that are earlier than what was given out."""
        before = node.origin.packets
        while (head := node.origin.head_ns()) is not None and head < self._last_ns:
            for _ in node.origin.run(self._last_ns - 1):
                pass
        late = node.origin.packets - before
        if late:
            node.late += late
            self._reports.append(f"{format_count(late, 'packet')} of {node.name} came too late, and were left out")

    def _leave_out(self, now: float) -> None:
        """Let nodes that are silent, or that hold up too much, no longer count."""
        for node in self._nodes.values():
            if node.counts and now - node.heard > PATIENCE_SECONDS:
                node.counts, node.named = False, True
                self._reports.append(f"{node.name} is silent for {PATIENCE_SECONDS:g} s; the others go on without it")
        counting = [node for node in self._nodes.values() if node.counts]
        if len(counting) > 1 and sum(node.held for node in self._nodes.values()) > self._held_max:
            slowest = min(counting, key=lambda node: node.watermark_ns)
            slowest.counts, slowest.named = False, True
            self._reports.append(f"{slowest.name} is too far behind; the others go on without it")

    def rest(self) -> Iterator[bytes]:
        """Yield all that is left, and the last blocks."""
        yield from self._until(EVER)
        yield self._section.closing()
