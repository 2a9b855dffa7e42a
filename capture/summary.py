"""What a capture was and did -> the JSON beside the file, and the lines a person reads."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from capture.account import Account, DirectionAccount, Losses, total
from capture.plan import CapturePlan, describe
from capture.stream.clock import ClockStep
from capture.units import format_duration, format_size

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Times are wall-clock nanoseconds since 1970; costs are of this process and of our programs."""

    plan: CapturePlan
    version: str
    output: str
    output_bytes: int
    complete: bool
    end_reason: str
    started_ns: int
    ended_ns: int
    accounts: Sequence[Account]
    losses: Losses
    inbound: DirectionAccount
    outbound: DirectionAccount
    clock: str
    clock_steps: Sequence[ClockStep]
    late: int
    late_most_ns: int
    process_cpu_ns: int
    kernel_ns_per_packet: float | None

    @property
    def total(self) -> Account:
        """All interfaces together."""
        return total(self.accounts)

    def as_json(self) -> dict[str, Any]:
        """Plain values; `account` is all interfaces, `interfaces` each one."""
        written = self.total.both.written
        return {
            "schema": SCHEMA,
            "version": self.version,
            "file": self.output,
            "file_bytes": self.output_bytes,
            "complete": self.complete,
            "end_reason": self.end_reason,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns,
            "spec": self.plan.spec.as_json(),
            "plan": describe(self.plan),
            "account": self.total.as_json() | {"lost_by": asdict(self.losses)},
            "view": {way: _written(account) for way, account in self._views()},
            "interfaces": [
                {"id": i.slot, "name": i.name, "description": i.description, "account": account.as_json()}
                for i, account in zip(self.plan.interfaces, self.accounts, strict=True)
            ],
            "clock": {
                "state": self.clock,
                "steps": [{"at_ns": s.at_ns, "step_ns": s.step_ns, "followed": s.followed} for s in self.clock_steps],
                "late_packets": self.late,
                "late_most_ns": self.late_most_ns,
            },
            "cost": {
                "kernel_ns_per_packet": self.kernel_ns_per_packet,
                "process_cpu_ns": self.process_cpu_ns,
                "process_ns_per_packet": self.process_cpu_ns / written if written else None,
            },
        }

    def lines(self) -> list[str]:
        """The closing report, in tcpdump's order: what was written, what came by, what was lost."""
        account, both = self.total, self.total.both
        where = "standard output" if self.output == "-" else self.output
        lines = [
            f"{both.written:,} packets written to {where} ({format_size(self.output_bytes)}), "
            f"{format_duration(self.ended_ns - self.started_ns)}: {self.end_reason}"
        ]
        lines += [
            f"  {way}: {one.written:,} packets, {format_size(one.written_bytes)}"
            for way, one in (("forward", account.forward), ("reverse", account.reverse))
        ]
        lines.append(f"{account.seen:,} seen = {account.unmatched:,} unmatched + {both.matched:,} matched")
        lines.append(
            f"{both.matched:,} matched = {both.written:,} written + {both.over_limit:,} over the limit"
            f" + {both.lost:,} lost"
        )
        if both.lost:
            lines.append(f"lost: {self.losses}")
        if self.late:
            lines.append(
                f"{self.late:,} packets carry the time of the one before, at most {self.late_most_ns} ns later"
            )
        for step in self.clock_steps:
            lines.append(f"the wall clock was set by {format_duration(step.step_ns)}; followed: {step.followed}")
        if self.kernel_ns_per_packet is not None:
            lines.append(f"kernel cost {self.kernel_ns_per_packet:.0f} ns per packet seen (while it was timed)")
        return lines

    def _views(self) -> tuple[tuple[str, DirectionAccount], ...]:
        return ("inbound", self.inbound), ("outbound", self.outbound)


def _written(account: DirectionAccount) -> dict[str, int]:
    return {"written": account.written, "written_bytes": account.written_bytes}
