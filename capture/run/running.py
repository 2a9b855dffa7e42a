"""A capture with attached programs -> its rounds, the checks between them, and its summary at the end."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from capture.abi import INBOUND, OUTBOUND
from capture.errors import SpecError
from capture.filters.conversations import Conversation
from capture.kernel import syscall
from capture.kernel.conversations_map import ConversationsMap
from capture.kernel.netns import Namespace
from capture.kernel.records import Records
from capture.kernel.wallclock import offset_samples
from capture.plan import CapturePlan
from capture.run import section
from capture.run.account import Account
from capture.run.drain import Drain, Round
from capture.run.ending import Ending, Wake
from capture.run.ledger import Ledger
from capture.run.limits import Limits
from capture.run.lineup import Lineup
from capture.run.output import Output
from capture.run.reason_events import ReasonEvents
from capture.run.summary import Summary
from capture.sampling.levels import LevelChange
from capture.sink.protocol import Sink
from capture.stream.clock import WallClock, wall_offset
from capture.stream.compiled import merge

IDLE_SECONDS = 0.2
"""Longest time between rounds: a live reader waits that long for packets that are too few to wake us."""
UNSETTLED_SECONDS = 0.05
"""Longest time to the next round when a ring holds records that were too young to be final."""
MEASURING_SECONDS = 0.01
"""Longest time between readings of the kernel's run-time statistics, which slow every packet while they are on."""
CLOCK_SECONDS = 1.0
"""Time between measurements of the wall clock's offset, and between checks of namespaces and output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCapture:
    """All parts of a running capture; run.start makes them, and registers how they are closed.

    `started_ns` is the CLOCK_MONOTONIC time from which packets are captured, `cpu_ns` the CPU time of the process at
    the start.
    """

    plan: CapturePlan
    sink: Sink
    ending: Ending
    wake: Wake
    namespace: Namespace
    records: Records
    conversations: ConversationsMap | None
    lineup: Lineup
    ledger: Ledger
    limits: Limits
    clock: WallClock
    output: Output
    drain: Drain
    reasons: ReasonEvents | None
    accounts: Callable[[], list[Account]]
    """A snapshot per interface. While packets flow, some are on their way to the file."""
    started_ns: int
    cpu_ns: int

    def begin(self) -> None:
        """Write the opening blocks. Raises SinkError, SpecError."""
        self.output.begin(self.clock.state, self.clock.offset_ns, time.monotonic_ns())

    def run(self, on_tick: Callable[[], None] | None, interval: float) -> None:
        """Capture until there is a reason to end."""
        next_clock = next_tick = time.monotonic_ns()
        last = Round(pending=False, full=False)
        while self.ending.reason is None:
            now = time.monotonic_ns()
            left = self._seconds_left(now)
            if left <= 0:
                break
            if not last.full:
                pause = UNSETTLED_SECONDS if last.pending else IDLE_SECONDS
                if self.lineup.cost.measuring:
                    pause = MEASURING_SECONDS
                ready = self.records.wait(min(pause, left))
                if self.wake.descriptor in ready:
                    self.wake.clear()
                self._end_deleted(ready)
            last = self.drain.round(self._follow_pods)
            self._end_if(last.end)
            now = time.monotonic_ns()
            self.lineup.cost.tick(now)
            if now >= next_clock:
                self._each_second(now)
                next_clock = now + int(CLOCK_SECONDS * 1e9)
            if on_tick is not None and now >= next_tick:
                on_tick()
                next_tick = now + int(interval * 1e9)

    def _seconds_left(self, now: int) -> float:
        """Return the seconds until the duration or the stop time is reached; ends the capture when it is."""
        spec, left = self.plan.spec, math.inf
        if spec.duration_ns:
            left = (self.started_ns + spec.duration_ns - now) / 1e9
            if left <= 0:
                self.ending.because("duration reached")
        if spec.stop_at_ns:
            left = min(left, (spec.stop_at_ns - self.clock.offset_ns - now) / 1e9)
            if left <= 0:
                self.ending.because("time to stop reached")
        return left

    def _each_second(self, now: int) -> None:
        self.clock.measured(wall_offset(offset_samples()), now)
        if self.namespace.gone:
            self.ending.because(f"network namespace {self.namespace.name} was deleted")
        self._end_deleted()
        self._end_if(self.output.check())

    def _end_if(self, reason: str | None) -> None:
        if reason is not None:
            self.ending.because(reason)

    def _end_deleted(self, ready: Collection[int] | None = None) -> None:
        self.lineup.end_deleted(ready)
        if not self.lineup.roster.present and not self.plan.spec.follows:
            names = ", ".join(interface.name for interface in self.lineup.roster.interfaces)
            self.ending.because(f"interface {names} was deleted")

    def _follow_pods(self) -> None:
        added, names = self.lineup.follow()
        if added or names:
            before = self.ledger.moved.copy()
            self.ledger.grow(len(self.lineup.roster.members))
            self.output.names |= names
            self._end_if(self.output.add_interfaces(added, before))

    def accounts_of_packets(self) -> list[Account]:
        """Return the accounts of the interfaces on which packets are captured."""
        pairs = zip(self.lineup.roster.members, self.accounts(), strict=True)
        return [account for member, account in pairs if not member.planned.place.events]

    def replace_conversations(self, conversations: Sequence[Conversation]) -> tuple[int, int]:
        """See Capture.replace_conversations."""
        if conversations and self.plan.spec.conversations is None:
            raise SpecError("the capture was not started with a list of conversations; there is none to change")
        return self.conversations.replace(conversations) if self.conversations else (0, 0)

    @property
    def written_until_ns(self) -> int:
        """Wall-clock time before which all packets were given to the output."""
        return max(self.drain.written_until_ns, self.started_ns) + self.clock.offset_ns

    def finish(self, trouble: str | None) -> Summary:
        """Detach, wait for running programs, drain the rings, complete the file. Returns the summary.

        `trouble` is the exception that ended the capture, as text; None if there was none.
        """
        self.lineup.detach()
        if self.reasons is not None:
            self.reasons.detach()
        syscall.wait_for_programs()
        self.drain.finish()
        ended_ns, offset_ns = time.monotonic_ns(), self.clock.offset_ns
        changes = on_wall_clock(self.records.level_changes, self.clock)
        self.output.end(ended_ns, offset_ns, section.pressure(self.plan, changes))
        return Summary(
            plan=self.plan,
            version=version("bicap"),
            output=self.sink.name,
            output_bytes=self.sink.bytes_written,
            files=self.sink.files,
            files_removed=self.sink.files_removed,
            complete=self.output.complete,
            end_reason=trouble or self.ending.reason or "stopped",
            started_ns=self.started_ns + offset_ns,
            ended_ns=ended_ns + offset_ns,
            members=self.lineup.roster.captured,
            accounts=self.accounts_of_packets(),
            reasons=None if self.reasons is None else {"events": self.output.events} | self.reasons.as_json(),
            inbound=self.ledger.view(INBOUND),
            outbound=self.ledger.view(OUTBOUND),
            pressure=changes,
            events=self.lineup.events,
            clock=self.clock.state,
            clock_offset_ns=offset_ns,
            clock_steps=self.clock.steps,
            late=int(self.limits.state[merge.LATE]),
            overflow=self.drain.overflow,
            late_most_ns=int(self.limits.state[merge.LATE_MOST_NS]),
            process_cpu_ns=time.process_time_ns() - self.cpu_ns,
            kernel_ns_per_packet=self.lineup.cost.ns_per_packet(),
        )


def on_wall_clock(changes: Sequence[LevelChange], clock: WallClock) -> list[LevelChange]:
    """Return changes of the level with wall-clock times, as in the file."""
    return [LevelChange(change.at_ns + clock.offset_ns, change.level) for change in changes]
