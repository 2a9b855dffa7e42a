"""The document of a recorder, in a forked process -> incidents in its folder, and what it says and is told meanwhile.

It does what `bicap record` does, with other doors: what fires is said to the caller, and what fired elsewhere comes
from there. A cause that came from elsewhere is not said again, so two recorders do not fire each other for ever.
"""

import contextlib
import json
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Any

from capture.errors import SpecError
from capture.kernel.privileges import drop_unused
from capture.kernel.syscall import trim_heap
from capture.kernel.wallclock import clock_state
from capture.live.cause import ALERTMANAGER, OTHER_NODE, Cause
from capture.live.recorder import Recorder
from capture.live.trigger_rules import parse_rule
from capture.nursery.exchange import Hear, IncidentWritten, Progress, Ready, RingOrder, Say, TriggerFired
from capture.request.convert import spec_of
from capture.request.document import Document
from capture.run import own_process
from capture.run.account import Account, total
from capture.run.planning import plan_capture


def record(asked: Document, say: Say, hear: Hear) -> dict[str, Any]:
    """Record until the caller ends it. Returns what a summary has of it. Raises BicapError."""
    spec = spec_of(asked)
    folder = spec.recording.folder if spec.recording is not None else None
    if spec.recording is None or folder is None:
        raise SpecError("no folder for incidents given; the document needs record.folder")
    rules = [parse_rule(text) for text in spec.recording.triggers]
    if any(rule.reason is not None for rule in rules):
        spec = replace(spec, reasons=True)
    drop_unused()
    fired = FiringReports(say)
    recorder = Recorder(
        plan_capture(spec),
        rules,
        on_event=lambda text: print(f"bicap: {text}", file=sys.stderr, flush=True),
        on_attached=lambda attached: own_process.give_up_privileges(attached, (f"{folder}/x",)),
        on_incident=lambda summary: _written(say, summary),
        on_fired=fired.add,
    )
    own_process.end_on_signals(recorder)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, own_process.ENDING)
    try:
        with recorder:
            threading.Thread(target=_listen, args=(recorder, hear), name="told", daemon=True).start()
            trim_heap()
            began_ns = time.time_ns()
            say(Ready([interface.name for interface in recorder.roster.present]))
            recorder.run(lambda running: _report(running, say, fired))
            account = account_of(total(recorder.accounts()))
            ended_ns = time.time_ns()
    finally:
        own_process.ignore_signals()
    fired.flush()
    return {
        "end_reason": recorder.end_reason,
        "started_ns": began_ns,
        "ended_ns": ended_ns,
        "account": json.loads(json.dumps(account)),
        "files": [],
        "clock": {"state": clock_state()},
    }


def account_of(account: Account) -> dict[str, Any]:
    """Return the account of a recorder: matched = sampled out + over the limit + lost + remembered."""
    return account.as_json() | {"remembered": account.both.on_its_way}


def _written(say: Say, summary: dict[str, Any]) -> None:
    say(IncidentWritten(str(summary["file"])))


def _report(recorder: Recorder, say: Say, fired: "FiringReports") -> None:
    fired.flush()
    names = [interface.name for interface in recorder.roster.present]
    memory = recorder.reach.sentence(recorder.recording) if recorder.reach is not None else ""
    say(Progress(account_of(total(recorder.accounts())), names, memory))


def _listen(recorder: Recorder, hear: Hear) -> None:
    """Fire the recorder by what is told."""
    with contextlib.suppress(OSError):  # the line was closed: the recorder ends
        for order in hear():
            recorder.ring(cause_of(order, time.time_ns() - time.monotonic_ns()))


def cause_of(order: RingOrder, offset_ns: int) -> Cause:
    """Return the cause of what fired elsewhere; `offset_ns` is wall-clock time less CLOCK_MONOTONIC."""
    return Cause(
        rule=order.rule,
        at_ns=order.at_ns - offset_ns,
        reason=order.reason,
        session=order.session or None,
        labels=order.labels,
    )


class FiringReports:
    """Says what fires here. What the caller has no room for is counted only."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._count = 0
        self._unsaid: TriggerFired | None = None

    def add(self, cause: Cause) -> None:
        """Say that a cause began or prolonged an incident, unless it came from elsewhere."""
        if cause.rule in (OTHER_NODE, ALERTMANAGER):
            return
        self._count += 1
        at_ns = cause.at_ns + time.time_ns() - time.monotonic_ns()
        message = TriggerFired(self._count, cause.rule, at_ns, cause.session or "", clock_state())
        self._unsaid = None if self._say(message) else message

    def flush(self) -> None:
        """Say the latest that found no room, so that the caller knows the count."""
        if self._unsaid is not None and self._say(self._unsaid):
            self._unsaid = None
