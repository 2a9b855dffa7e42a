"""Blocks of packets -> files that are each complete in themselves, with statistics of the file's own time.

The statistics of a file are the counters of the programs between its beginning and its end, so those of all files add
up to the account of the capture. Blocks that did not arrive are reported to the ledger, whatever the reason.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest

from capture.errors import SinkError, SpecError
from capture.filters.rule import Address
from capture.plan import CapturePlan, PlannedInterface
from capture.run import section
from capture.run.account import Account
from capture.run.file_start import FileStart
from capture.run.ledger import Ledger, Tallies
from capture.run.limits import Limits
from capture.run.roster import Roster
from capture.sink.protocol import FileEnd, ReaderGoneError, Sink

STALLED_SECONDS = 3.0
"""Time without any progress after which the reader of the output is given up at the end, seconds."""


class Output:
    """The output of a capture. After the first error, only the end of the file is still written, if possible."""

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
        """Names of addresses known now, for the next file."""
        self._named: set[Address] = set()
        self._writes = 0
        self._before: deque[tuple[int, Tallies]] = deque()
        """(number of a write that may not have arrived, tallies before it), in order."""
        self._introduced: deque[tuple[int, int]] = deque()
        """(number of a write, interfaces that readers know after it), in order; only the last that has arrived."""
        self._begun: deque[tuple[int, list[Account], int, int]] = deque()
        """Files that may be incomplete: (number, accounts before it, its beginning on CLOCK_MONOTONIC in ns, and the
        wall clock's offset then)."""
        self.events = 0
        """Events of the kernel that were written."""
        self.on_file: Callable[[FileStart], None] | None = None
        """Called when a file has begun, in the loop over packets."""
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
        self._report_start([], now_ns, offset_ns)

    def _report_start(self, accounts: Sequence[Account], now_ns: int, offset_ns: int) -> None:
        if self.on_file is None:
            return
        pairs = zip(self._roster.members, accounts, strict=False)
        self.on_file(
            FileStart(
                path=self._sink.files[-1].path,
                began_ns=now_ns,
                offset_ns=offset_ns,
                accounts=[account for member, account in pairs if not member.planned.place.events],
                events=self.events,
                late=self._limits.late,
                ordered=self._limits.ended_by_order,
            )
        )

    def _opening(self, clock_state: str, offset_ns: int, present: Collection[PlannedInterface]) -> bytes:
        self._named = set(self.names)
        interfaces = [member.planned for member in self._roster.members]
        return section.opening(self._plan, interfaces, present, self.names, clock_state, offset_ns)

    def add_interfaces(self, added: Sequence[PlannedInterface], before: Tallies) -> str | None:
        """Write blocks of new interfaces, and of addresses without a name in this file, before their first packet.

        An address has one name in a file: if another pod gets it, this file keeps the first name. Returns a reason to
        end the capture, None to go on.
        """
        names = {address: name for address, name in self.names.items() if address not in self._named}
        blocks = section.introduction(self._plan, added, names)
        if self.failure is not None or not blocks:
            return None
        if not self._limits.reserve(len(blocks) + section.closing_bytes(len(added))):
            return "size reached"
        self._named |= set(names)
        while len(self._introduced) > 1 and self._introduced[1][0] <= self._sink.durable:
            self._introduced.popleft()
        self._introduced.append((self._writes + 1, self._introduced[-1][1] + len(added)))
        return self.write([memoryview(blocks)], before)

    def room(self, seconds: float) -> bool:
        """True if `write` need not wait; waits at most `seconds` for that."""
        if self.failure is None:
            try:
                return self._sink.room(seconds)
            except SinkError as error:
                self._fail(error)
        return True

    def write(self, parts: Sequence[memoryview], before: Tallies) -> str | None:
        """Write packets, in parts; `before` is the tallies without them. Returns a reason to end, None to go on."""
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

    def write_event(self, block: bytes) -> str | None:
        """Write a block that is no packet of an interface, if limits leave room. Returns a reason to end, or None."""
        if self.failure is not None or self._limits.reached or not self._limits.reserve(len(block)):
            return self.check()
        self.events += 1
        return self.write([memoryview(block)], self._ledger.moved.copy())

    @property
    def place(self) -> FileEnd | None:
        """See Sink.place."""
        try:
            return self._sink.place if self.failure is None else None
        except SinkError as error:
            self._fail(error)
            return None

    def wrote(self, place: FileEnd, calls: int, size: int) -> str | None:
        """Note that packets were written to `place`. Returns a reason to end, None to go on."""
        self._writes += calls
        place.wrote(calls, size)
        return self.check()

    def check(self) -> str | None:
        """Return a reason to end the capture, None to go on."""
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
        """Complete this file and begin the next. Returns a reason to end if that is not possible, else None."""
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
        while self._begun[0][0] < self._at_file - 1:  # a removal in another thread may count one file twice
            self._begun.popleft()
        self._report_start(accounts, now_ns, offset_ns)
        return None

    def _closing(self, accounts: Sequence[Account], now_ns: int, offset_ns: int, more: str) -> bytes:
        _, before, began_ns, began_offset_ns = self._begun[-1]
        known, spans = self._known_to_readers, []
        for member, (account, earlier) in zip(
            self._roster.members, zip_longest(accounts, before, fillvalue=Account()), strict=True
        ):
            if member.planned.place.events:
                continue
            ended_ns = min(member.ended_ns or now_ns, now_ns)
            if member.planned.slot < known and (ended_ns >= began_ns or account != earlier):
                start_ns = max(began_ns, min(member.began_ns, ended_ns)) + began_offset_ns
                spans.append(section.Span(member.planned.slot, account - earlier, start_ns, ended_ns + offset_ns))
        return section.closing(spans, more)

    @property
    def _known_to_readers(self) -> int:
        """Number of interfaces whose block is in the output; a limit or an error may have kept out later ones."""
        arrived = self._writes if self.failure is None else self._sink.durable
        return next((known for number, known in reversed(self._introduced) if number <= arrived), 0)

    @property
    def _at_file(self) -> int:
        """Number of the file that the sink is writing; later ones may wait in its queue."""
        return max(len(self._sink.files) + self._sink.files_removed, 1)

    def flush(self) -> None:
        """Wait until everything is written, as long as there is progress."""
        durable = -1
        try:
            while self.failure is None and not self._sink.flush(STALLED_SECONDS):
                if self._sink.durable == durable:
                    raise SinkError(f"{self._reader} stopped reading; the rest was not written")
                durable = self._sink.durable
        except SinkError as error:
            self._fail(error)

    @property
    def _reader(self) -> str:
        return "the reader of standard output" if self._sink.name == "-" else self._sink.name

    def end(self, now_ns: int, offset_ns: int, more: str) -> None:
        """Write the statistics. This also completes the file after an error of the disk, with the packets it has."""
        self.flush()
        if isinstance(self.failure, ReaderGoneError):
            return
        self._sink.finish()
        while self.failure is not None and self._begun[-1][0] > self._at_file:
            self._begun.pop()
        try:
            if not self._sink.room():
                return
            self._sink.write(self._closing(self._counted(), now_ns, offset_ns, more))
            if not self._sink.flush(STALLED_SECONDS):
                return
        except SinkError as error:
            self.failure = self.failure or error
            return
        self.complete = True
