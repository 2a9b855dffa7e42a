"""TCP segments of one side, in any order -> its bytes in order, each once, with gaps where bytes are missing.

The problem. The bytes that a receiver read must be returned in order, as soon as they are certain, from segments that
come twice, late, cut off by the snap length, or never.

Positions are sequence numbers that do not wrap: a number is placed by its distance on the circle from `_next`, the
first position that was not returned yet, and ignored if it lies outside any window (FAR). `_held` are later pieces,
in order and without overlap. The invariant: everything before `_next` was returned or declared missing, and
`_held[0]`, if any, begins after it.

Of bytes that come more than once the first copy counts, as with most receivers. Bytes are held while bytes before
them may still come. They are released when the other side acknowledges the missing bytes, so it has them and the file
lacks them; at the end of the file; or when too much is held. Each gap has the reason.

The cost: a place is found by bisection; insertion into the list is linear in the pieces held, of which there are at
most HELD_PIECES_MAX.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from capture.wire.protocols import FAR

HELD_BYTES_MAX, HELD_PIECES_MAX = 16 << 20, 1 << 14
"""Bytes and pieces held at most: more than any window that Linux offers by default (tcp_rmem: 6 MiB)."""
_CIRCLE = 1 << 32
_GAPS_KNOWN = 64
"""Last gaps that are kept, to recognise bytes that come after they were declared missing."""


class Missing(Enum):
    """Reason why bytes are missing."""

    NOT_CAPTURED = "not captured (the other side acknowledged them)"
    CUT = "cut off by the snap length"
    LOST = "lost (neither acknowledged nor sent again)"
    GIVEN_UP = "given up, because too many later bytes were waiting"
    FRAGMENTS = "in later IP fragments"


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes of a side. `offset` counts the bytes before them; `time_ns` and `packet` are of the packet with them."""

    side: int
    time_ns: int
    packet: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """`size` missing bytes of a side from `offset` on; `time_ns` and `packet` are of the packet that showed it."""

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
    """None: cut off by the snap length."""
    time_ns: int
    packet: int


@dataclass(slots=True)
class Stream:
    """The bytes of side 0 (client) or 1 (server). Feed segments and acknowledgments of the other; then `finish`."""

    side: int
    said: int = 0
    """Bytes returned."""
    repeated: int = 0
    """Bytes that had come before."""
    late: int = 0
    """Bytes that came after they were declared missing."""
    missing: dict[Missing, int] = field(default_factory=dict)
    from_start: bool = False
    """True if the SYN was seen."""
    acknowledged: int = 0
    """Bytes that the other side acknowledged."""
    finished: bool = False
    """True if everything up to the FIN was returned or declared missing."""
    _begin: int = -1
    _next: int = 0
    _end: int | None = None
    _end_seen: tuple[int, int] = (0, 0)
    _held: list[_Piece] = field(default_factory=list)
    _held_bytes: int = 0
    _gaps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_GAPS_KNOWN))

    def begin(self, sequence: int, from_start: bool) -> None:
        """Begin the stream at a sequence number; no effect once it has returned or held anything."""
        if self._begin < 0 or (from_start and not (self.said or self._held or self.missing)):
            self._begin = self._next = sequence
            self.from_start = from_start
        elif from_start and self._position(sequence) == self._begin:
            self.from_start = True

    @property
    def begun(self) -> bool:
        """True once the stream has a first number."""
        return self._begin >= 0

    def lacks(self, number: int) -> bool:
        """True if bytes before this number have not come; False while it is not known where the stream begins."""
        upto = self._position(number) if self.begun else None
        if upto is not None and self._end is not None:
            upto = min(upto, self._end)
        return upto is not None and upto > self._next

    def segment(
        self, sequence: int, payload: int, data: bytes, fin: bool, time_ns: int, packet: int
    ) -> Iterator[Part]:
        """Handle a segment of `payload` bytes; `data` is the captured part. Return the parts that are certain now."""
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
        """Handle an acknowledgment by the other side. Return the parts that are certain now."""
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
        """Return everything held, after the last packet."""
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
        """Hold the bytes of a piece that are new."""
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
        """Return the held pieces that are next in order, and remove them."""
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


def lowest(numbers: Iterable[int]) -> int:
    """Return the number before all others, on the circle; they lie within half of it."""
    found, *others = numbers
    for number in others:
        if (number - found) % _CIRCLE > _CIRCLE // 2:
            found = number
    return found


def _part(piece: _Piece, start: int, end: int) -> _Piece:
    if (start, end) == (piece.start, piece.start + piece.size):
        return piece
    data = None if piece.data is None else piece.data[start - piece.start : end - piece.start]
    return _Piece(start, end - start, data, piece.time_ns, piece.packet)
