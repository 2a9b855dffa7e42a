"""A plan with a recording -> packets in memory, and an incident in a folder for each trigger that fires.

    with Recorder(plan) as recorder:
        recorder.run()

Nothing is read from the memory until a trigger fires, so waiting costs no CPU but a look at the counters each second.
Any thread may fire; the loop answers.
"""

import contextlib
import math
import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from capture.abi import HOOKS
from capture.analysis.application import messages
from capture.analysis.packets.reading import Batch
from capture.analysis.sessions import tracker
from capture.errors import BicapError, SinkError, SpecError, TargetError
from capture.filters.rule import Address
from capture.kernel import syscall
from capture.kernel.chunk_memory import ChunkMemory
from capture.kernel.counters import Counters, possible_cpus
from capture.kernel.netns import Namespace
from capture.kernel.program import module_of
from capture.kernel.reasons import Reasons
from capture.kernel.wallclock import clock_state, offset_samples
from capture.live.cause import Cause, Reply
from capture.live.incident import Incident, IncidentContext
from capture.live.incident_folder import IncidentFolder
from capture.live.incident_record import completed_line
from capture.live.live_packets import LivePackets
from capture.live.loss_rules import LossRules
from capture.live.reach import Reach
from capture.live.trigger_desk import TriggerDesk
from capture.live.trigger_rules import TriggerRule
from capture.live.watcher import LOOK_NS, Fired, Watcher
from capture.plan import CapturePlan
from capture.recording import RecordingSpec
from capture.run.account import Account
from capture.run.ending import Ending, Wake
from capture.run.ledger import Ledger
from capture.run.lineup import Lineup
from capture.run.reason_events import ReasonEvent, ReasonEvents
from capture.run.roster import Roster
from capture.run.start import await_time, conversations_map, has_ended, step
from capture.stream import remembered
from capture.stream.clock import Rounds, WallClock, wall_offset

WRITING_SECONDS = LOOK_NS / 1e9
"""Time between rounds of an incident, and between looks of rules."""
SECOND_NS = 10**9
LOOKS_KEPT = 64
"""Looks at the counters that are kept, spread over the time before a trigger."""


class Recorder:
    """A recorder, running between `__enter__` and `__exit__`; the constructor opens nothing.

    `rules` are evaluated on the packets as they are remembered; without rules nobody looks at them. `on_event` is
    called with a line of text when something changes, `on_attached` once when programs are attached: the caller may
    drop privileges then. `on_incident` gets the JSON of each incident that is complete, `on_fired` each cause that
    began or prolonged one.
    `onlooker` gets all packets that it can follow; with it there need be no folder.
    """

    def __init__(
        self,
        plan: CapturePlan,
        rules: Sequence[TriggerRule] = (),
        on_event: Callable[[str], None] = lambda _: None,
        on_attached: Callable[["Recorder"], None] = lambda _: None,
        on_incident: Callable[[dict[str, Any]], None] = lambda _: None,
        on_fired: Callable[[Cause], None] = lambda _: None,
        onlooker: Callable[[Batch], None] | None = None,
    ) -> None:
        if plan.spec.recording is None or (plan.spec.recording.folder is None and onlooker is None):
            raise SpecError("no folder for incidents given; name one with --incidents")
        self.plan, self._recording = plan, plan.spec.recording
        self._rules, self._onlooker = rules, onlooker
        self._folder_path = plan.spec.recording.folder
        self._on_event, self._on_attached, self._on_incident = on_event, on_attached, on_incident
        self.roster = Roster()
        self.incidents: list[str] = []
        """Paths of the incidents that were written."""
        self.reach: Reach | None = None
        self._ending = Ending()
        self._desk: TriggerDesk[Incident] = TriggerDesk(
            self._recording.cooldown_ns, self._begin, lambda: self._wake.notify(), on_event, on_fired
        )
        self._stack = contextlib.ExitStack()

    @property
    def recording(self) -> RecordingSpec:
        """The recording of the plan."""
        return self._recording

    def __enter__(self) -> "Recorder":
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._on_attached(self)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack: contextlib.ExitStack) -> None:
        plan = self.plan
        with step("waking up"):
            self._wake = stack.enter_context(contextlib.closing(Wake()))
        self._folder: IncidentFolder | None = None
        if self._folder_path is not None:
            self._folder = IncidentFolder(self._folder_path, self._recording, plan.spec.storage.user)
        self._ending.wakes(self._wake)
        self._namespace = stack.enter_context(contextlib.closing(Namespace(plan.spec.netns)))
        with step("compiling the programs"):
            module = stack.enter_context(contextlib.closing(module_of(plan)))
        with step("loading the compiled loops"):
            remembered.compiled()
            if self._rules or self._onlooker:
                tracker.compiled()
                messages.compiled()
        with step("mapping the memory"):
            self.memory = stack.enter_context(contextlib.closing(ChunkMemory(plan, module)))
            self._counters = Counters(module.map_fd("accounts"), possible_cpus())
            self._poll = stack.enter_context(contextlib.closing(select.epoll()))
            self._watch(self._wake.descriptor)
        with step("preparing interfaces"):
            conversations_map(plan, module)
            self._lineup = Lineup(plan, module, self.roster, self._wake, self._watch, self._on_event)
            stack.callback(self._lineup.close)
            self._names: dict[Address, str] = dict(self._lineup.prepare())
        self._reasons: ReasonEvents | None = None
        if plan.spec.reasons:
            with step("attaching to the kernel's reasons"):
                self._reasons = ReasonEvents(stack.enter_context(contextlib.closing(Reasons(plan, module))))
        await_time(plan.spec, self._ending, self._wake)
        with step("attaching programs"):
            self._lineup.attach()
            self._names |= self._lineup.await_first(lambda: has_ended(plan.spec, self._ending))
        if not self.roster.members:
            raise TargetError(f"nothing was recorded: {self._ending.reason} while waiting for {plan.spec.pods}")
        self._clock = WallClock(wall_offset(offset_samples()), clock_state())
        self.started_ns = time.monotonic_ns()
        self.reach = Reach(self.memory.arrays, self.started_ns)
        self._looks: deque[tuple[int, list[Account]]] = deque([(self.started_ns, self.accounts())], LOOKS_KEPT)
        self._watcher: Watcher | None = None
        self._live: LivePackets | None = None
        if any(rule.reason is None for rule in self._rules):
            self._watcher = Watcher(self._rules)
        if self._watcher or self._onlooker:
            self._live = LivePackets(self.memory.arrays, self.started_ns, self.roster.interfaces)
            self._rounds = Rounds()
        self._losses = LossRules(self._rules)
        self._about = IncidentContext(
            plan=plan,
            recording=self._recording,
            roster=self.roster,
            memory=self.memory,
            names=self._names,
            started_ns=self.started_ns,
            counted=self._accounts_with,
            counted_before=self._counted_before,
            reasons=self._reasons,
        )

    def _watch(self, descriptor: int) -> None:
        self._poll.register(descriptor, select.EPOLLIN)

    def stop(self, reason: str) -> None:
        """End the recorder; signal handlers and other threads may call this."""
        self._ending.because(reason)

    def ring(self, cause: Cause) -> None:
        """Fire, without waiting for the answer; signal handlers may call this."""
        self._desk.ring(cause)

    def fire(self, cause: Cause) -> Reply:
        """Fire from another thread than that of `run`, and return the answer."""
        return self._desk.fire(cause)

    def accounts(self) -> list[Account]:
        """Return the accounts of all interfaces since the start; packets that are remembered are on their way."""
        return self._accounts_with(Ledger(len(self.roster.members)))

    def _accounts_with(self, ledger: Ledger) -> list[Account]:
        return ledger.accounts(self._counters.read(len(ledger.moved) * HOOKS))

    def _counted_before(self, at_ns: int) -> tuple[int, list[Account]]:
        earlier = [look for look in self._looks if look[0] <= at_ns]
        at_ns, accounts = earlier[-1] if earlier else self._looks[0]
        return at_ns, list(accounts)

    def run(self, on_tick: Callable[["Recorder"], None] = lambda _: None, tick_ns: int = SECOND_NS) -> None:
        """Record until the time of the spec is over, all interfaces are deleted, or `stop` is called.

        `on_tick` is called every `tick_ns`, which is at most a second.
        """
        next_second = next_tick = time.monotonic_ns() + tick_ns
        while self._ending.reason is None:
            now = time.monotonic_ns()
            left = self._seconds_left(now)
            if left <= 0:
                break
            pause = (
                WRITING_SECONDS
                if self._desk.incident or self._live or self._reasons
                else max(0.0, (min(next_second, next_tick) - now) / SECOND_NS)
            )
            ready = [descriptor for descriptor, _ in self._poll.poll(min(pause, left))]
            if self._wake.descriptor in ready:
                self._wake.clear()
            self._lineup.end_deleted(ready)
            _, names = self._lineup.follow()
            self._names |= names
            self._look_at_reasons()
            self._look()
            self._desk.answer()
            self._write()
            if time.monotonic_ns() >= next_second:
                next_second = time.monotonic_ns() + SECOND_NS
                self._each_second()
            if time.monotonic_ns() >= next_tick:
                next_tick = time.monotonic_ns() + tick_ns
                on_tick(self)

    def _seconds_left(self, now: int) -> float:
        spec, left = self.plan.spec, math.inf
        if spec.duration_ns is not None:
            left = (self.started_ns + spec.duration_ns - now) / SECOND_NS
            if left <= 0:
                self._ending.because("duration reached")
        if has_ended(spec, self._ending):
            return 0
        return left

    def _each_second(self) -> None:
        now = time.monotonic_ns()
        self._clock.measured(wall_offset(offset_samples()), now)
        if self._namespace.gone:
            self._ending.because(f"network namespace {self._namespace.name} was deleted")
        self._lineup.end_deleted()
        if not self.roster.present and not self.plan.spec.follows:
            names = ", ".join(interface.name for interface in self.roster.interfaces)
            self._ending.because(f"interface {names} was deleted")
        if now - self._looks[-1][0] >= max(SECOND_NS, 2 * self._recording.before_ns // LOOKS_KEPT):
            self._looks.append((now, self.accounts()))
        assert self.reach is not None
        self.reach.look(now)
        if self._folder is not None:
            self._folder.make_room(time.time_ns(), keep=self._desk.incident.path if self._desk.incident else None)

    def _look(self) -> None:
        """Let the rules see what has been remembered since the last look."""
        if self._live is None:
            return
        self.memory.settle()
        now = time.monotonic_ns()
        final_ns = self._rounds.final_before(now)
        if final_ns == 0:
            return
        self._live.introduce(self.roster.interfaces)
        for batch in self._live.batches(final_ns):
            if self._onlooker is not None:
                self._onlooker(batch)
            for fired in self._watcher.feed(batch) if self._watcher else ():
                self._desk.handle(_cause(fired))
        for fired in self._watcher.look(final_ns) if self._watcher else ():
            self._desk.handle(_cause(fired))
        for cause in self._losses.look(now, self.accounts):
            self._desk.handle(cause)

    def _look_at_reasons(self) -> None:
        if self._reasons is None:
            return
        for event in self._reasons.take():
            for rule in self._rules:
                if rule.reason is not None and rule.reason(event.reason):
                    self._desk.handle(_cause_of_event(rule, event))

    @property
    def missed(self) -> int:
        """Packets that were overwritten before rules or the onlooker saw them."""
        return self._live.missed if self._live is not None else 0

    @property
    def names(self) -> Mapping[Address, str]:
        """Names of addresses."""
        return self._names

    def _begin(self, cause: Cause) -> Incident:
        if self._folder is None:
            raise SinkError("there is no folder for incidents")
        self._clock.new_file()
        offset_ns = self._clock.offset_ns
        path = self._folder.new_path(cause.rule, cause.at_ns + offset_ns)
        self._folder.make_room(time.time_ns(), incidents=1)
        return Incident(self._about, path, cause, self._clock.state, offset_ns, self._desk.refused)

    def _write(self) -> None:
        if self._desk.incident is None:
            return
        try:
            if self._desk.incident.round():
                self._finish_incident("")
        except SinkError as error:
            self._finish_incident(str(error))

    def _finish_incident(self, reason: str) -> None:
        incident = self._desk.over()
        since_ns = incident.span.cause.at_ns - self._recording.before_ns
        steps = [one for one in self._clock.steps if one.at_ns >= since_ns]
        try:
            found = incident.finish(reason, steps)
        except SinkError as error:
            self._on_event(f"{incident.path} is not complete: {error}")
            return
        self.incidents.append(incident.path)
        self._on_event(completed_line(found))
        if self._folder is not None:
            self._folder.make_room(time.time_ns())
        self._on_incident(found)

    @property
    def end_reason(self) -> str:
        """Why the recorder ended."""
        return self._ending.reason or "stopped"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._ending.because("stopped" if error is None else f"ended by {kind.__name__ if kind else error}")
        try:
            self._lineup.detach()
            if self._reasons is not None:
                self._reasons.detach()
            syscall.wait_for_programs()
            self._desk.close()
            if self._desk.incident is not None:
                self._finish_incident(self.end_reason)
            if error is None:
                self._check()
        finally:
            self._stack.close()

    def _check(self) -> None:
        """Raise BicapError if a packet that matched was neither remembered, left out nor lost: that is a bug."""
        expected = sum(account.both.on_its_way for account in self.accounts())
        found = remembered.packets_so_far(self.memory.arrays)
        if expected != found:
            raise BicapError(f"bug: {expected} packets should have been remembered, and {found} were")


def _cause_of_event(rule: TriggerRule, event: ReasonEvent) -> Cause:
    return Cause(
        rule=rule.text,
        at_ns=event.time_ns,
        reason=event.reason.sentence,
        value=str(event.reason),
        session=event.session,
        packet_ns=event.time_ns,
    )


def _cause(fired: Fired) -> Cause:
    return Cause(
        rule=fired.rule,
        at_ns=fired.at_ns,
        reason=fired.reason,
        value=fired.value,
        session=fired.session,
        packet_ns=fired.packet_ns,
    )
