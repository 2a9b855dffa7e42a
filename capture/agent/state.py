"""The parts of a capture on this node -> its status, and what is left of its limits; nothing is read or written here.

Every number comes from the account of a part. Of a part that was killed the file is all that there is: its packets
are counted as unaccounted, and what else passed is not known.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from capture.cluster.kube import KubeStruct
from capture.cluster.objects import (
    CAPTURED,
    CAPTURING,
    FAILED,
    FILES_SHOWN,
    INTERFACES_SHOWN,
    INTERRUPTIONS_SHOWN,
    PENDING,
    WAITING,
    DirectionTraffic,
    FileEntry,
    Interruption,
    NodeStatus,
    StoredFile,
)
from capture.cluster.recorder_objects import NodeRecorder
from capture.request.document import Document
from capture.units import format_count, parse_duration, parse_size

BYTES_MIN = 4096
"""Bytes below which what is left of a limit of bytes is no room for a file."""


class PartRecord(KubeStruct):
    """One process that captured. `began` is None until packets could be caught, `ended` while it runs."""

    file: str
    began: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    account: dict[str, Any] | None = None
    """The account of its summary; None if it was killed."""
    unaccounted: int = 0
    """Packets in its files, if it was killed."""
    files: list[FileEntry] = []
    clock: str = ""
    recorder: bool = False
    """True if it remembered packets; its incidents are those of the folder."""


class CaptureRecord(KubeStruct):
    """All that is known of a capture on this node; it is kept in the folder of the capture."""

    uid: str
    capture: str = ""
    parts: list[PartRecord] = []
    ended: bool = False
    failed: bool = False
    reason: str = ""
    message: str = ""
    stored: list[StoredFile] = []
    """Files that the store of the capture has confirmed."""
    fired: int = 0
    """Of a recorder: triggers that fired here."""
    rung: list[str] = []
    """Of a recorder: the latest firings of others that it was told of."""
    digests: dict[str, str] = {}
    """Of a recorder: SHA-256 of incidents, by name."""

    @property
    def started_at(self) -> datetime | None:
        """When the first packets could be caught."""
        return min((part.began for part in self.parts if part.began), default=None)

    @property
    def ended_at(self) -> datetime | None:
        """When the last part ended."""
        return max((part.ended for part in self.parts if part.ended), default=None)

    @property
    def packets(self) -> int:
        """Packets in all files."""
        return sum(part.unaccounted + (part.account or {}).get("written", 0) for part in self.parts)

    def interruptions(self) -> list[Interruption]:
        """Return the times between two parts."""
        begun = [part for part in self.parts if part.began]
        gaps = [
            Interruption(begin=before.ended, end=after.began, reason=before.reason)
            for before, after in pairwise(begun)
            if before.ended
        ]
        if begun and begun[-1].ended and not self.ended:
            gaps.append(Interruption(begin=begun[-1].ended, reason=begun[-1].reason))
        return gaps


def remaining(document: Document, state: CaptureRecord, now: datetime) -> Document | None:
    """Return the document with what is left of its limits after the parts of before; None if nothing is left."""
    limits = document.limits
    totals = _totals(part.account for part in state.parts)
    left: dict[str, Any] = {}
    for name, used in (
        ("packets", state.packets),
        ("forward_packets", totals["forward"]["written"]),
        ("reverse_packets", totals["reverse"]["written"]),
    ):
        limit = getattr(limits, name)
        if limit is not None:
            left[name] = limit - used
            if left[name] < 1:
                return None
    if limits.bytes is not None:
        used = sum(file.bytes for part in state.parts for file in part.files)
        left["bytes"] = parse_size(str(limits.bytes), "limits.bytes") - used
        if left["bytes"] < BYTES_MIN:
            return None
    if limits.duration is not None and state.started_at is not None:
        whole = timedelta(microseconds=parse_duration(str(limits.duration), "limits.duration") / 1000)
        seconds = (state.started_at + whole - now).total_seconds()
        if seconds <= 0:
            return None
        left["duration"] = f"{seconds:.3f}s"
    return msgspec.structs.replace(document, limits=msgspec.structs.replace(limits, **left))


def folded(parts: Sequence[PartRecord], most: int) -> list[PartRecord]:
    """Return at most so many parts: the oldest become one, with the sum of their accounts."""
    found = list(parts)
    while len(found) > most:
        first, second = found[:2]
        accounts = [part.account for part in (first, second) if part.account]
        account = _sums(accounts) if accounts else None
        found[:2] = [msgspec.structs.replace(second, began=first.began or second.began, account=account)]
    return found


def status_of(
    state: CaptureRecord,
    generation: int,
    progress: dict[str, Any] | None,
    interfaces: Sequence[str] | None,
    waiting: tuple[str, str] | None,
    recorder: Callable[[int], NodeRecorder] | None = None,
) -> NodeStatus:
    """Return the status of a capture. `progress` is the account of the part that runs, `interfaces` where it does.

    `waiting` is the reason and the message of a capture that may not begin; `recorder` makes the status of a recorder
    from the number of packets that it remembered.
    """
    accounts = [part.account for part in state.parts]
    totals = _totals([*accounts, progress])
    unaccounted = sum(part.unaccounted for part in state.parts)
    files = [file for part in state.parts for file in part.files]
    status = NodeStatus(
        observed_generation=generation,
        started_at=state.started_at,
        ended_at=state.ended_at if state.ended else None,
        interfaces=list(interfaces or ())[:INTERFACES_SHOWN],
        seen=totals["seen"],
        unmatched=totals["unmatched"],
        matched=totals["matched"],
        packets=totals["written"] + unaccounted,
        forward=DirectionTraffic(totals["forward"]["written"], totals["forward"]["written_bytes"]),
        reverse=DirectionTraffic(totals["reverse"]["written"], totals["reverse"]["written_bytes"]),
        unaccounted=unaccounted,
        sampled_out=totals["sampled_out"],
        over_limit=totals["over_limit"],
        lost=totals["lost"],
        lost_by=dict(totals["lost_by"]),
        files=files[-FILES_SHOWN:],
        file_count=len(files),
        interruptions=state.interruptions()[-INTERRUPTIONS_SHOWN:],
        clock=next((part.clock for part in reversed(state.parts) if part.clock), ""),
    )
    status.recorder = None if recorder is None else recorder(totals["remembered"])
    status.phase, status.reason, status.message = _phase(state, status, interfaces, waiting)
    return status


def _phase(
    state: CaptureRecord, status: NodeStatus, interfaces: Sequence[str] | None, waiting: tuple[str, str] | None
) -> tuple[str, str, str]:
    if state.ended:
        text = f"{state.message}, {_caught(status)}"
        return (FAILED if state.failed else CAPTURED), state.reason, text
    if waiting is not None:
        return PENDING, *waiting
    if interfaces is None:
        return WAITING, "NoPod", "waits for the first pod"
    if not interfaces:
        return WAITING, "NoPod", "its pods are gone; waits for others"
    shown = ", ".join(interfaces[:3]) + (f" and {len(interfaces) - 3} more" if len(interfaces) > 3 else "")
    if status.recorder is not None:
        told = f"; {status.recorder.memory}" if status.recorder.memory else ""
        return CAPTURING, "Recording", f"on {shown}{told}"
    return CAPTURING, "Capturing", f"on {shown}"


def _caught(status: NodeStatus) -> str:
    if status.recorder is not None:
        return format_count(status.recorder.incident_count, "incident")
    return f"{format_count(status.packets, 'packet')} in {format_count(status.file_count, 'file')}"


def _totals(accounts: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """Return the sums of accounts, as in a summary."""
    totals = _sums([account for account in accounts if account])
    for way in ("forward", "reverse"):
        totals.setdefault(way, Counter())
    totals.setdefault("lost_by", {})
    totals.setdefault("remembered", 0)
    return totals


def _sums(accounts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sums: dict[str, Any] = Counter()
    for name in dict.fromkeys(name for account in accounts for name in account):
        values = [account[name] for account in accounts if name in account]
        sums[name] = _sums(values) if isinstance(values[0], dict) else sum(values)
    return sums


_REASONS = (
    ("count of forward", "LimitPackets"),
    ("count of reverse", "LimitPackets"),
    ("count", "LimitPackets"),
    ("size", "LimitBytes"),
    ("duration", "Duration"),
    ("time to stop", "Stopped"),
)


def end_reason(text: str) -> str:
    """Return the word for the reason that a summary gives."""
    if "must stay free" in text:
        return "DiskFull"
    return next((word for begin, word in _REASONS if text.startswith(begin)), "Ended")
