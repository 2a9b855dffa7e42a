"""Blocks in rings -> an output, in order of time, each counted once: a capture's loop, round by round.

The problem
    Each CPU fills a ring of its own, and the two directions of a conversation may come from two CPUs. The file must
    be in order of time, a packet must reach it soon, and the rings must be emptied faster than they fill. How long a
    CPU takes from reading the clock to committing its packet is unknown: a virtual CPU may stand still in between.

A round
    0. If the output has no room, wait for it a little, and leave everything where it is.
    1. Flush the batches whose oldest packet is older than the patience: no packet comes to push them.
    2. Read all heads, then the clock.
    3. Everything older than the clock reading of an earlier round, and older than what still waits in a batch, is
       final. Merge it by time, and write it, in portions, up to the end of the file (stream.compiled).
    4. Begin the next file where this one is over.

Why the order is right
    A packet is stamped, put into its batch or ring, and only then does its CPU take the next packet: a ring and the
    batch before it are in order. A packet that is older than the reading of an earlier round was stamped before that
    reading, so it was in its ring or batch when this round read the heads, unless its CPU stood still for a whole
    round. The oldest packet that is left in a batch bounds what is final. Batches are looked at before heads are
    read: what leaves a batch in between is in its ring when the heads are read. A packet that comes too late all the
    same is given the time of the one before it, and counted (merge.LATE).

Why the account is right
    Each packet is moved once, because a cursor passes it once, and is then either in the pieces of a portion or over
    a limit; `Ledger.moved` has both. The ring's memory is released only after the portion is written, because it is
    written from where it lies. Where the output fails, it tells the ledger what arrived. Nothing is moved while the
    output has no room, so a reader that stands still costs packets in the rings, which the programs count.

What it costs
    Per packet, a look at its block; per stretch of a ring, a step of a heap over the rings (merge). Per round, about
    50 µs with cold caches, whatever comes: only full portions are followed by the next round at once. A loop that
    empties the rings each time runs in ever smaller portions, and costs several times more per packet
    (docs/decisions/0006).
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from capture.run.ledger import Ledger
from capture.run.limits import Limits
from capture.run.output import Output
from capture.stream.clock import Rounds, WallClock
from capture.stream.compiled.cursors import BLOCK_AT, COVERED, NEVER, OVERFLOW_MOST, SCANNED, release, snapshot
from capture.stream.compiled.merge import PORTION
from capture.stream.compiled.portions import NO_FILE, PORTIONS_MOST, loop_over, parts, write_portions
from capture.stream.source import RecordSource

ROOM_SECONDS = 0.01
"""Longest wait of a round for an output that has no room; limits and signals are checked between rounds."""
PATIENCE_NS, HURRIED_PATIENCE_NS = 100_000_000, 20_000_000
"""Age of a packet in a batch at which the reader moves to its CPU and flushes the batch, ns. The shorter one is for
times when rings fill, because no younger packet is final. Moving to a busy CPU takes its scheduler's time."""
_HURRY_SHARE = 8
"""Rings count as filling when the fullest has more than ring bytes / _HURRY_SHARE."""

EVENTS_MOST = 64
"""Most events of the kernel that one round writes: each is a write of its own."""


class Round(NamedTuple):
    """The result of one round; a tuple, because one is made in each round."""

    pending: bool
    """True if packets wait in a ring or a batch: too young, or without room in the portion or the output."""
    full: bool
    """True if the next round should begin at once."""
    end: str | None = None
    """Reason to end the capture, None to go on."""


class DatedEvent(Protocol):
    """An event of the kernel, with its time on CLOCK_MONOTONIC."""

    @property
    def time_ns(self) -> int: ...

    def block(self, interface: int, offset_ns: int) -> bytes:
        """Return its block in a file, for the interface of this id and the wall clock's offset."""


class EventSource(Protocol):
    """Events of the kernel that wait for their place between packets (run.reason_events)."""

    def take(self) -> object:
        """Read the events that the kernel has recorded since the last call."""

    def due(self, until_ns: int, most: int) -> Sequence[DatedEvent]:
        """Return the oldest events before a time, at most so many, in order of time; they stay until `done`."""

    def done(self) -> None:
        """Forget the oldest event: it was written."""


class Drain:
    """Moves packets from a source to an output. `notes` returns a text for the statistics of a completed file."""

    def __init__(
        self,
        source: RecordSource,
        output: Output,
        ledger: Ledger,
        limits: Limits,
        clock: WallClock,
        notes: Callable[[], str] = lambda: "",
        now: Callable[[], int] = time.monotonic_ns,
        events: EventSource | None = None,
        slot_of_events: int = 0,
    ) -> None:
        self._source, self._output, self._ledger, self._limits = source, output, ledger, limits
        self._clock, self._notes, self._now, self._events = clock, notes, now, events
        self._slot_of_events = slot_of_events
        self._loop = loop_over(source.memory, limits.state)
        self._read = self._loop.rings.cursors[:, BLOCK_AT]
        self._stamped_ns: int | None = None
        self._rounds = Rounds()
        self._fullest = 0
        self.written_until_ns = 0
        """CLOCK_MONOTONIC time before which all packets were given to the output."""

    def round(self, introduce: Callable[[], None] = lambda: None) -> Round:
        """Write final packets, at most PORTIONS_MOST portions; nothing is moved while the output has no room.

        `introduce` is called when the output has room, before anything is moved; it writes new interfaces.
        """
        if not self._output.room(ROOM_SECONDS):
            return Round(pending=True, full=True)
        introduce()
        if self._stamped_ns != self._clock.offset_ns:
            self._stamped_ns = self._clock.offset_ns
            self._source.stamp_with(self._stamped_ns)
        hurry = self._fullest > self._source.memory.ring_bytes // _HURRY_SHARE
        patience = HURRIED_PATIENCE_NS if hurry else PATIENCE_NS
        waits_ns = self._source.flush(self._now() - patience)
        covered = self._read_heads()
        if self._events is not None:
            self._events.take()  # before the clock is read: those before an earlier reading are there
        now = self._now()
        final_ns = min(self._rounds.final_before(now), waits_ns)
        _, full, end = self._move_with_events(0 if covered else final_ns)
        self._source.report(self._loop.rings.heads, self._read, now)
        return Round(self._fullest > 0 or waits_ns < NEVER, full, end)

    def finish(self) -> None:
        """Move all remaining packets; no program may run any more.

        A batch that found its ring full fits once the ring is read, so this repeats while anything moves.
        """
        moved, waits_ns, final_ns = True, 0, self._now()
        while waits_ns < NEVER:
            waits_ns, read = self._source.flush(NEVER), self._read.copy()
            self._read_heads()
            if self._events is not None:
                self._events.take()
            # What is younger than a batch that still waits goes after it, unless that can never be flushed.
            until_ns = min(final_ns, waits_ns) if moved else final_ns
            while self._move_with_events(until_ns)[0]:
                self._output.flush()
            if not moved:
                break
            moved = not np.array_equal(read, self._read)  # packets over a limit make room, too

    def _read_heads(self) -> bool:
        """True if records wait that cannot be seen yet, so nothing is final."""
        self._fullest = int(snapshot(self._loop.rings))
        return bool(self._loop.rings.overflow[COVERED])

    @property
    def overflow(self) -> tuple[int, int]:
        """Bytes that passed through the overflow ring, and the most that waited there."""
        passed = self._loop.rings.overflow
        return int(passed[SCANNED]), int(passed[OVERFLOW_MOST])

    def _move_with_events(self, final_ns: int) -> tuple[bool, bool, str | None]:
        """Move final packets as `_move` does, and at most EVENTS_MOST events, each where its time is."""
        if self._events is None:
            return self._move(final_ns)
        reason: str | None = None
        events = self._events.due(final_ns, EVENTS_MOST)
        for event in events:
            block = event.block(self._slot_of_events, self._clock.offset_ns)
            self._limits.make_room(len(block))
            more = True
            while more:
                more, full, end = self._move(event.time_ns)
                reason = reason or end
                if full:
                    return True, full, reason
            self._events.done()
            reason = reason or self._output.write_event(block)
        more, full, end = self._move(final_ns)
        waiting = len(events) == EVENTS_MOST
        return more or waiting, full or waiting, reason or end

    def _move(self, final_ns: int) -> tuple[bool, bool, str | None]:
        """Move final packets, at most PORTIONS_MOST portions, and at most to the end of a file.

        Returns True if there may be more in this file or the next one, True if the portions were full, and a reason
        to end the capture.
        """
        ledger, limits, place, end = self._ledger, self._limits, self._output.place, None
        most = min(PORTIONS_MOST, place.calls_most) if place else 1
        final_in_file = limits.final_in_file(final_ns)
        portions, written, waiting = write_portions(
            self._loop,
            final_in_file,
            self._clock.offset_ns,
            ledger.moved,
            ledger.before,
            (place.descriptor, place.position) if place else NO_FILE,
            most,
        )
        if place and portions:
            end = self._output.wrote(place, portions, written)
        if waiting:
            end = self._output.write(parts(self._loop), ledger.before.copy()) or end
            release(self._loop.rings)
        end = end or limits.reached
        full = written >= most * PORTION or waiting >= PORTION
        if not (full or limits.file_is_full):
            self.written_until_ns = max(self.written_until_ns, final_in_file)
        more = portions > 0 or waiting > 0 or final_in_file < final_ns
        # Final packets behind the end of this file are still in their rings, unless the rings are empty.
        written_until = final_in_file if self._fullest else final_ns
        if self._output.failure is None and limits.file_is_over(0 if full else written_until):
            refused = self._next_file()
            return True, full, end or refused
        return more, full, end

    def _next_file(self) -> str | None:
        self._clock.new_file()
        return self._output.next_file(self._clock.state, self._clock.offset_ns, self._now(), self._notes())
