"""Batches of packets -> what their messages say, as texts; of several segments, once the message is whole.

The start of a message that needs more segments is kept, of up to PENDING_MAX sides at a time and PENDING_BYTES each;
what came too late, or after a gap, is told as far as it was seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from capture.analysis.application.compiled.find import clear, message_at, messages
from capture.analysis.application.compiled.tls import hello
from capture.analysis.application.heard import Heard, told
from capture.analysis.application.message import MESSAGE, MessageKind
from capture.analysis.application.quic import ClientHello
from capture.analysis.packets.packet_table import PACKET
from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Bytes, Longs
from capture.wire.protocols import TCP

PENDING_MAX, PENDING_BYTES = 1 << 12, 1 << 14
QUIC_MAX = 1 << 10
"""Connections of QUIC whose hello is put together at a time."""
_CIRCLE = 0xFFFFFFFF


@dataclass(slots=True)
class _Pending:
    """The start of a message of one side, and the sequence number that continues it."""

    session: int
    side: int
    data: bytearray
    next: int
    heard: Heard


class Messages:
    """Messages of a capture. The packets must have gone through a Tracker."""

    def __init__(self) -> None:
        self._found = np.zeros(0, MESSAGE)
        self._one = np.zeros(1, MESSAGE)
        self._pending: dict[int, _Pending] = {}
        self._quic: dict[int, ClientHello] = {}

    def of(self, batch: Batch) -> list[Heard]:
        """Return the messages of a batch, in the order of their packets."""
        packets = batch.packets
        if len(self._found) < len(packets):
            self._found = np.zeros(len(packets), MESSAGE)
        count = messages(batch.data, packets, self._found)
        if not count and not self._pending:
            return []
        found = self._found[:count]
        begun = found[(found["whole"] == 0) & (packets["protocol"][found["packet"]] == TCP)]["packet"]
        heard: list[Heard] = []
        begins = dict(zip(found["packet"].tolist(), found, strict=True))
        for at in self._in_question(batch, begins, set(begun.tolist())):
            heard += self._heard(batch, at, begins.get(at))
        return heard

    def _in_question(self, batch: Batch, begins: dict[int, np.void], begun: set[int]) -> list[int]:
        """Return the packets with messages, and those that may continue one."""
        packets = batch.packets
        if not self._pending and not begun:
            return list(begins)
        sides = packets["session"] * 2 + packets["side"]
        awaited = np.array([*self._pending, *sides[list(begun)].tolist()], np.int64)
        more = np.isin(sides, awaited) & (packets["protocol"] == TCP) & (packets["payload"] > 0)
        return sorted({*begins, *np.flatnonzero(more).tolist()})

    def _heard(self, batch: Batch, at: int, message: np.void | None) -> Iterator[Heard]:
        row = batch.packets[at]
        session, side = int(row["session"]), int(row["side"])
        key = session * 2 + side
        pending = self._pending.get(key)
        start = int(row["offset"]) + int(row["payload_at"])
        end = min(int(row["offset"]) + int(row["captured"]), start + int(row["payload"]))
        whole_segment = end - start == int(row["payload"])
        if pending is not None and int(row["protocol"]) == TCP:
            ahead = (int(row["sequence"]) - pending.next) & _CIRCLE
            if ahead == 0:
                yield from self._continued(pending, batch.data[start:end], at, whole_segment)
                return
            if ahead > _CIRCLE // 2:  # sent again
                return
            yield self._pending.pop(key).heard
        if message is None:
            return
        if message["kind"] == MessageKind.QUIC_INITIAL:
            yield from self._quic_heard(batch.data, session, side, at, start, end)
            return
        heard = told(batch.data, message, session, side, at)
        if message["whole"] or int(row["protocol"]) != TCP or not whole_segment:
            yield heard
            return
        if len(self._pending) == PENDING_MAX:
            yield self._pending.pop(next(iter(self._pending))).heard
        heard.packet = -1
        continues = (int(row["sequence"]) + end - start) & _CIRCLE
        self._pending[key] = _Pending(session, side, bytearray(batch.data[start:end].tobytes()), continues, heard)

    def _continued(self, pending: _Pending, more: Bytes, at: int, whole_segment: bool) -> Iterator[Heard]:
        pending.data += more.tobytes()
        pending.next = (pending.next + len(more)) & _CIRCLE
        data = np.frombuffer(bytes(pending.data), np.uint8)
        message_at(data, 0, len(data), self._one[0])
        message = self._one[0]
        if message["kind"]:
            pending.heard = told(data, message, pending.session, pending.side, at)
        if not message["kind"] or message["whole"] or not whole_segment or len(data) > PENDING_BYTES:
            del self._pending[pending.session * 2 + pending.side]
            yield pending.heard
        else:
            pending.heard.packet = -1

    def _quic_heard(self, data: Bytes, session: int, side: int, at: int, start: int, end: int) -> Iterator[Heard]:
        if side:
            return
        if session not in self._quic:
            if len(self._quic) == QUIC_MAX:
                del self._quic[next(iter(self._quic))]
            self._quic[session] = ClientHello()
        begun = self._quic[session]
        before = begun.length
        length = begun.add(data, start, end)
        if length == before:
            return
        message = self._one[0]
        clear(message)
        hello(begun.data, 0, length, False, message)
        if message["kind"] == MessageKind.CLIENT_HELLO and (message["whole"] or message["name_length"]):
            heard = told(begun.data, message, session, side, at)
            heard.kind = MessageKind.QUIC_INITIAL
            yield heard

    def left(self, sessions: Longs) -> Iterator[Heard]:
        """Return what is known of messages of ended sessions that were not completed, and forget them."""
        if not self._pending and not self._quic:
            return
        for session in sessions.tolist():
            self._quic.pop(session, None)
            for key in (session * 2, session * 2 + 1):
                if key in self._pending:
                    yield self._pending.pop(key).heard


def compiled() -> None:
    """Compile all loops, or load them from the cache."""
    nothing, found = np.zeros(1200, np.uint8), np.zeros(1, MESSAGE)
    messages(nothing, np.zeros(1, PACKET), found)
    message_at(nothing, 0, 1, found[0])
    clear(found[0])
    hello(nothing, 0, 1, False, found[0])
    ClientHello().add(np.frombuffer(b"\xc0\0\0\0\1" + bytes(1195), np.uint8), 0, 1200)
