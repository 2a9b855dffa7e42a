"""Packets of one session -> what both sides said, interleaved as it was said, and how complete that is.

TCP is put in order (`reassembly`); each UDP datagram is a part. This is Python for each packet, but of one session.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from capture.analysis.packets.packet_table import Kind
from capture.analysis.sessions.session_table import SIDES
from capture.analysis.streams.reassembly import Gap, Missing, Part, Said, Stream
from capture.arrays.aliases import Bytes, Table
from capture.wire.protocols import ACK, FIN, RST, SYN, TCP


class _Packet(NamedTuple):
    """The columns of PACKET that a stream needs."""

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
        """Where the captured part of its payload is."""
        start = self.offset + self.payload_at
        return slice(start, start + max(min(self.payload, self.captured - self.payload_at), 0))


@dataclass(slots=True)
class Dialogue:
    """Both sides of a TCP or UDP session. Take its packets in order; then `finish`."""

    first: Any
    """Its first packet, a row of PACKET: who is the client comes from there."""
    streams: tuple[Stream, Stream] = field(default_factory=lambda: (Stream(0), Stream(1)))
    packets: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def protocol(self) -> int:
        """TCP or UDP."""
        return int(self.first["protocol"])

    def endpoint(self, side: int) -> tuple[int, int, int]:
        """Both halves of the address, and the port."""
        name = "source" if int(self.first["side"]) == side else "destination"
        high, low, port = (int(self.first[f"{name}_{part}"]) for part in ("high", "low", "port"))
        return high, low, port

    def take(self, packets: Table, data: Bytes) -> Iterator[Part]:
        """What can be said after these packets of the session, whose bytes are in `data`."""
        view = data.data
        columns = [packets[name].tolist() for name in _Packet._fields]
        one = self._segment if self.protocol == TCP else self._datagram
        for packet in map(_Packet._make, zip(*columns, strict=True)):
            self.packets[packet.side] += 1
            if not packet.kind & (Kind.LATER_FRAGMENT | Kind.CUT):
                yield from one(view, packet)

    def finish(self) -> Iterator[Part]:
        """No more packets come."""
        if self.protocol == TCP:
            for stream in self.streams:
                yield from stream.finish()

    @property
    def why_incomplete(self) -> list[str]:
        """What keeps this from being all that was said, in words; empty if nothing does."""
        reasons = []
        for name, stream in zip(SIDES, self.streams, strict=True):
            if self.protocol == TCP and not stream.from_start:
                reasons.append(f"the {name}'s beginning is not in the file")
            reasons += [
                f"{size:,} bytes of the {name} are missing: {why.value}" for why, size in stream.missing.items()
            ]
            if self.protocol == TCP and not stream.finished:
                reasons.append(f"the {name} did not say that it was done (FIN)")
        return reasons

    def _segment(self, data: memoryview, packet: _Packet) -> Iterator[Part]:
        flags = packet.tcp_flags
        if flags & RST:  # its numbers and its payload are no part of the stream (RFC 9293, section 3.5.3)
            return
        here, there = self.streams[packet.side], self.streams[1 - packet.side]
        if flags & ACK:
            there.begin(packet.acknowledgment, False)
            yield from there.acknowledge(packet.acknowledgment, packet.time_ns, packet.number)
        sequence = packet.sequence
        if flags & SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF
            here.begin(sequence, True)
        content, fin = data[packet.content].tobytes(), bool(flags & FIN)
        yield from here.segment(sequence, packet.payload, content, fin, packet.time_ns, packet.number)

    def _datagram(self, data: memoryview, packet: _Packet) -> Iterator[Part]:
        stream, content = self.streams[packet.side], data[packet.content].tobytes()
        yield Said(packet.side, packet.time_ns, packet.number, stream.said, content)
        stream.said += len(content)
        absent = [(Missing.CUT, packet.payload - len(content))]
        if packet.kind & Kind.FIRST_FRAGMENT:  # UDP's own length is of the whole datagram
            length_at = packet.offset + packet.payload_at - 4
            whole = int.from_bytes(data[length_at : length_at + 2], "big") - 8
            absent.append((Missing.FRAGMENTS, whole - packet.payload))
        for why, size in absent:
            if size > 0:
                stream.missing[why] = stream.missing.get(why, 0) + size
                yield Gap(packet.side, packet.time_ns, packet.number, stream.said, size, why)
