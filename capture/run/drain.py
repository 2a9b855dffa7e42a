"""Records in rings -> blocks in an output, in order of time, each counted once: a capture's loop, round by round.

The problem
    Each CPU fills a ring of its own, and the two directions of a conversation may come from two CPUs. The file must
    be in order of time, a packet must reach it soon, and the rings must be emptied faster than they fill. How long a
    CPU takes from reading the clock to committing its record is unknown: a virtual CPU may stand still in between.

A round
    0. If the output has no room, wait for it a little, and leave everything where it is.
    1. Flush the batches whose oldest record is older than the patience: no packet comes to push them.
    2. Read all heads, then the clock.
    3. Everything older than the clock reading of an earlier round, and older than what still waits in a batch, is
       final. Merge it by time into at most one portion of blocks (stream.compiled), up to the end of the file.
    4. Write the portion, then give its ring memory back; begin the next file where this one is over.

Why the order is right
    A record is stamped, put into its batch or ring, and only then does its CPU take the next packet: a ring and the
    batch before it are in order. A record that is older than the reading of an earlier round was stamped before that
    reading, so it was in its ring or batch when this round read the heads, unless its CPU stood still for a whole
    round. The oldest record that is left in a batch bounds what is final. Batches are looked at before heads are
    read: what leaves a batch in between is in its ring when the heads are read. A record that comes too late all the
    same is given the time of the one before it, and counted (merge.LATE).

Why the account is right
    Each record is moved once, because a cursor passes it once, and is then either in the blocks of this portion or
    over a limit; `Ledger.moved` has both. The ring's memory is released only after `Output.write` has taken the
    blocks, because large packets are written from where they lie. Where the output fails, it tells the ledger what
    arrived. Nothing is moved while the output has no room, so a reader that stands still costs packets in the rings,
    which the programs count.

What it costs
    Per packet, one copy and a step of a heap over the rings (merge). Per round, about 50 µs with cold caches,
    whatever comes: only a full portion is followed by the next round at once. A loop that empties the rings each time
    runs in ever smaller portions, and costs several times more per packet (docs/decisions/0006).
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from capture.run.ledger import Ledger
from capture.run.limits import Limits
from capture.run.output import Output
from capture.stream.clock import Rounds, WallClock
from capture.stream.compiled import merge
from capture.stream.source import RecordSource

WRITE_BYTES = 1 << 18
"""Bytes of blocks after which a portion is full."""
ROOM_SECONDS = 0.01
"""Longest wait of a round for an output that has no room; limits and signals are checked between rounds."""
PATIENCE_NS, HURRIED_PATIENCE_NS = 100_000_000, 20_000_000
"""Age of a record in a batch at which the reader moves to its CPU and flushes the batch, ns. The shorter one is for
times when rings fill, because no younger record is final. Moving to a busy CPU takes its scheduler's time."""
_HURRY_SHARE = 8
"""Rings count as filling when the fullest has more than ring bytes / _HURRY_SHARE."""


class Round(NamedTuple):
    """The result of one round; a tuple, because one is made in each round."""

    pending: bool
    """True if records wait in a ring or a batch: too young, or without room in the portion or the output."""
    full: bool
    """True if the next round should begin at once."""
    end: str | None = None
    """Reason to end the capture, None to go on."""


class Drain:
    """Moves records from a source to an output. `notes` returns a text for the statistics of a completed file."""

    def __init__(
        self,
        source: RecordSource,
        output: Output,
        ledger: Ledger,
        limits: Limits,
        clock: WallClock,
        notes: Callable[[], str] = lambda: "",
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._source, self._memory = source, source.memory
        self._output, self._ledger, self._limits = output, ledger, limits
        self._clock, self._notes, self._now = clock, notes, now
        rings = self._memory.rings
        self._heads = np.zeros(rings, np.int64)
        """[rings], bytes since the start: `data_head` as this round read it. Written by merge.snapshot."""
        self._cursors = np.zeros((rings, merge.CURSOR_COLUMNS), np.int64)
        """[rings, (record, sample end)], bytes since the start: see merge.RECORD_AT. Written by merge.merge."""
        self._blocks = np.empty(WRITE_BYTES // 4 + merge.LARGEST_BLOCK_WORDS, np.uint32)
        """[words], uint32: the portion's blocks; room for one more block than fills it. Written by merge.merge."""
        self._pieces = np.zeros((merge.PIECES_MOST, merge.PIECE_COLUMNS), np.int64)
        """[pieces, (place, start, words)], words: see merge.PIECE_AT. Written by merge.merge."""
        self._read = self._cursors[:, merge.RECORD_AT]
        self._rounds = Rounds()
        self._fullest = 0

    def round(self, introduce: Callable[[], None] = lambda: None) -> Round:
        """Write final records, at most one portion; nothing is moved while the output has no room.

        `introduce` is called when the output has room, before anything is moved; it writes new interfaces.
        """
        if not self._output.room(ROOM_SECONDS):
            return Round(pending=True, full=True)
        introduce()
        hurry = self._fullest > self._memory.ring_bytes // _HURRY_SHARE
        patience = HURRIED_PATIENCE_NS if hurry else PATIENCE_NS
        waits_ns = self._source.flush(self._now() - patience)
        self._read_heads()
        now = self._now()
        words, end = self._portion(min(self._rounds.final_before(now), waits_ns))
        self._source.report(self._heads, self._read, now)
        return Round(self._fullest > 0 or waits_ns < merge.NEVER, words * 4 >= WRITE_BYTES, end)

    def finish(self) -> None:
        """Move all remaining records; no program may run any more.

        A batch that found its ring full fits once the ring is read, so this repeats while anything moves.
        """
        moved, waits_ns, final_ns = True, 0, self._now()
        while moved and waits_ns < merge.NEVER:
            waits_ns, read = self._source.flush(merge.NEVER), self._cursors.copy()
            self._read_heads()
            while self._portion(final_ns)[0]:
                self._output.flush()
            moved = not np.array_equal(read, self._cursors)  # records over a limit make room, too

    def _read_heads(self) -> None:
        self._fullest = int(merge.snapshot(self._memory.longs, self._memory.stride, self._heads))

    def _portion(self, final_ns: int) -> tuple[int, str | None]:
        """Move one portion, at most to the end of a file.

        Returns the number of words moved, 0 if no more records are final, and a reason to end the capture.
        """
        before = self._ledger.moved.copy()
        memory, limits, end = self._memory, self._limits, None
        final_in_file = limits.final_in_file(final_ns)
        words: int = merge.merge(
            memory.words,
            memory.longs,
            memory.stride,
            memory.page,
            self._heads,
            self._cursors,
            final_in_file,
            self._clock.offset_ns,
            self._blocks,
            self._pieces,
            limits.state,
            self._ledger.moved,
        )
        if words:
            blocks = self._blocks[:words].view(np.uint8).data
            pieces = self._pieces[: limits.state[merge.PIECES]]
            end = self._output.write(merge.parts(blocks, memory.bytes, pieces), before)
            words += int(limits.state[merge.PIECED])
        merge.release(memory.longs, memory.stride, self._cursors)
        end = end or limits.reached
        # Final records behind the end of this file are still in their rings, unless the rings are empty.
        written_until = final_in_file if self._fullest else final_ns
        all_written = written_until if words * 4 < WRITE_BYTES else 0
        if self._output.failure is None and limits.file_is_over(all_written):
            refused = self._next_file()
            return max(words, 1), end or refused
        return max(words, int(final_in_file < final_ns)), end

    def _next_file(self) -> str | None:
        self._clock.new_file()
        return self._output.next_file(self._clock.state, self._clock.offset_ns, self._now(), self._notes())
