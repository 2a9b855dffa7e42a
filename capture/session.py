"""A plan -> a running capture: loads, attaches, drains, and ends with a complete file and exact accounts.

    with Session(plan, open_sink("out.pcapng")) as session:
        session.run()
    print(session.summary.total)

This is the one place that is a list of steps. It owns the lifetime of everything: programs, rings, namespaces.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from capture import section
from capture.account import Account, Losses, check, total
from capture.errors import SinkError, SpecError
from capture.filters.sessions import Conversation
from capture.kernel import syscall
from capture.kernel.attach import EGRESS, INGRESS, attach
from capture.kernel.batches import Batches, can_visit
from capture.kernel.cost import KernelCost
from capture.kernel.counters import Counters, online_cpus, possible_cpus
from capture.kernel.features import choose_hook
from capture.kernel.links import LinkWatch, find_interfaces
from capture.kernel.netns import Namespace
from capture.kernel.program import Module, module_of
from capture.kernel.rings import Rings
from capture.kernel.sessions import SessionsMap
from capture.kernel.wallclock import clock_state, offset_samples
from capture.ledger import Ledger
from capture.plan import CapturePlan, PlannedInterface, make_plan
from capture.sink.file import ReaderGoneError, Sink
from capture.spec import CaptureSpec
from capture.stream import merge
from capture.stream.clock import Rounds, WallClock, wall_offset
from capture.stream.layout import INBOUND, OUTBOUND
from capture.summary import Summary

WRITE_BYTES = 1 << 18
IDLE_SECONDS = 0.2
"""A live reader waits at most this long for a packet that wakes nobody."""
UNSETTLED_SECONDS = 0.02
"""Until the next round when a ring holds records that were too young to be final."""
PATIENCE_NS, HURRIED_PATIENCE_NS = 100_000_000, 20_000_000
"""How old a record may become on a CPU without further packets before the reader goes there to flush it; hurried
while rings fill, because nothing younger is final. Going to a busy CPU takes its scheduler's time."""
MEASURING_SECONDS = 0.01
"""Between looks at the kernel's run-time statistics, which slow every packet while they are on."""
CLOCK_SECONDS = 1.0
NO_LIMIT = 1 << 62


def plan_capture(spec: CaptureSpec) -> CapturePlan:
    """Look up what the spec names and plan its capture. Raises TargetError, SpecError, PrivilegeError."""
    namespace = Namespace(spec.netns)
    try:
        found = find_interfaces(spec.interfaces, namespace)
    finally:
        namespace.close()
    cpus = online_cpus()
    return make_plan(spec, found, choose_hook(spec.hook), cpus, batching=can_visit(cpus))


class Session:
    """A capture, running between `__enter__` and `__exit__`.

    `summary` is there afterwards, also if the output could not be written to the end, which `__exit__` raises.
    """

    def __init__(self, plan: CapturePlan, sink: Sink) -> None:
        self.plan, self._sink = plan, sink
        self.summary: Summary | None = None
        self._stack = contextlib.ExitStack()
        self._attached = contextlib.ExitStack()
        self._end_reason: str | None = None
        self._failure: SinkError | None = None
        self._rounds = Rounds()
        self._waiting = 0
        self._ledger = Ledger(len(plan.interfaces))
        self._state = np.zeros(merge.STATE_SLOTS, np.int64)
        self._state[merge.PACKETS_LEFT] = plan.spec.count or NO_LIMIT
        self._blocks = np.empty(WRITE_BYTES // 4 + merge.LARGEST_BLOCK_WORDS, np.uint32)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stack.callback(os.close, self._wake)

    def __enter__(self) -> "Session":
        try:
            self._start()
        except BaseException:
            self._attached.close()
            self._stack.close()
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
        self._batches = Batches(module.map_fd("batch_states"), flush, cpus)
        stack.callback(self._batches.close)
        self._counters = Counters(module.map_fd("accounts"), plan.rows, cpus)
        room = dict(plan.filter.switches)["SESSIONS"]
        self._sessions = SessionsMap(module.map_fd("sessions"), room, plan.filter.exact) if room else None
        self.replace_conversations(plan.filter.listed)
        self._links = LinkWatch(self._namespace)
        stack.callback(self._links.close)
        self._rings.watch(self._links.fileno())
        self._rings.watch(self._wake)

        self._clock = WallClock(wall_offset(offset_samples()))
        self._clock_state = clock_state()
        self._started_ns = time.monotonic_ns()
        self._cpu_ns = time.process_time_ns()
        self._programs: list[int] = []
        for interface in plan.interfaces:
            self._attach(module, interface)
        # Only here: a capture that cannot start leaves an earlier file as it was.
        self._sink.write(section.opening(plan, self._clock_state, self._clock.offset_ns))
        self._cost = KernelCost(self._programs)
        stack.callback(self._cost.stop)
        self._present = {interface.interface.key for interface in plan.interfaces}

    def _attach(self, module: Module, planned: PlannedInterface) -> None:
        from_pod, to_pod = (INGRESS, EGRESS) if planned.from_pod_is_ingress else (EGRESS, INGRESS)
        for entry, side in (("from_pod", from_pod), ("to_pod", to_pod)):
            program = module.load(entry, planned.slot)
            self._stack.callback(os.close, program)
            self._programs.append(program)
            place = attach(self.plan.hook, program, planned.interface, side, self._namespace)
            self._attached.callback(place.close)

    def stop(self, reason: str) -> None:
        """End the capture; may be called from a signal handler or another thread."""
        if self._end_reason is None:
            self._end_reason = reason
            os.eventfd_write(self._wake, 1)

    def replace_conversations(self, conversations: Sequence[Conversation]) -> tuple[int, int]:
        """Match these instead of the list of sessions from now on; how many came and went. Any thread may call it.

        Rules stay as they are. Raises SpecError if the capture was not planned with a list, or if there are too many.
        """
        if conversations and self.plan.spec.sessions is None:
            raise SpecError("the capture was not started with a list of sessions; there is none to change")
        return self._sessions.replace(conversations) if self._sessions else (0, 0)

    def run(self, on_tick: Callable[["Session"], None] | None = None, interval: float = 1.0) -> None:
        """Capture until a limit, an error of the output, the end of all interfaces, or `stop`."""
        duration = self.plan.spec.duration_ns
        deadline = self._started_ns + duration if duration else None
        next_clock = next_tick = time.monotonic_ns()
        waiting, more = False, False
        while self._end_reason is None:
            now = time.monotonic_ns()
            if deadline is not None and now >= deadline:
                self.stop("duration reached")
                break
            if not more:
                pause = UNSETTLED_SECONDS if waiting else IDLE_SECONDS
                if self._cost.measuring:
                    pause = MEASURING_SECONDS
                if deadline is not None:
                    pause = min(pause, (deadline - now) / 1e9)
                if self._links.fileno() in self._rings.wait(pause):
                    self._forget_deleted()
            waiting, more = self._round()
            now = time.monotonic_ns()
            self._cost.tick(now)
            if now >= next_clock:
                self._clock.measured(wall_offset(offset_samples()), now)
                next_clock = now + int(CLOCK_SECONDS * 1e9)
                if self._namespace.gone:
                    self.stop(f"network namespace {self._namespace.name} was deleted")
                self._forget_deleted()
            if on_tick is not None and now >= next_tick:
                on_tick(self)
                next_tick = now + int(interval * 1e9)

    def _forget_deleted(self) -> None:
        for index in self._links.deleted():
            self._present.discard((self._links.netns, index))
        if not self._present:
            names = ", ".join(interface.name for interface in self.plan.interfaces)
            self.stop(f"interface {names} was deleted")

    def _round(self) -> tuple[bool, bool]:
        """Write what is final, at most one buffer of it: whether anything waits, and whether the buffer is full.

        Only a full buffer is followed by another round at once. Draining on until the rings are empty would run
        in ever smaller portions, and cost several times more per packet.
        """
        hurry = self._waiting > self.plan.ring_bytes // 8
        patience = HURRIED_PATIENCE_NS if hurry else PATIENCE_NS
        # First the batches, then the heads: what leaves a batch in between is in its ring when the heads are read.
        waits_ns = self._batches.settle(time.monotonic_ns() - patience)
        self._waiting = int(merge.snapshot(self._rings.longs, self._rings.stride, self._heads))
        words = self._merge(min(self._rounds.final_before(time.monotonic_ns()), waits_ns))
        return self._waiting > 0 or waits_ns < merge.NEVER, words * 4 >= WRITE_BYTES

    def _merge(self, final_ns: int) -> int:
        """Move one batch from the rings to the sink; the number of words."""
        before = self._ledger.moved.copy()
        rings = self._rings
        words: int = merge.merge(
            rings.words,
            rings.longs,
            rings.stride,
            rings.page,
            self._heads,
            self._cursors,
            final_ns,
            self._clock.offset_ns,
            self._blocks,
            self._state,
            self._ledger.moved,
        )
        if words and self._failure is None:
            try:
                self._sink.write(self._blocks[:words].view(np.uint8).data)
            except SinkError as error:
                self._failure = error
                self.stop(str(error))
        if self._failure is not None:
            self._ledger.not_written(before)
        if self._state[merge.PACKETS_LEFT] == 0:
            self.stop("count reached")
        return words

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            self._finish(None if error is None else f"ended by {kind.__name__ if kind else error}")
        finally:
            self._stack.close()
            self._sink.close()
        if self._failure is not None and not isinstance(self._failure, ReaderGoneError) and error is None:
            raise self._failure

    def _finish(self, trouble: str | None) -> None:
        """Detach, wait for programs that still run, drain, and complete the file."""
        self._end_reason = trouble or self._end_reason or "stopped"
        self._attached.close()
        syscall.wait_for_programs()
        self._batches.settle(merge.NEVER)
        merge.snapshot(self._rings.longs, self._rings.stride, self._heads)
        while self._merge(merge.NEVER):
            pass
        ended_ns = time.monotonic_ns()
        accounts = self.accounts()
        started, ended = (at + self._clock.offset_ns for at in (self._started_ns, ended_ns))
        self._sink.finish()
        complete = not isinstance(self._failure, ReaderGoneError)
        if complete:
            try:
                self._sink.write(section.closing(accounts, started, ended))
            except SinkError as error:
                complete, self._failure = False, self._failure or error
        self.summary = Summary(
            plan=self.plan,
            version=version("bicap"),
            output=self._sink.name,
            output_bytes=self._sink.bytes_written,
            complete=complete,
            end_reason=self._end_reason,
            started_ns=started,
            ended_ns=ended,
            accounts=accounts,
            losses=self.losses(),
            inbound=self._ledger.view(INBOUND),
            outbound=self._ledger.view(OUTBOUND),
            clock=self._clock_state,
            clock_steps=self._clock.steps,
            late=int(self._state[merge.LATE]),
            late_most_ns=int(self._state[merge.LATE_MOST_NS]),
            process_cpu_ns=time.process_time_ns() - self._cpu_ns,
            kernel_ns_per_packet=self._cost.ns_per_packet(),
        )
        check(total(accounts), self.summary.losses)

    def losses(self) -> Losses:
        """What was lost so far, by reason."""
        return Losses(**self._batches.lost(), writing=self._ledger.unwritten)

    def accounts(self) -> list[Account]:
        """A snapshot per interface. While packets flow, `lost` includes what is still on its way to the file."""
        return self._ledger.accounts(self._counters.read())
