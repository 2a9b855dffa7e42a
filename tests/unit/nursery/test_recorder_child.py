"""A recorder in a forked process: what it says of firings and incidents, and what becomes of what it is told.

The recorder itself is a stand-in: packets and programs are for the tests of a node.
"""

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capture.errors import SpecError
from capture.live.cause import ALERTMANAGER, OTHER_NODE, Cause
from capture.nursery import recorder_child
from capture.nursery.exchange import IncidentWritten, Message, Progress, Ready, RingOrder, TriggerFired
from capture.nursery.recorder_child import FiringReports, cause_of, record
from capture.request.document import Document, RecordPart, TargetPart
from capture.run import own_process
from capture.run.account import Account, DirectionAccount
from testbed.patience import PATIENCE

WEB = "tcp 10.1.0.5:4000 > 10.2.0.7:80"
ORDER = RingOrder(OTHER_NODE, time.time_ns(), "n2: rst>0", WEB, {"firing": "n2-1"})


class StandIn:
    """A recorder that fires by itself once, is told once, and ends."""

    end_reason = "ended by SIGTERM"

    def __init__(self, plan: Any, rules: Any, **hooks: Any) -> None:
        self.recording, self.rules, self._hooks = plan.recording, rules, hooks
        self.roster = self
        self.present: list[Any] = []
        self.reach = None
        self.rung: queue.SimpleQueue[Cause] = queue.SimpleQueue()

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks["on_incident"]({"file": "/incidents/incident-1.pcapng"})

    def accounts(self) -> list[Account]:
        """Return the account of one interface."""
        both = DirectionAccount(matched=10, sampled_by_flow=2, lost_ring_full=1)
        return [Account(seen=12, unmatched=2, forward=both)]

    def ring(self, cause: Cause) -> None:
        """Be told."""
        self.rung.put(cause)

    def run(self, on_tick: Callable[["StandIn"], None]) -> None:
        """Fire, and wait until it is told."""
        self._hooks["on_fired"](Cause(rule="rst>0", at_ns=time.monotonic_ns(), session=WEB))
        on_tick(self)
        self.told = self.rung.get(timeout=PATIENCE)
        self._hooks["on_fired"](self.told)


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_child, "Recorder", StandIn)
    monkeypatch.setattr(recorder_child, "plan_capture", lambda spec: spec)
    for name in ("drop_unused", "trim_heap"):
        monkeypatch.setattr(recorder_child, name, lambda: None)
    monkeypatch.setattr(own_process, "end_on_signals", lambda _: None)
    monkeypatch.setattr(own_process, "ignore_signals", lambda: None)
    monkeypatch.setattr(own_process, "ENDING", ())


def asked(**given: Any) -> Document:
    return Document(target=TargetPart(interfaces=["eth0"]), **given)


def test_a_recorder_says_what_it_fires_and_is_told_what_others_did() -> None:
    said: list[Message] = []

    def say(message: Message) -> bool:
        said.append(message)
        return True

    def hear() -> Iterator[RingOrder]:
        yield ORDER

    document = asked(record=RecordPart(folder="/incidents", before="5s"), triggers=["rst>0"])
    summary = record(document, say, hear)
    kinds = [type(message) for message in said]
    assert kinds == [Ready, TriggerFired, Progress, IncidentWritten], "what came from elsewhere is not said again"
    fired, progress = said[1], said[2]
    assert isinstance(fired, TriggerFired)
    assert (fired.number, fired.rule, fired.session) == (1, "rst>0", WEB)
    assert abs(fired.at_ns - time.time_ns()) < PATIENCE * 1e9
    assert isinstance(progress, Progress)
    for account in (progress.account, summary["account"]):
        assert account["matched"] == account["sampled_out"] + account["lost"] + account["remembered"] == 10
    assert (summary["end_reason"], summary["files"]) == ("ended by SIGTERM", [])
    assert summary["started_ns"] <= summary["ended_ns"]


def test_the_end_of_the_line_is_no_error() -> None:
    def broken() -> Iterator[RingOrder]:
        yield ORDER
        raise OSError("closed")

    record(asked(record=RecordPart(folder="/incidents")), lambda _: True, broken)


def test_what_it_is_told_has_the_time_of_the_firing() -> None:
    cause = cause_of(ORDER, offset_ns=ORDER.at_ns - 1000)
    assert cause == Cause(rule=OTHER_NODE, at_ns=1000, reason="n2: rst>0", session=WEB, labels={"firing": "n2-1"})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (asked(triggers=["rst>0"]), "no folder for incidents given"),
        (asked(record=RecordPart(folder="/incidents"), triggers=["rsst>0"]), "rst"),
    ],
    ids=["no folder", "unknown word"],
)
def test_what_cannot_be_recorded_is_one_line(document: Document, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        record(document, lambda _: True, lambda: iter(()))


def test_firings_that_find_no_room_are_counted_and_the_latest_is_said_later() -> None:
    said: list[TriggerFired] = []
    room = [True, False, False, False, True]

    def say(message: Any) -> bool:
        if room.pop(0):
            said.append(message)
            return True
        return False

    reports = FiringReports(say)
    for number in range(3):
        reports.add(Cause(rule=f"rule-{number}", at_ns=time.monotonic_ns()))
    reports.add(Cause(rule=ALERTMANAGER, at_ns=time.monotonic_ns()))
    reports.flush()
    reports.flush()
    assert [(message.number, message.rule) for message in said] == [(1, "rule-0"), (3, "rule-2")]
