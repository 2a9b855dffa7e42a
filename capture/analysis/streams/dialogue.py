"""Packets of one session -> the data of both sides as the applications exchanged it, and what of it is missing.

TCP is put in order (`reassembly`); each UDP datagram is a part. In a file of several queues, or put together by hand,
a packet may stand before the data that it acknowledges, and data before the SYN. So a TCP packet waits, and those of
its side behind it, until what it follows has come: the other side's bytes that it acknowledges, and its own side's
SYN. After LATE more packets it waits no longer: what has not come by then is not in the file.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from capture.analysis.packets.packet_table import Kind
from capture.analysis.sessions.session_table import SIDES
from capture.analysis.streams.reassembly import HELD_BYTES_MAX, Gap, Missing, Part, Said, Stream, lowest
from capture.arrays.aliases import Bytes, Table
from capture.units import format_count
from capture.wire.protocols import ACK, FIN, RST, SYN, TCP

LATE = 64
"""Packets of a session for which a packet waits for those that it follows: what a queue gives at a time (NAPI)."""


class _Packet(NamedTuple):
    """Columns of PACKET that a stream needs."""

    time_ns: int
    number: int
    offset: int
    captured: int
    payload: int
    payload_at: int
    sequence: int
    acknowledgment: int
    tcp_flags: int
    kind: int
    side: int

    @property
    def content(self) -> slice:
        """Slice of the batch's data with the captured part of the payload."""
        start = self.offset + self.payload_at
        return slice(start, start + max(min(self.payload, self.captured - self.payload_at), 0))


@dataclass(slots=True)
class Dialogue:
    """Both sides of a TCP or UDP session. `feed` its packets in order, then `finish`."""

    first: Any
    """Its first packet, a row of PACKET, which tells the addresses of client and server."""
    streams: tuple[Stream, Stream] = field(default_factory=lambda: (Stream(0), Stream(1)))
    packets: list[int] = field(default_factory=lambda: [0, 0])
    """Number of packets of client and server."""
    _waiting: tuple[deque[tuple[int, _Packet, bytes]], ...] = field(default_factory=lambda: (deque(), deque()))
    """By side: packets that wait, each with the number of the session's packets before it, and its payload."""
    _waiting_bytes: int = 0

    @property
    def protocol(self) -> int:
        """Protocol number of TCP or UDP."""
        return int(self.first["protocol"])

    def endpoint(self, side: int) -> tuple[int, int, int]:
        """Return (upper half, lower half, port) of a side."""
        name = "source" if int(self.first["side"]) == side else "destination"
        high, low, port = (int(self.first[f"{name}_{part}"]) for part in ("high", "low", "port"))
        return high, low, port

    def feed(self, packets: Table, data: Bytes) -> Iterator[Part]:
        """Handle packets of the session, whose bytes are in `data`. Return the parts that are certain now."""
        view = data.data
        columns = [packets[name].tolist() for name in _Packet._fields]
        handle = self._segment if self.protocol == TCP else self._datagram
        for packet in map(_Packet._make, zip(*columns, strict=True)):
            self.packets[packet.side] += 1
            if not packet.kind & (Kind.LATER_FRAGMENT | Kind.CUT | Kind.FOREIGN):
                yield from handle(view, packet)

    def finish(self) -> Iterator[Part]:
        """Return the last parts, after the last packet."""
        if self.protocol == TCP:
            while any(self._waiting):
                yield from self._force()
            for stream in self.streams:
                yield from stream.finish()

    @property
    def why_incomplete(self) -> list[str]:
        """Missing parts of the dialogue, in words; empty if it is complete."""
        reasons = []
        for name, stream in zip(SIDES, self.streams, strict=True):
            if self.protocol == TCP and not stream.from_start:
                reasons.append(f"the start of the {name}'s stream (SYN) is not in the file")
            reasons += [
                f"{format_count(size, f'byte of the {name} is', f'bytes of the {name} are')} missing: {why.value}"
                for why, size in stream.missing.items()
            ]
            if self.protocol == TCP and not stream.finished:
                reasons.append(f"the end of the {name}'s stream (FIN) is not in the file")
        return reasons

    def _segment(self, data: memoryview, packet: _Packet) -> Iterator[Part]:
        if packet.tcp_flags & RST:  # its numbers and payload do not belong to the stream (RFC 9293, section 3.5.3)
            return
        content, count = data[packet.content].tobytes(), sum(self.packets)
        self._waiting[packet.side].append((count, packet, content))
        self._waiting_bytes += len(content)
        yield from self._advance()
        while any(queue and count - queue[0][0] >= LATE for queue in self._waiting):
            yield from self._force()
        while self._waiting_bytes > HELD_BYTES_MAX:
            yield from self._force()

    def _advance(self) -> Iterator[Part]:
        """Handle the packets that need not wait."""
        moved = True
        while moved:
            moved = False
            for queue in self._waiting:
                while queue and not self._must_wait(queue[0][1]):
                    yield from self._handle(queue)
                    moved = True

    def _force(self) -> Iterator[Part]:
        """Handle the packet that has waited longest, and those that waited for it."""
        queue = min((queue for queue in self._waiting if queue), key=lambda queue: queue[0][0])
        here = self.streams[queue[0][1].side]
        if not here.begun:
            here.begin(lowest(waiting.sequence for _, waiting, _ in queue), False)
        yield from self._handle(queue)
        yield from self._advance()

    def _must_wait(self, packet: _Packet) -> bool:
        here, there = self.streams[packet.side], self.streams[1 - packet.side]
        if not here.begun and not packet.tcp_flags & SYN:
            return True
        return bool(packet.tcp_flags & ACK) and there.lacks(packet.acknowledgment)

    def _handle(self, queue: deque[tuple[int, _Packet, bytes]]) -> Iterator[Part]:
        _, packet, content = queue.popleft()
        self._waiting_bytes -= len(content)
        flags = packet.tcp_flags
        here, there = self.streams[packet.side], self.streams[1 - packet.side]
        if flags & ACK:
            there.begin(packet.acknowledgment, False)
            yield from there.acknowledge(packet.acknowledgment, packet.time_ns, packet.number)
        sequence = packet.sequence
        if flags & SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF
            here.begin(sequence, True)
        fin = bool(flags & FIN)
        yield from here.segment(sequence, packet.payload, content, fin, packet.time_ns, packet.number)

    def _datagram(self, data: memoryview, packet: _Packet) -> Iterator[Part]:
        stream, content = self.streams[packet.side], data[packet.content].tobytes()
        yield Said(packet.side, packet.time_ns, packet.number, stream.said, content)
        stream.said += len(content)
        absent = [(Missing.CUT, packet.payload - len(content))]
        if packet.kind & Kind.FIRST_FRAGMENT:  # the length in the UDP header is that of the whole datagram
            length_at = packet.offset + packet.payload_at - 4
            whole = int.from_bytes(data[length_at : length_at + 2], "big") - 8
            absent.append((Missing.FRAGMENTS, whole - packet.payload))
        for why, size in absent:
            if size > 0:
                stream.missing[why] = stream.missing.get(why, 0) + size
                yield Gap(packet.side, packet.time_ns, packet.number, stream.said, size, why)
