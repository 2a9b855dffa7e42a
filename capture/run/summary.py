"""The plan and the results of a capture -> the JSON beside the file, and lines of text for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capture.plan import CapturePlan, describe
from capture.request.spec_json import spec_as_json
from capture.run.account import Account, DirectionAccount, total
from capture.run.roster import Event, Member
from capture.sampling.levels import LevelChange
from capture.sink.protocol import FileRecord
from capture.stream.clock import ClockStep
from capture.units import format_count, format_duration, format_size

SCHEMA = 3
PRESSURE_LINES = 5
"""Most changes of the pressure that the text lists."""
MANY = 10_000
"""Packets below which the cost per packet is not printed: it is mostly that of the start and of nearly empty
rounds."""
LOSSES = {"ring_full": "ring full (raise --buffer)", "other": "other", "writing": "not written"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Results of a capture. Times are wall-clock nanoseconds since 1970; costs are of this process and our
    programs."""

    plan: CapturePlan
    version: str
    output: str
    output_bytes: int
    """Bytes of pcapng in all files, before compression."""
    files: Sequence[FileRecord]
    files_removed: int
    complete: bool
    end_reason: str
    started_ns: int
    ended_ns: int
    members: Sequence[Member]
    accounts: Sequence[Account]
    """Accounts of `members`, in their order."""
    inbound: DirectionAccount
    outbound: DirectionAccount
    events: Sequence[Event]
    pressure: Sequence[LevelChange]
    clock: str
    clock_offset_ns: int
    """Wall clock minus CLOCK_MONOTONIC at the end, ns."""
    clock_steps: Sequence[ClockStep]
    overflow: tuple[int, int]
    """Bytes that passed through the overflow ring, and the most that waited there."""
    late: int
    late_most_ns: int
    process_cpu_ns: int
    kernel_ns_per_packet: float | None

    reasons: Mapping[str, Any] | None = None
    """Events of the kernel, counted by reason and place; None if they were not asked for."""

    @property
    def total(self) -> Account:
        """The account of all interfaces together."""
        return total(self.accounts)

    @property
    def process_cpu_share(self) -> float:
        """CPU time of this process during the capture, as a share of one CPU."""
        return self.process_cpu_ns / max(self.ended_ns - self.started_ns, 1)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `account` is that of all interfaces, `interfaces` has one for each."""
        written = self.total.both.written
        return {
            "schema": SCHEMA,
            "version": self.version,
            "file": self.output,
            "file_bytes": self.output_bytes,
            "files": [{"path": f.path, "bytes": f.bytes, "began_ns": f.began_ns} for f in self.files],
            "files_removed": self.files_removed,
            "complete": self.complete,
            "end_reason": self.end_reason,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns,
            "spec": spec_as_json(self.plan.spec),
            "plan": describe(self.plan),
            "account": self.total.as_json(),
            "view": {way: _written(account) for way, account in self._views()},
            "interfaces": [
                {
                    **member.planned.as_json(),
                    "hooks": dict(member.hooks),
                    "began_ns": member.began_ns + self.clock_offset_ns,
                    "ended_ns": None if member.ended_ns is None else member.ended_ns + self.clock_offset_ns,
                    "account": account.as_json(),
                }
                for member, account in zip(self.members, self.accounts, strict=True)
            ],
            "events": [{"at_ns": event.at_ns, "event": event.text} for event in self.events],
            "reasons": None if self.reasons is None else dict(self.reasons),
            "pressure": [{"at_ns": c.at_ns, "level": c.level, "kept": self._kept(c)} for c in self.pressure],
            "overflow": {"bytes": self.overflow[0], "most_waiting": self.overflow[1]},
            "clock": {
                "state": self.clock,
                "steps": [{"at_ns": s.at_ns, "step_ns": s.step_ns, "followed": s.followed} for s in self.clock_steps],
                "late_packets": self.late,
                "late_most_ns": self.late_most_ns,
            },
            "cost": {
                "kernel_ns_per_packet": self.kernel_ns_per_packet,
                "process_cpu_ns": self.process_cpu_ns,
                "process_cpu_share": self.process_cpu_share,
                "process_ns_per_packet": self.process_cpu_ns / written if written else None,
            },
        }

    def lines(self) -> list[str]:
        """Return the closing report, in tcpdump's order: packets written, seen, lost."""
        account, both = self.total, self.total.both
        lines = [
            f"{format_count(both.written, 'packet')} written to {self._where()} ({format_size(self.output_bytes)}), "
            f"{format_duration(self.ended_ns - self.started_ns)}: {self.end_reason}"
        ]
        lines += [
            f"  {way}: {format_count(direction.written, 'packet')}, {format_size(direction.written_bytes)}"
            for way, direction in (("forward", account.forward), ("reverse", account.reverse))
        ]
        lines.append(f"{account.seen:,} seen = {account.unmatched:,} unmatched + {both.matched:,} matched")
        lines.append(
            f"{both.matched:,} matched = {both.written:,} written + {both.sampled_out:,} sampled out"
            f" + {both.over_limit:,} over the limit + {both.lost:,} lost"
        )
        if both.sampled_out:
            lines.append(f"sampled out: {_counts({f'by {name}': n for name, n in both.sampled_by.items()})}")
        if both.lost:
            lines.append(f"lost: {_counts({LOSSES[name]: n for name, n in both.lost_by.items()})}")
        if self.overflow[0]:
            lines.append(
                f"rings overflowed: {format_size(self.overflow[0])} passed through the ring of all CPUs, at most "
                f"{format_size(self.overflow[1])} of it waited"
            )
        lines += self._pressure_lines()
        if self.reasons is not None:
            lines.append(f"{format_count(self.reasons['events'], 'event')} of the kernel: {self._reasons()}")
        if self.late:
            carry = "carries" if self.late == 1 else "carry"
            lines.append(
                f"{format_count(self.late, 'packet')} {carry} the time of the packet before, "
                f"at most {self.late_most_ns} ns later than its own"
            )
        for step in self.clock_steps:
            lines.append(f"the wall clock was set by {format_duration(step.step_ns)}; followed: {step.followed}")
        if self.kernel_ns_per_packet is not None:
            lines.append(f"kernel cost {self.kernel_ns_per_packet:.0f} ns per packet seen (while it was timed)")
        each = f", {self.process_cpu_ns / both.written:,.0f} ns per packet written" if both.written >= MANY else ""
        lines.append(
            f"process cost {format_duration(self.process_cpu_ns)} of CPU ({self.process_cpu_share:.1%} of one){each}"
        )
        return lines

    def _reasons(self) -> str:
        assert self.reasons is not None
        recorded = [one for one in self.reasons["places"] if one["recorded"]]
        counts: dict[str, int] = {}
        for one in recorded:
            words = f"{one['what']} {one['reason']}"
            counts[words] = counts.get(words, 0) + one["recorded"]
        return _counts(counts) or "it dropped and reset nothing of these conversations"

    def _where(self) -> str:
        if self.output == "-":
            return "standard output"
        if len(self.files) + self.files_removed < 2:
            return self.files[-1].path if self.files else self.output
        removed = f", {self.files_removed:,} removed" if self.files_removed else ""
        return f"{format_count(len(self.files), 'file')}{removed}, the last {self.files[-1].path}"

    def _kept(self, change: LevelChange) -> str:
        return self.plan.sampling.levels.words(change.level, float(self.plan.spec.sampling.flow_share))

    def _pressure_lines(self) -> list[str]:
        both = self.total.both
        if not self.pressure:
            return []
        cut = f"{format_count(both.cut, 'packet')} without payload ({format_size(both.cut_bytes)} left out)"
        lines = [f"rings filled: {cut}"]
        for change in self.pressure[:PRESSURE_LINES]:
            lines.append(f"  after {format_duration(change.at_ns - self.started_ns)}: {self._kept(change)}")
        if len(self.pressure) > PRESSURE_LINES:
            more = format_count(len(self.pressure) - PRESSURE_LINES, "more change")
            lines.append(f"  and {more}, in the JSON summary")
        return lines

    def _views(self) -> tuple[tuple[str, DirectionAccount], ...]:
        return ("inbound", self.inbound), ("outbound", self.outbound)


def _counts(by: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in by.items() if count)


def _written(account: DirectionAccount) -> dict[str, int]:
    return {"written": account.written, "written_bytes": account.written_bytes}
