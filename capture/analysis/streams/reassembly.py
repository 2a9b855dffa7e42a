"""TCP segments of one side, in any order -> its bytes in order, each once, with gaps where bytes are missing.

The problem. What a receiver read must be said in its order, as soon as it is certain, from segments that come
twice, late, cut off by the snap length, or never.

Positions are sequence numbers that do not wrap: a number is placed at its distance on the circle from `_next`, the
first position that has not been said, and ignored where that is beyond every window (FAR). `_held` are pieces
behind it, in order and without overlap. The invariant: all before `_next` has been said or declared missing, and
`_held[0]`, if any, begins behind it.

Bytes that come more than once count by their first copy, as with most receivers. Bytes wait while something before
them may still come. They stop waiting when the other side acknowledges what is missing, which it can only if it has
it (the file lacks it); at the end of the file; or when too much waits. Each gap says which of these it was.

A piece is found by bisection and costs no copy; insertion into the list is linear in the pieces that wait, of which
there are at most HELD_PIECES_MAX.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from capture.wire.protocols import FAR

HELD_BYTES_MAX, HELD_PIECES_MAX = 16 << 20, 1 << 14
"""So much waits for missing bytes at most, more than any window that Linux offers by itself (tcp_rmem: 6 MiB)."""
_CIRCLE = 1 << 32
_GAPS_KNOWN = 64


class Missing(Enum):
    """Why bytes are not there."""

    NOT_CAPTURED = "not captured, for the other side acknowledged them"
    CUT = "cut off by the snap length"
    LOST = "lost, for they were neither acknowledged nor sent again"
    GIVEN_UP = "not seen while much behind them was"
    FRAGMENTS = "in later fragments"


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes of a side; `offset` is how many it has said before, `time_ns` and `packet` are of what brought them."""

    side: int
    time_ns: int
    packet: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """`size` bytes of a side that are missing from `offset` on; `time_ns` and `packet` are of what showed it."""

    side: int
    time_ns: int
    packet: int
    offset: int
    size: int
    why: Missing


Part = Said | Gap


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    size: int
    data: bytes | None
    """None: cut off."""
    time_ns: int
    packet: int


@dataclass(slots=True)
class Stream:
    """What side 0 (client) or 1 (server) says. Feed segments and what the other side acknowledges; then `finish`."""

    side: int
    said: int = 0
    repeated: int = 0
    "bytes that were there before"
    late: int = 0
    "bytes that came after they were taken for missing"
    missing: dict[Missing, int] = field(default_factory=dict)
    from_start: bool = False
    "the SYN was seen"
    acknowledged: int = 0
    "bytes that the other side has confirmed"
    finished: bool = False
    "all up to the FIN has been seen, or is known to be missing"
    _begin: int = -1
    _next: int = 0
    _end: int | None = None
    _end_seen: tuple[int, int] = (0, 0)
    _held: list[_Piece] = field(default_factory=list)
    _held_bytes: int = 0
    _gaps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_GAPS_KNOWN))

    def begin(self, sequence: int, from_start: bool) -> None:
        """The stream begins with this number; without effect on one that has begun to say something."""
        if self._begin < 0 or (from_start and not (self.said or self._held or self.missing)):
            self._begin = self._next = sequence
            self.from_start = from_start

    def segment(
        self, sequence: int, payload: int, data: bytes, fin: bool, time_ns: int, packet: int
    ) -> Iterator[Part]:
        """A segment of `payload` bytes, of which `data` was captured; what can be said now."""
        if self._begin < 0:
            self.begin(sequence, False)
        start = self._position(sequence)
        if start is None:
            return
        if fin and self._end is None:
            self._end, self._end_seen = start + payload, (time_ns, packet)
        if payload:
            self._hold(_Piece(start, len(data), data, time_ns, packet))
            if len(data) < payload:
                self._hold(_Piece(start + len(data), payload - len(data), None, time_ns, packet))
            yield from self._release()
            while self._held_bytes > HELD_BYTES_MAX or len(self._held) > HELD_PIECES_MAX:
                yield self._gap(self._held[0].start, Missing.GIVEN_UP, time_ns, packet)
                yield from self._release()
        self.finished = self._next == self._end

    def acknowledge(self, number: int, time_ns: int, packet: int) -> Iterator[Part]:
        """The other side has all bytes before this number."""
        if self._begin < 0:
            return
        upto = self._position(number)
        if upto is None:
            return
        if self._end is not None:
            upto = min(upto, self._end)
        self.acknowledged = max(self.acknowledged, upto - self._begin)
        while self._next < upto:
            hole_end = min(self._held[0].start, upto) if self._held else upto
            yield self._gap(hole_end, Missing.NOT_CAPTURED, time_ns, packet)
            yield from self._release()
        self.finished = self._next == self._end

    def finish(self) -> Iterator[Part]:
        """No more packets come: say what still waits."""
        while self._held:
            first = self._held[0]
            yield self._gap(first.start, Missing.LOST, first.time_ns, first.packet)
            yield from self._release()
        if self._end is not None and self._next < self._end:
            yield self._gap(self._end, Missing.LOST, *self._end_seen)
        self.finished = self._next == self._end

    def _position(self, sequence: int) -> int | None:
        ahead = (sequence - self._next + _CIRCLE // 2) % _CIRCLE - _CIRCLE // 2
        return self._next + ahead if abs(ahead) < FAR else None

    def _gap(self, end: int, why: Missing, time_ns: int, packet: int) -> Gap:
        size = end - self._next
        gap = Gap(self.side, time_ns, packet, self._next - self._begin, size, why)
        self.missing[why] = self.missing.get(why, 0) + size
        self._gaps.append((self._next, end))
        self._next = end
        return gap

    def _hold(self, piece: _Piece) -> None:
        """Keep what is new of a piece."""
        start, end = piece.start, piece.start + piece.size
        if start < self._next:
            old = min(end, self._next)
            late = sum(max(min(old, last) - max(start, first), 0) for first, last in self._gaps)
            self.late += late
            self.repeated += old - start - late
            start = self._next
        at = max(bisect_left(self._held, start, key=lambda held: held.start) - 1, 0)
        while start < end:
            if at < len(self._held) and self._held[at].start <= start:
                behind = self._held[at].start + self._held[at].size
                if behind > start:
                    self.repeated += min(behind, end) - start
                    start = behind
                at += 1
                continue
            new_end = min(end, self._held[at].start) if at < len(self._held) else end
            self._held.insert(at, _part(piece, start, new_end))
            self._held_bytes += new_end - start
            start = new_end
            at += 1

    def _release(self) -> Iterator[Part]:
        """Say what is in order, and let go of it."""
        count = 0
        for piece in self._held:
            if piece.start != self._next:
                break
            count += 1
            if piece.data is None:
                yield self._gap(piece.start + piece.size, Missing.CUT, piece.time_ns, piece.packet)
            else:
                yield Said(self.side, piece.time_ns, piece.packet, self._next - self._begin, piece.data)
                self.said += piece.size
                self._next += piece.size
            self._held_bytes -= piece.size
        del self._held[:count]


def _part(piece: _Piece, start: int, end: int) -> _Piece:
    if (start, end) == (piece.start, piece.start + piece.size):
        return piece
    data = None if piece.data is None else piece.data[start - piece.start : end - piece.start]
    return _Piece(start, end - start, data, piece.time_ns, piece.packet)
