"""Blocks of packets -> files that are each complete in themselves, with the statistics of their own span.

A file's statistics are what the programs counted between its beginning and its end: those of all files add up to
the account of the capture. What did not arrive, for whatever reason, is told to the ledger.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest

from capture.errors import SinkError, SpecError
from capture.filters.rule import Address
from capture.plan import CapturePlan, PlannedInterface
from capture.run import section
from capture.run.account import Account
from capture.run.ledger import Ledger, Tallies
from capture.run.limits import Limits
from capture.run.roster import Roster
from capture.sink.protocol import ReaderGoneError, Sink

STALLED_SECONDS = 3.0
"""A reader that takes nothing for so long at the end gets no more."""


class Output:
    """The sink of a capture. After the first error nothing more is written but, if possible, the end of the file."""

    def __init__(
        self,
        plan: CapturePlan,
        roster: Roster,
        sink: Sink,
        ledger: Ledger,
        limits: Limits,
        counted: Callable[[], list[Account]],
    ) -> None:
        self._plan, self._roster = plan, roster
        self._sink, self._ledger, self._limits, self._counted = sink, ledger, limits, counted
        self.names: dict[Address, str] = {}
        """Of addresses that are known now, for the next file."""
        self._named: set[Address] = set()
        self._writes = 0
        self._before: deque[tuple[int, Tallies]] = deque()
        self._introduced: deque[tuple[int, int]] = deque()
        """Writes that were not known to have arrived, and how many interfaces readers know from then on."""
        self._begun: deque[tuple[int, list[Account], int, int]] = deque()
        """Files that are not known to be complete: number, what was counted before, when it began on which clock."""
        self.failure: SinkError | None = None
        self.complete = False

    def begin(self, clock_state: str, offset_ns: int, now_ns: int) -> None:
        """Write the opening blocks. Raises SinkError, SpecError if the limits leave no room for a packet."""
        present = self._roster.present
        opening = self._opening(clock_state, offset_ns, present)
        overhead = len(opening) + section.closing_bytes(len(present))
        if not self._limits.file_begins(overhead, now_ns):
            raise SpecError(f"max-bytes leaves no room: a file without packets has {overhead} bytes")
        self._sink.write(opening)
        self._writes += 1
        self._introduced.append((self._writes, len(self._roster.members)))
        self._begun.append((1, [], now_ns, offset_ns))

    def _opening(self, clock_state: str, offset_ns: int, present: Collection[PlannedInterface]) -> bytes:
        self._named = set(self.names)
        interfaces = self._roster.interfaces
        return section.opening(self._plan, interfaces, present, self.names, clock_state, offset_ns)

    def interfaces_come(self, come: Sequence[PlannedInterface], before: Tallies) -> str | None:
        """Introduce interfaces, and addresses that have no name in this file, before their first packet.

        One name per address: where another pod has got an address, this file keeps the first. A reason to end the
        capture, if there is one.
        """
        names = {address: name for address, name in self.names.items() if address not in self._named}
        blocks = section.introduction(self._plan, come, names)
        if self.failure is not None or not blocks:
            return None
        if not self._limits.interfaces_come(len(blocks) + section.closing_bytes(len(come))):
            return "size reached"
        self._named |= set(names)
        while len(self._introduced) > 1 and self._introduced[1][0] <= self._sink.durable:
            self._introduced.popleft()
        self._introduced.append((self._writes + 1, self._introduced[-1][1] + len(come)))
        return self.write([memoryview(blocks)], before)

    def room(self, seconds: float) -> bool:
        """Whether `write` would not wait."""
        if self.failure is None:
            try:
                return self._sink.room(seconds)
            except SinkError as error:
                self._fail(error)
        return True

    def write(self, parts: Sequence[memoryview], before: Tallies) -> str | None:
        """Write packets, in parts; `before` is the tallies without them. A reason to end, if there is one."""
        if self.failure is None:
            while self._before and self._before[0][0] <= self._sink.durable:
                self._before.popleft()
            self._writes += 1
            self._before.append((self._writes, before))
            try:
                self._sink.write(*parts)
            except SinkError as error:
                self._fail(error)
        return self.check()

    def check(self) -> str | None:
        """A reason to end the capture, if there is one."""
        if self.failure is None:
            try:
                reason = self._sink.check()
                if reason is not None:
                    self._limits.nothing_more()
                return reason
            except SinkError as error:
                self._fail(error)
        return str(self.failure)

    def _fail(self, error: SinkError) -> None:
        self.failure = error
        durable = self._sink.durable
        lost = next((before for number, before in self._before if number > durable), self._ledger.moved.copy())
        self._ledger.only_arrived(lost)
        self._limits.no_more_files()

    def next_file(self, clock_state: str, offset_ns: int, now_ns: int, more: str) -> str | None:
        """Complete this file and begin the next; a reason to end if that is not possible."""
        accounts = self._counted()
        present = [
            member.planned
            for member, account in zip(self._roster.members, accounts, strict=True)
            if member.ended_ns is None or account.both.on_its_way
        ]
        opening = self._opening(clock_state, offset_ns, present)
        if not self._limits.file_begins(len(opening) + section.closing_bytes(len(present)), now_ns):
            return "size reached"
        try:
            self._sink.next_file(now_ns + offset_ns, self._closing(accounts, now_ns, offset_ns, more), opening)
        except SinkError as error:
            self._fail(error)
            return str(error)
        self._begun.append((self._begun[-1][0] + 1, accounts, now_ns, offset_ns))
        while self._begun[0][0] < self._at_file - 1:  # a thread may be counting one as left and as removed
            self._begun.popleft()
        return None

    def _closing(self, accounts: Sequence[Account], now_ns: int, offset_ns: int, more: str) -> bytes:
        _, before, began_ns, began_offset_ns = self._begun[-1]
        known, spans = self._known_to_readers, []
        for member, (account, earlier) in zip(
            self._roster.members, zip_longest(accounts, before, fillvalue=Account()), strict=True
        ):
            ended_ns = min(member.ended_ns or now_ns, now_ns)
            if member.planned.slot < known and (ended_ns >= began_ns or account != earlier):
                start_ns = max(began_ns, min(member.began_ns, ended_ns)) + began_offset_ns
                spans.append(section.Span(member.planned.slot, account - earlier, start_ns, ended_ns + offset_ns))
        return section.closing(spans, more)

    @property
    def _known_to_readers(self) -> int:
        """How many interfaces have their block in the output: a limit or an error may have come before others'."""
        arrived = self._writes if self.failure is None else self._sink.durable
        return next((known for number, known in reversed(self._introduced) if number <= arrived), 0)

    @property
    def _at_file(self) -> int:
        """The number of the file that the sink is at; later ones may wait in its queue."""
        return max(len(self._sink.files) + self._sink.files_removed, 1)

    def settle(self) -> None:
        """Wait until all is written, as long as the output takes some of it."""
        seen = -1
        try:
            while self.failure is None and not self._sink.settle(STALLED_SECONDS):
                if self._sink.durable == seen:
                    raise SinkError(f"{self._reader} takes nothing any more; what it did not take is not written")
                seen = self._sink.durable
        except SinkError as error:
            self._fail(error)

    @property
    def _reader(self) -> str:
        return "the reader of standard output" if self._sink.name == "-" else self._sink.name

    def end(self, now_ns: int, offset_ns: int, more: str) -> None:
        """Write the statistics, also after an error of the disk: the file is complete with what it has."""
        self.settle()
        if isinstance(self.failure, ReaderGoneError):
            return
        self._sink.finish()
        while self.failure is not None and self._begun[-1][0] > self._at_file:
            self._begun.pop()
        try:
            if not self._sink.room():
                return
            self._sink.write(self._closing(self._counted(), now_ns, offset_ns, more))
            if not self._sink.settle(STALLED_SECONDS):
                return
        except SinkError as error:
            self.failure = self.failure or error
            return
        self.complete = True
