"""Causes -> one incident at a time: what begins, what prolongs, what is refused, and what is answered."""

from dataclasses import dataclass, field
from threading import Thread

from capture.errors import SinkError
from capture.live.cause import Cause, Reply
from capture.live.incident_span import CAUSES_KEPT, PROLONGED_MOST, IncidentSpan
from capture.live.trigger_desk import TriggerDesk
from capture.recording import RecordingSpec

HOUR = 3600 * 10**9


@dataclass
class FakeIncident:
    path: str
    ends: bool = False
    causes: list[Cause] = field(default_factory=list)

    def prolong(self, cause: Cause) -> bool:
        self.causes.append(cause)
        return not self.ends


def cause(at_ns: int = 0, rule: str = "rule") -> Cause:
    return Cause(rule=rule, at_ns=at_ns, reason="because")


def desk(cooldown_ns: int = 0, fails: bool = False) -> tuple[TriggerDesk[FakeIncident], list[str]]:
    """A desk, and what it has said."""
    said: list[str] = []

    def begin(_: Cause) -> FakeIncident:
        if fails:
            raise SinkError("the disk is full")
        return FakeIncident("i.pcapng")

    return TriggerDesk(cooldown_ns, begin, lambda: None, said.append), said


def test_the_first_cause_begins_an_incident_and_further_ones_prolong_it_until_it_is_as_long_as_it_may_be() -> None:
    counter, said = desk()
    assert counter.handle(cause()) == Reply("began", "i.pcapng")
    assert said == ["rule fired (because): writing i.pcapng"]
    assert counter.handle(cause()) == Reply("prolonged", "i.pcapng")
    assert counter.incident is not None
    counter.incident.ends = True
    assert counter.handle(cause()) == Reply("refused", "i.pcapng", "the incident is as long as it may be")
    assert counter.refused == 1


def test_after_an_incident_none_begins_for_the_cooldown() -> None:
    counter, _ = desk(cooldown_ns=HOUR)
    counter.handle(cause())
    counter.over()
    reply = counter.handle(cause())
    assert reply.answer == "refused"
    assert reply.reason.startswith("--cooldown goes on for ")


def test_an_incident_that_cannot_be_written_is_refused_and_the_cooldown_begins() -> None:
    counter, said = desk(cooldown_ns=HOUR, fails=True)
    assert counter.handle(cause()) == Reply("refused", None, "the disk is full")
    assert said == ["rule fired, but no incident can be written: the disk is full"]
    assert counter.handle(cause()).reason.startswith("--cooldown")


def test_who_asks_from_another_thread_is_answered_by_the_loop_and_at_the_end_is_refused() -> None:
    counter, _ = desk()
    replies: list[Reply] = []
    for turn in (counter.answer, counter.close):
        thread = Thread(target=lambda: replies.append(counter.fire(cause(), 60)))
        thread.start()
        while thread.is_alive():
            turn()
    assert replies == [Reply("began", "i.pcapng"), Reply("refused", None, "the recorder ends")]


def test_an_incident_goes_on_behind_its_last_cause_and_never_longer_than_ten_times_its_time() -> None:
    span = IncidentSpan(cause(100), RecordingSpec(after_ns=10))
    assert span.until_ns == 110
    assert span.prolong(cause(105))
    assert span.prolong(cause(103))
    assert span.until_ns == 115
    assert span.prolong(cause(100 + 10 * PROLONGED_MOST - 10))
    assert not span.prolong(cause(100 + 10 * PROLONGED_MOST - 9))
    assert (span.until_ns, span.prolonged, len(span.causes)) == (200, 3, 4)


def test_a_flood_of_one_rule_does_not_hide_another() -> None:
    span = IncidentSpan(cause(100, "drop=any"), RecordingSpec(after_ns=10))
    for _ in range(3 * CAUSES_KEPT):
        span.prolong(cause(101, "drop=any"))
    for _ in range(2):
        span.prolong(cause(102, "rst>0"))
    assert [one.rule for one in span.causes] == ["drop=any"] * CAUSES_KEPT + ["rst>0"]
    assert span.prolonged == 3 * CAUSES_KEPT + 2
