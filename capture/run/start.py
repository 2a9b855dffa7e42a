"""A plan and a sink -> a running capture, step by step; whatever step fails, all before it is given back.

Everything slow or refusable comes before the programs are attached, and the output is begun last: a capture that
cannot start costs no packet, and leaves an earlier file as it was.
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
from capture.run.roster import Roster
from capture.run.running import CLOCK_SECONDS, RunningCapture, on_wall_clock
from capture.sink.protocol import Sink
from capture.spec import CaptureSpec
from capture.stream.clock import WallClock, wall_offset
from capture.stream.compiled import merge


def start(
    plan: CapturePlan,
    sink: Sink,
    roster: Roster,
    ending: Ending,
    on_event: Callable[[str], None],
    stack: contextlib.ExitStack,
) -> RunningCapture:
    """Put the programs of a plan in place, at its time. Nothing is written yet. Raises BicapError.

    `stack` gets what gives everything back, also what an error leaves. `ending` may have a reason before its time.
    """
    with _step("waking up"):
        wake = stack.enter_context(contextlib.closing(Wake()))
    ending.wakes(wake)
    namespace = stack.enter_context(contextlib.closing(Namespace(plan.spec.netns)))
    with _step("compiling the programs"):
        module = stack.enter_context(contextlib.closing(module_of(plan)))
    with _step("loading the compiled loops"):
        merge.compiled()
    with _step("making rings"):
        records = stack.enter_context(contextlib.closing(Records(plan, module)))
        counters = Counters(module.map_fd("accounts"), possible_cpus())
        records.watch(wake.descriptor)
        conversations = _conversations(plan, module)
    with _step("preparing interfaces"):
        lineup = Lineup(plan, module, roster, wake, records.watch, on_event)
        stack.callback(lineup.close)
        names = dict(lineup.prepare())
    _await_time(plan.spec, ending, wake)
    with _step("attaching programs"):
        lineup.attach()
        names |= lineup.await_first(lambda: _waits_in_vain(plan.spec, ending))
    if not roster.members:
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
        drain=Drain(records, output, ledger, limits, clock, notes),
        accounts=accounts,
        started_ns=roster.members[0].began_ns,
        cpu_ns=time.process_time_ns(),
    )
    stack.callback(lineup.cost.stop)
    lineup.cost.start()
    return running


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    """Turn what the kernel refuses without a word of ours into an error that says what was being done."""
    try:
        yield
    except OSError as error:
        raise KernelError(f"the capture cannot start, {what} failed: {error.strerror or error}") from error


def _conversations(plan: CapturePlan, module: Module) -> ConversationsMap | None:
    """The map of exact conversations with those that are asked for, if the plan has a place for them."""
    room = dict(plan.filter.switches)["CONVERSATIONS"]
    if not room:
        return None
    conversations = ConversationsMap(module.map_fd("conversations"), room, plan.filter.exact)
    conversations.replace(plan.filter.listed)
    return conversations


def _await_time(spec: CaptureSpec, ending: Ending, wake: Wake) -> None:
    """Everything is ready; nothing is attached, and costs a packet, before its time."""
    if spec.stop_at_ns is not None and spec.stop_at_ns <= time.time_ns():
        raise SpecError("stop-at is in the past")
    while spec.start_at_ns is not None and ending.reason is None:
        seconds = (spec.start_at_ns - time.time_ns()) / 1e9
        if seconds <= 0:
            break
        wake.wait(min(seconds, CLOCK_SECONDS))  # the clock may be set meanwhile


def _waits_in_vain(spec: CaptureSpec, ending: Ending) -> bool:
    """True if the capture ends before the first pod came."""
    if spec.stop_at_ns is not None and spec.stop_at_ns <= time.time_ns():
        ending.because("time to stop reached")
    return ending.reason is not None
