"""A plan and a sink -> a running capture, step by step; if a step fails, all steps before it are undone.

Steps that are slow or may fail come before the programs are attached, and the output is opened last: a capture that
cannot start costs no packet, and leaves an earlier file unchanged.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from capture.abi import HOOKS
from capture.errors import KernelError, SpecError, TargetError
from capture.kernel.conversations_map import ConversationsMap
from capture.kernel.counters import Counters, possible_cpus
from capture.kernel.netns import Namespace
from capture.kernel.program import Module, module_of
from capture.kernel.reasons import Reasons
from capture.kernel.records import Records
from capture.kernel.wallclock import clock_state, offset_samples
from capture.plan import CapturePlan
from capture.run import section
from capture.run.account import Account
from capture.run.drain import Drain
from capture.run.ending import Ending, Wake
from capture.run.ledger import Ledger
from capture.run.limits import Limits
from capture.run.lineup import Lineup
from capture.run.output import Output
from capture.run.reason_events import ReasonEvents
from capture.run.roster import Roster
from capture.run.running import CLOCK_SECONDS, RunningCapture, on_wall_clock
from capture.sink.protocol import Sink
from capture.spec import CaptureSpec
from capture.stream.clock import WallClock, wall_offset
from capture.stream.compiled import portions


def start(
    plan: CapturePlan,
    sink: Sink,
    roster: Roster,
    ending: Ending,
    on_event: Callable[[str], None],
    stack: contextlib.ExitStack,
) -> RunningCapture:
    """Attach the programs of a plan, at its start time. Nothing is written yet. Raises BicapError.

    Callbacks that undo each step are pushed on `stack`, also if a later step fails. `ending` may have a reason before
    the start time.
    """
    if plan.memory is not None:
        raise SpecError("the plan is that of a recorder; run it with capture.live.recorder")
    with step("waking up"):
        wake = stack.enter_context(contextlib.closing(Wake()))
    ending.wakes(wake)
    namespace = stack.enter_context(contextlib.closing(Namespace(plan.spec.netns)))
    with step("compiling the programs"):
        module = stack.enter_context(contextlib.closing(module_of(plan)))
    with step("loading the compiled loops"):
        portions.compiled()
    with step("making rings"):
        records = stack.enter_context(contextlib.closing(Records(plan, module)))
        counters = Counters(module.map_fd("accounts"), possible_cpus())
        records.watch(wake.descriptor)
        conversations = conversations_map(plan, module)
    with step("preparing interfaces"):
        lineup = Lineup(plan, module, roster, wake, records.watch, on_event)
        stack.callback(lineup.close)
        names = dict(lineup.prepare())
    events: ReasonEvents | None = None
    if plan.events is not None:
        with step("attaching to the kernel's reasons"):
            events = ReasonEvents(stack.enter_context(contextlib.closing(Reasons(plan, module))))
    await_time(plan.spec, ending, wake)
    with step("attaching programs"):
        lineup.attach()
        names |= lineup.await_first(lambda: has_ended(plan.spec, ending))
    if not roster.captured:
        raise TargetError(f"nothing was captured: {ending.reason} while waiting for {plan.spec.pods}")

    ledger, limits = Ledger(len(roster.members)), Limits(plan.spec)
    clock = WallClock(wall_offset(offset_samples()), clock_state())

    def accounts() -> list[Account]:
        return ledger.accounts(counters.read(len(roster.members) * HOOKS))

    def notes() -> str:
        return section.pressure(plan, on_wall_clock(records.level_changes, clock))

    output = Output(plan, roster, sink, ledger, limits, accounts)
    output.names |= names
    running = RunningCapture(
        plan=plan,
        sink=sink,
        ending=ending,
        wake=wake,
        namespace=namespace,
        records=records,
        conversations=conversations,
        lineup=lineup,
        ledger=ledger,
        limits=limits,
        clock=clock,
        output=output,
        drain=Drain(
            records,
            output,
            ledger,
            limits,
            clock,
            notes,
            events=events,
            slot_of_events=plan.events.slot if plan.events else 0,
        ),
        reasons=events,
        accounts=accounts,
        started_ns=roster.members[0].began_ns,
        cpu_ns=time.process_time_ns(),
    )
    stack.callback(lineup.cost.stop)
    lineup.cost.start()
    return running


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Turn an OSError into a KernelError that names the step."""
    try:
        yield
    except OSError as error:
        raise KernelError(f"the capture cannot start, {what} failed: {error.strerror or error}") from error


def conversations_map(plan: CapturePlan, module: Module) -> ConversationsMap | None:
    """Return the map of exact conversations, filled with those of the plan; None if the plan has no such map."""
    room = dict(plan.filter.switches)["CONVERSATIONS"]
    if not room:
        return None
    conversations = ConversationsMap(module.map_fd("conversations"), room, plan.filter.exact)
    conversations.replace(plan.filter.listed)
    return conversations


def await_time(spec: CaptureSpec, ending: Ending, wake: Wake) -> None:
    """Wait until the start time of the spec, or until there is a reason to end. Raises SpecError."""
    if spec.stop_at_ns is not None and spec.stop_at_ns <= time.time_ns():
        raise SpecError("stop-at is in the past")
    while spec.start_at_ns is not None and ending.reason is None:
        seconds = (spec.start_at_ns - time.time_ns()) / 1e9
        if seconds <= 0:
            break
        wake.wait(min(seconds, CLOCK_SECONDS))  # the clock may be set meanwhile


def has_ended(spec: CaptureSpec, ending: Ending) -> bool:
    """True if there is a reason to end the capture; the stop time is one."""
    if spec.stop_at_ns is not None and spec.stop_at_ns <= time.time_ns():
        ending.because("time to stop reached")
    return ending.reason is not None
