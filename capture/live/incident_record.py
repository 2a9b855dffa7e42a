"""What is known of an incident -> its JSON, the same for those from memory and those from a ring of files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from capture.live.incident_span import IncidentSpan
from capture.plan import CapturePlan, describe
from capture.recording import RecordingSpec
from capture.request.spec_json import spec_as_json
from capture.run.account import Account, total
from capture.run.roster import Member
from capture.stream.clock import ClockStep
from capture.units import format_count, format_duration

INCIDENT_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """An incident. Times are CLOCK_MONOTONIC, ns; `offset_ns` makes wall-clock times of them."""

    path: str
    size: int
    """Bytes of its file, or of its files."""
    complete: bool
    end_reason: str | None
    span: IncidentSpan
    offset_ns: int
    noticed_ns: int
    began_ns: int
    ended_ns: int
    before_short: str
    """Why it has less time before its cause than was asked, "" if it has not."""
    refused: int
    """Triggers that were refused since the incident before it."""
    packet: int | None
    packets: int
    events: int
    reasons: Mapping[str, Any] | None
    plan: CapturePlan
    recording: RecordingSpec
    members: Sequence[Member]
    """The interfaces of `accounts`, in their order; there may be more of them."""
    accounts: Sequence[Account]
    counted_since_ns: int
    overwritten: int = 0
    clock_state: str
    steps: Sequence[ClockStep]
    late: int
    files: Sequence[Mapping[str, Any]] | None = None
    """Its files if there are several: path, bytes and began_ns of each."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values; times are wall-clock times."""
        offset_ns, cause = self.offset_ns, self.span.cause
        return {
            "incident": INCIDENT_SCHEMA,
            "version": version("bicap"),
            "file": self.path,
            **({} if self.files is None else {"files": list(self.files)}),
            "file_bytes": self.size,
            "complete": self.complete,
            "end_reason": self.end_reason,
            **cause.as_json(offset_ns),
            "noticed_ns": self.noticed_ns + offset_ns,
            "packet": self.packet,
            "packets": self.packets,
            "events": self.events,
            "reasons": None if self.reasons is None else dict(self.reasons),
            "before_asked_ns": self.recording.before_ns,
            "before_had_ns": cause.at_ns - self.began_ns,
            "before_short": self.before_short or None,
            "after_asked_ns": self.recording.after_ns,
            "after_had_ns": max(0, self.ended_ns - cause.at_ns),
            "began_ns": self.began_ns + offset_ns,
            "ended_ns": self.ended_ns + offset_ns,
            "triggers": [one.as_json(offset_ns) for one in self.span.causes],
            "prolonged": self.span.prolonged,
            "refused_before": self.refused,
            "spec": spec_as_json(self.plan.spec),
            "plan": describe(self.plan),
            "account": _account(total(self.accounts), self.overwritten),
            "counted_since_ns": self.counted_since_ns + offset_ns,
            "interfaces": [
                {**member.planned.as_json(), "account": _account(account)}
                for member, account in zip(self.members, self.accounts, strict=False)
            ],
            "clock": {
                "state": self.clock_state,
                "steps": [{"at_ns": s.at_ns + offset_ns, "step_ns": s.step_ns} for s in self.steps],
                "late_packets": self.late,
            },
        }


def completed_line(incident: Mapping[str, Any]) -> str:
    """Return what there is to say of a complete incident, by its JSON."""
    short = f" ({incident['before_short']})" if incident["before_short"] else ""
    return (
        f"{incident['file']}: {format_count(incident['packets'], 'packet')}, "
        f"{format_duration(incident['before_had_ns'])} before{short} and "
        f"{format_duration(incident['after_had_ns'])} after; {incident['end_reason']}"
    )


def _account(account: Account, overwritten: int = 0) -> dict[str, Any]:
    """Return plain values; matched = written + sampled out + over the limit + lost + overwritten + outside."""
    both, plain = account.both, account.as_json()
    return plain | {"overwritten": overwritten, "outside": both.on_its_way - overwritten}
