"""A trigger and the memory of a recorder -> one pcapng with the packets around it, and its JSON.

The file is valid after every write, and its JSON is beside it from the first one on, with `complete` false until the
end: a recorder that is killed leaves what it has, and says so.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from capture.errors import SinkError
from capture.kernel.chunk_memory import ChunkMemory
from capture.live.cause import Cause
from capture.live.incident_record import IncidentRecord
from capture.live.incident_span import IncidentSpan
from capture.pcapng import blocks
from capture.plan import CapturePlan
from capture.recording import RecordingSpec
from capture.run import section
from capture.run.account import Account
from capture.run.ledger import Ledger
from capture.run.reason_events import INTERFACE, ReasonEvents
from capture.run.roster import Roster
from capture.sink.open import open_sink
from capture.sink.place import owner_of, summary_path, write_beside
from capture.storage import Storage
from capture.stream.clock import ClockStep, Rounds
from capture.stream.remembered import Remembered, reaches_since

_ROUND_BYTES = 64 << 20
"""Most bytes that one round writes, so that other triggers are answered meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentContext:
    """What incidents need of their recorder."""

    plan: CapturePlan
    recording: RecordingSpec
    roster: Roster
    memory: ChunkMemory
    names: dict[Any, str]
    started_ns: int
    """Time from which packets are remembered, CLOCK_MONOTONIC."""
    counted: Callable[[Ledger], list[Account]]
    """The accounts of all interfaces since the start, with the tallies of a ledger."""
    counted_before: Callable[[int], tuple[int, list[Account]]]
    """The time and the accounts of the last look before a time."""
    reasons: ReasonEvents | None = None


class Incident:
    """An incident that is being written. Raises SinkError."""

    def __init__(
        self, about: IncidentContext, path: str, cause: Cause, clock_state: str, offset_ns: int, refused: int
    ) -> None:
        self._about, self.path, self.span = about, path, IncidentSpan(cause, about.recording)
        self._clock_state, self._offset_ns, self._refused = clock_state, offset_ns, refused
        self._noticed_ns = time.monotonic_ns()
        recording = about.recording
        asked_ns = cause.at_ns - recording.before_ns
        since_ns = reaches_since(about.memory.arrays)
        self._from_ns = max(asked_ns, since_ns, about.started_ns)
        self._why_short = ""
        if self._from_ns > asked_ns:
            full = since_ns > about.started_ns
            self._why_short = "the memory was full" if full else "the recorder had just begun"
        self.end_reason: str | None = None
        self._packet: int | None = None
        self._rounds = Rounds()
        self._introduced = len(about.roster.members)
        storage = about.plan.spec.storage
        self._sink = open_sink(path, Storage(user=storage.user, min_free=storage.min_free))
        opening = section.opening(
            about.plan, about.roster.interfaces, about.roster.present, about.names, clock_state, offset_ns
        )
        self._drops_at, self._events_until_ns, self._events = self._introduced, self._from_ns, 0
        if about.reasons is not None:
            opening += blocks.interfaces([INTERFACE])
        room = recording.size - len(opening) - section.closing_bytes(self._introduced)
        self._reader = Remembered(about.memory.arrays, self._from_ns, self._introduced, room)
        if about.reasons is not None:
            self._reader.stand_before(self._drops_at)
        try:
            self._sink.write(opening)
            self._write_json(complete=False, ended_ns=cause.at_ns, accounts=[])
        except SinkError:
            self._sink.close()
            raise

    def prolong(self, cause: Cause) -> bool:
        """Go on until `after` behind this cause; False if the incident is as long as it may be."""
        return self.span.prolong(cause)

    def round(self) -> bool:
        """Write what is final by now. True if the incident is over; call `finish` then. Raises SinkError."""
        self._about.memory.settle()
        now_ns = time.monotonic_ns()
        final_ns = self._rounds.final_before(now_ns)
        self._introduce()
        fired_ns = self.span.cause.packet_ns
        if fired_ns is not None and self._packet is None and fired_ns < final_ns:
            self._write_until(fired_ns + 1)
            self._packet = self._reader.packets + self._events
        more = self._write_until(min(final_ns, self.span.until_ns))
        self.end_reason = self._sink.check() or ("size reached" if self._reader.cut else None)
        if self.end_reason is None and not more and final_ns >= self.span.until_ns:
            self.end_reason = "time after the trigger over"
        return self.end_reason is not None

    def _introduce(self) -> None:
        members = self._about.roster.members
        if len(members) > self._introduced:
            added = [member.planned for member in members[self._introduced :]]
            self._sink.write(section.introduction(self._about.plan, added, {}))
            self._introduced = len(members)
            self._reader.grow(self._introduced)

    def _write_until(self, until_ns: int) -> bool:
        """Write packets and events before a time; True if there may be more of them."""
        if self._about.reasons is not None and until_ns > self._events_until_ns:
            for event in self._about.reasons.between(self._events_until_ns, until_ns):
                if self._write_packets(event.time_ns):
                    return True
                self._sink.write(event.block(self._drops_at, self._offset_ns))
                self._events_until_ns = event.time_ns + 1
                self._events += 1
            self._events_until_ns = until_ns
        return self._write_packets(until_ns)

    def _write_packets(self, until_ns: int) -> bool:
        written = 0
        while written < _ROUND_BYTES:
            blocks = self._reader.take(until_ns, self._offset_ns)
            if not len(blocks):
                return False
            self._sink.write(blocks.data)
            written += len(blocks)
        return True

    def finish(self, reason: str, steps: Sequence[ClockStep]) -> dict[str, Any]:
        """Write what is left, the statistics and the JSON, which is returned. Raises SinkError."""
        self.end_reason = self.end_reason or reason
        ended_ns = min(time.monotonic_ns(), self.span.until_ns)
        complete = False
        try:
            try:
                while self._write_until(min(ended_ns, self.span.until_ns)):
                    pass
            finally:
                accounts = self._accounts()
                self._sink.finish()
                self._sink.write(section.closing(self._spans(accounts, ended_ns)))
            complete = True
        finally:
            self._sink.close()
            summary = self._write_json(complete, ended_ns, accounts, steps)
        return summary

    def _accounts(self) -> list[Account]:
        """Return the accounts from the last look before the incident until now; written are the packets in it."""
        ledger = Ledger(self._introduced)
        ledger.moved = self._reader.moved
        _, before = self._about.counted_before(self._from_ns)
        now = self._about.counted(ledger)
        before += [Account()] * (len(now) - len(before))
        return [account - earlier for account, earlier in zip(now, before, strict=True)]

    def _spans(self, accounts: Sequence[Account], ended_ns: int) -> list[section.Span]:
        start, end = self._from_ns + self._offset_ns, ended_ns + self._offset_ns
        moved = self._drops_at if self._about.reasons is not None else len(accounts)
        numbers = (slot + (slot >= moved) for slot in range(len(accounts)))
        return [section.Span(slot, account, start, end) for slot, account in zip(numbers, accounts, strict=True)]

    def _write_json(
        self, complete: bool, ended_ns: int, accounts: Sequence[Account], steps: Sequence[ClockStep] = ()
    ) -> dict[str, Any]:
        summary = self._as_json(complete, ended_ns, accounts, steps)
        owner = owner_of(self._about.plan.spec.storage.user)
        write_beside(summary_path(self.path), json.dumps(summary, indent=2) + "\n", owner)
        return summary

    def _as_json(
        self, complete: bool, ended_ns: int, accounts: Sequence[Account], steps: Sequence[ClockStep]
    ) -> dict[str, Any]:
        return IncidentRecord(
            path=self.path,
            size=self._sink.bytes_written,
            complete=complete,
            end_reason=self.end_reason,
            span=self.span,
            offset_ns=self._offset_ns,
            noticed_ns=self._noticed_ns,
            began_ns=self._from_ns,
            ended_ns=ended_ns,
            before_short=self._why_short,
            refused=self._refused,
            packet=self._packet,
            packets=self._reader.packets,
            events=self._events,
            reasons=None if self._about.reasons is None else self._about.reasons.as_json(),
            plan=self._about.plan,
            recording=self._about.recording,
            members=self._about.roster.members,
            accounts=accounts,
            counted_since_ns=self._about.counted_before(self._from_ns)[0],
            overwritten=self._reader.overwritten,
            clock_state=self._clock_state,
            steps=steps,
            late=self._reader.late,
        ).as_json()
