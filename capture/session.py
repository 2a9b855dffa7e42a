"""A plan -> a running capture: loads, attaches, drains, and ends with a complete file and exact accounts.

    with Session(plan, open_sink("out.pcapng")) as session:
        session.run()
    print(session.summary.total)

This is the one place that is a list of steps. It owns the lifetime of everything: programs, rings, namespaces.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version

import numpy as np

from capture.account import Account, check
from capture.errors import SinkError, SpecError, TargetError
from capture.filters.conversations import Conversation
from capture.kernel import syscall
from capture.kernel.batches import Batches, can_visit
from capture.kernel.conversations import ConversationsMap
from capture.kernel.counters import Counters, online_cpus, possible_cpus
from capture.kernel.features import choose_hook
from capture.kernel.netns import Namespace
from capture.kernel.pressure import PressureGauge
from capture.kernel.program import module_of
from capture.kernel.rings import Rings
from capture.kernel.wallclock import clock_state, offset_samples
from capture.ledger import Ledger
from capture.limits import Limits
from capture.lineup import Lineup, pause
from capture.output import Output
from capture.plan import CapturePlan, make_plan
from capture.roster import Roster
from capture.sampling.pressure import LevelChange
from capture.sink.protocol import ReaderGoneError, Sink
from capture.spec import CaptureSpec
from capture.stream import merge
from capture.stream.clock import Rounds, WallClock, wall_offset
from capture.stream.layout import HOOKS, INBOUND, OUTBOUND
from capture.summary import Summary
from capture.targets.finder import Finder

WRITE_BYTES = 1 << 18
IDLE_SECONDS = 0.2
"""A live reader waits at most this long for a packet that wakes nobody."""
UNSETTLED_SECONDS = 0.05
"""Until the next round when a ring holds records that were too young to be final."""
PATIENCE_NS, HURRIED_PATIENCE_NS = 100_000_000, 20_000_000
"""How old a record may become on a CPU without further packets before the reader goes there to flush it; hurried
while rings fill, because nothing younger is final. Going to a busy CPU takes its scheduler's time."""
MEASURING_SECONDS = 0.01
"""Between looks at the kernel's run-time statistics, which slow every packet while they are on."""
CLOCK_SECONDS = 1.0
ROOM_SECONDS = 0.01
"""How long a round waits for an output that takes nothing; limits and signals are looked at in between."""


def plan_capture(spec: CaptureSpec) -> CapturePlan:
    """Look up what the spec names and plan its capture. Raises TargetError, SpecError, PrivilegeError."""
    finder = Finder(spec)
    try:
        found = finder.look()
    finally:
        finder.close()
    if not found.places and found.refusal is not None:
        raise found.refusal
    if not found.places and not (spec.pods and spec.pods.wait):
        raise TargetError(
            f"nothing to capture on: {'; '.join(found.troubles)}"
            if found.troubles
            else f"nothing to capture on: not on this node: {spec.pods}; `bicap pods` lists what is, "
            "--wait waits for it"
        )
    cpus = online_cpus()
    batching = can_visit(cpus)
    return make_plan(spec, found.places, choose_hook(spec.hook), cpus, batching, found.addresses)


class Session:
    """A capture, running between `__enter__` and `__exit__`.

    `summary` is there afterwards, also if the output could not be written to the end, which `__exit__` raises.
    `on_event` is told a line when pods come or go, or when something about them is wrong. `on_attached` is called
    once, when programs are in place and before the output is opened: privileges may be given up there.
    """

    def __init__(
        self,
        plan: CapturePlan,
        sink: Sink,
        on_event: Callable[[str], None] = lambda _: None,
        on_attached: Callable[["Session"], None] = lambda _: None,
    ) -> None:
        self.plan, self._sink, self._on_attached = plan, sink, on_attached
        self.summary: Summary | None = None
        self._stack = contextlib.ExitStack()
        self._end_reason: str | None = None
        self._rounds = Rounds()
        self._waiting = 0
        self._ledger = Ledger(0)
        self._limits = Limits(plan.spec)
        self._blocks = np.empty(WRITE_BYTES // 4 + merge.LARGEST_BLOCK_WORDS, np.uint32)
        self._pieces = np.zeros((merge.PIECES_MOST, merge.PIECE_COLUMNS), np.int64)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stack.callback(os.close, self._wake)
        self._lineup = Lineup(plan, self._wake, on_event)
        self._cost = self._lineup.cost
        self._output = Output(plan, self._lineup.roster, sink, self._ledger, self._limits, self.accounts)

    def __enter__(self) -> "Session":
        try:
            self._start()
        except BaseException:
            self._lineup.detach()
            self._stack.close()
            with contextlib.suppress(SinkError):
                self._sink.close()
            raise
        return self

    def _start(self) -> None:
        plan, stack = self.plan, self._stack
        self._namespace = Namespace(plan.spec.netns)
        stack.callback(self._namespace.close)
        cpus = possible_cpus()
        module = module_of(plan)
        stack.callback(module.close)
        merge.compiled()
        self._rings = Rings(plan.cpus, plan.ring_bytes, plan.watermark, module.map_fd("rings"))
        stack.callback(self._rings.close)
        self._heads = np.zeros(len(plan.cpus), np.int64)
        self._cursors = np.zeros((len(plan.cpus), 2), np.int64)
        flush = module.load("flush_waiting")
        stack.callback(os.close, flush)
        self._batches = Batches(module.map_fd("batch_states"), flush, cpus, plan.cpus)
        stack.callback(self._batches.close)
        self._gauge: PressureGauge | None = None
        if plan.sampling.levels.top:
            self._gauge = PressureGauge(module, self._batches, plan.cpus, cpus, plan.ring_bytes)
            stack.callback(self._gauge.close)
        self._counters = Counters(module.map_fd("accounts"), cpus)
        room = dict(plan.filter.switches)["CONVERSATIONS"]
        self._conversations = (
            ConversationsMap(module.map_fd("conversations"), room, plan.filter.exact) if room else None
        )
        self.replace_conversations(plan.filter.listed)
        self._rings.watch(self._wake)
        stack.callback(self._lineup.close)
        self._output.names |= self._lineup.prepare(module, self._rings.watch)

        self._await_start()
        self._lineup.attach()
        self._output.names |= self._lineup.await_first(self._waits_in_vain)
        if not self.roster.members:
            raise TargetError(f"nothing was captured: {self._end_reason} while waiting for {self.plan.spec.pods}")
        self._ledger.grow(len(self.roster.members))
        self._clock = WallClock(wall_offset(offset_samples()))
        self._clock_state = clock_state()
        self._started_ns = self.roster.members[0].began_ns  # packets come from then on
        self._cpu_ns = time.process_time_ns()
        self._cost.start()
        stack.callback(self._cost.stop)
        self._on_attached(self)
        # Only here: a capture that cannot start leaves an earlier file as it was.
        self._output.begin(self._clock_state, self._clock.offset_ns, time.monotonic_ns())

    @property
    def roster(self) -> Roster:
        """The interfaces that the capture has, and had."""
        return self._lineup.roster

    def _await_start(self) -> None:
        """Everything is ready; nothing is attached, and costs a packet, before its time."""
        spec = self.plan.spec
        if spec.stop_at_ns is not None and spec.stop_at_ns <= time.time_ns():
            raise SpecError("stop-at is in the past")
        while spec.start_at_ns is not None and self._end_reason is None:
            seconds = (spec.start_at_ns - time.time_ns()) / 1e9
            if seconds <= 0:
                break
            pause(self._wake, min(seconds, CLOCK_SECONDS))  # the clock may be set meanwhile

    def _waits_in_vain(self) -> bool:
        stop_at_ns = self.plan.spec.stop_at_ns
        if stop_at_ns is not None and stop_at_ns <= time.time_ns():
            self.stop("time to stop reached")
        return self._end_reason is not None

    def stop(self, reason: str) -> None:
        """End the capture; may be called from a signal handler or another thread."""
        if self._end_reason is None:
            self._end_reason = reason
            os.eventfd_write(self._wake, 1)

    def replace_conversations(self, conversations: Sequence[Conversation]) -> tuple[int, int]:
        """Match these instead of the list from now on; how many came and went. Any thread may call it.

        Rules stay as they are. Raises SpecError if the capture was not planned with a list, or if there are too many.
        """
        if conversations and self.plan.spec.conversations is None:
            raise SpecError("the capture was not started with a list of conversations; there is none to change")
        return self._conversations.replace(conversations) if self._conversations else (0, 0)

    def run(self, on_tick: Callable[["Session"], None] | None = None, interval: float = 1.0) -> None:
        """Capture until a limit, an error of the output, the end of all interfaces, or `stop`."""
        next_clock = next_tick = time.monotonic_ns()
        waiting, more = False, False
        while self._end_reason is None:
            now = time.monotonic_ns()
            left = self._seconds_left(now)
            if left <= 0:
                break
            if not more:
                pause = UNSETTLED_SECONDS if waiting else IDLE_SECONDS
                if self._cost.measuring:
                    pause = MEASURING_SECONDS
                ready = self._rings.wait(min(pause, left))
                if self._wake in ready:
                    os.eventfd_read(self._wake)
                self._forget_deleted(ready)
            waiting, more = self._round()
            now = time.monotonic_ns()
            self._cost.tick(now)
            if now >= next_clock:
                self._each_second(now)
                next_clock = now + int(CLOCK_SECONDS * 1e9)
            if on_tick is not None and now >= next_tick:
                on_tick(self)
                next_tick = now + int(interval * 1e9)

    def _seconds_left(self, now: int) -> float:
        """Until the time for which the capture was asked is over, which ends it."""
        spec, left = self.plan.spec, float("inf")
        if spec.duration_ns:
            left = (self._started_ns + spec.duration_ns - now) / 1e9
            if left <= 0:
                self.stop("duration reached")
        if spec.stop_at_ns:
            left = min(left, (spec.stop_at_ns - self._clock.offset_ns - now) / 1e9)
            if left <= 0:
                self.stop("time to stop reached")
        return left

    def _each_second(self, now: int) -> None:
        self._clock.measured(wall_offset(offset_samples()), now)
        if self._namespace.gone:
            self.stop(f"network namespace {self._namespace.name} was deleted")
        self._forget_deleted()
        self._stop_if(self._output.check())

    def _stop_if(self, reason: str | None) -> None:
        if reason is not None:
            self.stop(reason)

    def _forget_deleted(self, ready: Collection[int] | None = None) -> None:
        self._lineup.forget_deleted(ready)
        if not self.roster.present and not self.plan.spec.follows:
            names = ", ".join(interface.name for interface in self.roster.interfaces)
            self.stop(f"interface {names} was deleted")

    def _follow_pods(self) -> None:
        come, names = self._lineup.take()
        if come or names:
            before = self._ledger.moved.copy()
            self._ledger.grow(len(self.roster.members))
            self._output.names |= names
            self._stop_if(self._output.interfaces_come(come, before))

    def _round(self) -> tuple[bool, bool]:
        """Write what is final, at most one buffer of it: whether anything waits, and whether the buffer is full.

        Only a full buffer is followed by another round at once. Draining on until the rings are empty would run
        in ever smaller portions, and cost several times more per packet.
        """
        if not self._output.room(ROOM_SECONDS):
            return True, True
        self._follow_pods()
        hurry = self._waiting > self.plan.ring_bytes // 8
        patience = HURRIED_PATIENCE_NS if hurry else PATIENCE_NS
        # First the batches, then the heads: what leaves a batch in between is in its ring when the heads are read.
        waits_ns = self._batches.settle(time.monotonic_ns() - patience)
        self._waiting = int(merge.snapshot(self._rings.longs, self._rings.stride, self._heads))
        now = time.monotonic_ns()
        words = self._merge(min(self._rounds.final_before(now), waits_ns))
        if self._gauge is not None:
            self._gauge.tell(self._heads - self._cursors[:, 0], now)
        return self._waiting > 0 or waits_ns < merge.NEVER, words * 4 >= WRITE_BYTES

    def _merge(self, final_ns: int) -> int:
        """Move one batch from the rings to the output, at most to the end of a file; 0 if there is no more."""
        before = self._ledger.moved.copy()
        rings, state = self._rings, self._limits.state
        final_in_file = self._limits.final_in_file(final_ns)
        words: int = merge.merge(
            rings.words,
            rings.longs,
            rings.stride,
            rings.page,
            self._heads,
            self._cursors,
            final_in_file,
            self._clock.offset_ns,
            self._blocks,
            self._pieces,
            state,
            self._ledger.moved,
        )
        if words:
            blocks = self._blocks[:words].view(np.uint8).data
            parts = merge.parts(blocks, rings.bytes, self._pieces[: state[merge.PIECES]])
            self._stop_if(self._output.write(parts, before))
            words += int(state[merge.PIECED])
        merge.release(rings.longs, rings.stride, self._cursors)
        self._stop_if(self._limits.reached)
        all_written = final_ns if words * 4 < WRITE_BYTES else 0
        if self._output.failure is None and self._limits.file_is_over(all_written):
            self._clock.new_file()
            now = time.monotonic_ns()
            self._stop_if(
                self._output.next_file(self._clock_state, self._clock.offset_ns, now, self._pressure_text())
            )
            return max(words, 1)
        return max(words, int(final_in_file < final_ns))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            self._finish(None if error is None else f"ended by {kind.__name__ if kind else error}")
        finally:
            self._stack.close()
            try:
                self._sink.close()
            except SinkError as failed:
                self._output.failure = self._output.failure or failed
                self._output.complete = False
            if self.summary is not None:  # a compressed file has its last bytes only now
                self.summary = replace(self.summary, files=self._sink.files, complete=self._output.complete)
        failure = self._output.failure
        if failure is not None and not isinstance(failure, ReaderGoneError) and error is None:
            raise failure

    def _finish(self, trouble: str | None) -> None:
        """Detach, wait for programs that still run, drain, and complete the file."""
        self._end_reason = trouble or self._end_reason or "stopped"
        self._lineup.detach()
        syscall.wait_for_programs()
        moved, waits_ns, final_ns = True, 0, time.monotonic_ns()
        while moved and waits_ns < merge.NEVER:  # a batch that found its ring full goes when that is drained
            waits_ns, read = self._batches.settle(merge.NEVER), self._cursors.copy()
            merge.snapshot(self._rings.longs, self._rings.stride, self._heads)
            while self._merge(final_ns):
                self._output.settle()
            moved = not np.array_equal(read, self._cursors)  # also what is over a limit makes room
        ended_ns = time.monotonic_ns()
        started, ended = (at + self._clock.offset_ns for at in (self._started_ns, ended_ns))
        self._output.end(ended_ns, self._clock.offset_ns, self._pressure_text())
        accounts = self.accounts()
        self.summary = Summary(
            plan=self.plan,
            version=version("bicap"),
            output=self._sink.name,
            output_bytes=self._sink.bytes_written,
            files=self._sink.files,
            files_removed=self._sink.files_removed,
            complete=self._output.complete,
            end_reason=self._end_reason,
            started_ns=started,
            ended_ns=ended,
            members=self.roster.members,
            accounts=accounts,
            inbound=self._ledger.view(INBOUND),
            outbound=self._ledger.view(OUTBOUND),
            pressure=[LevelChange(c.at_ns + self._clock.offset_ns, c.level) for c in self._pressure_changes()],
            events=self._lineup.events,
            clock=self._clock_state,
            clock_offset_ns=self._clock.offset_ns,
            clock_steps=self._clock.steps,
            late=int(self._limits.state[merge.LATE]),
            late_most_ns=int(self._limits.state[merge.LATE_MOST_NS]),
            process_cpu_ns=time.process_time_ns() - self._cpu_ns,
            kernel_ns_per_packet=self._cost.ns_per_packet(),
        )
        check(accounts)

    def _pressure_changes(self) -> list[LevelChange]:
        return self._gauge.changes if self._gauge else []

    def _pressure_text(self) -> str:
        """When payload or conversations were left out because rings filled, and which."""
        levels, share = self.plan.sampling.levels, float(self.plan.spec.sampling.flow_share)
        said = []
        for change in self._pressure_changes():
            at = datetime.fromtimestamp((change.at_ns + self._clock.offset_ns) / 1e9).astimezone()
            said.append(f"{at.isoformat(timespec='milliseconds')} {levels.words(change.level, share)}")
        return "under pressure: " + ", ".join(said) if said else ""

    def accounts(self) -> list[Account]:
        """A snapshot per interface. While packets flow, some are on their way to the file."""
        return self._ledger.accounts(self._counters.read(len(self.roster.members) * HOOKS))
