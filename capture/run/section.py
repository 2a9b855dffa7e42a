"""A plan, and at the end its accounts -> the blocks that a file begins and ends with."""

import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from capture.filters.rule import Address
from capture.pcapng import blocks
from capture.plan import CapturePlan, PlannedInterface
from capture.request.spec_json import spec_as_json
from capture.run.account import Account
from capture.sampling.levels import LevelChange

COMMENT_MAX = 1000
"""Bytes of a statistics block's comment; the JSON summary has all of it."""
_ELSEWHERE = "see the JSON summary"
_SYSTEM = f"{platform.system()} {platform.release()}"


def opening(
    plan: CapturePlan,
    interfaces: Sequence[PlannedInterface],
    present: Collection[PlannedInterface],
    names: Mapping[Address, str],
    clock_state: str,
    wall_offset_ns: int,
) -> bytes:
    """Section, interfaces and names; the comment has the spec, the version and the state of the clock.

    Of interfaces that are not `present` there is just the name, because their ids are not used again.
    """
    comment = {
        "bicap": version("bicap"),
        "spec": spec_as_json(plan.spec),
        "clock": {"state": clock_state, "wall_minus_monotonic_ns": wall_offset_ns},
    }
    header = blocks.section_header(
        hardware=platform.machine(),
        os=_SYSTEM,
        application=f"bicap {version('bicap')}",
        comment=_brief(json.dumps(comment), json.dumps(comment | {"spec": _ELSEWHERE})),
    )
    return header + _interfaces(plan, interfaces, present) + blocks.names(names)


def introduction(plan: CapturePlan, interfaces: Sequence[PlannedInterface], names: Mapping[Address, str]) -> bytes:
    """Blocks of interfaces that come, in the order of their slots, and names that were not said before."""
    return _interfaces(plan, interfaces, interfaces) + blocks.names(names)


def _interfaces(
    plan: CapturePlan, interfaces: Sequence[PlannedInterface], present: Collection[PlannedInterface]
) -> bytes:
    filter_text = _brief(plan.filter_text, f"too long for an option; {_ELSEWHERE}")
    slots = {interface.slot for interface in present}
    return blocks.interfaces(
        [
            blocks.InterfaceBlock(i.name, i.description, filter_text, _SYSTEM, i.interface.mac)
            if i.slot in slots
            else blocks.InterfaceBlock(i.name)
            for i in interfaces
        ]
    )


@dataclass(frozen=True, slots=True)
class Span:
    """What one interface did within a file; times are wall-clock nanoseconds."""

    slot: int
    account: Account
    start_ns: int
    end_ns: int


def closing(spans: Sequence[Span], more: str = "") -> bytes:
    """A statistics block per interface, of a file's own span.

    What the block has no option for is in its comment: what was sampled out and by what, and `more`.
    """
    return b"".join(
        blocks.InterfaceStatistics(
            interface=span.slot,
            start_ns=span.start_ns,
            end_ns=span.end_ns,
            received=span.account.seen,
            accepted=span.account.both.matched,
            dropped=span.account.both.lost,
            delivered=span.account.both.written,
            comment=_left_out(span.account, more)[:COMMENT_MAX],
        ).encode()
        for span in spans
    )


def pressure(plan: CapturePlan, changes: Sequence[LevelChange]) -> str:
    """When payload or conversations were left out because rings filled, and which; changes have wall-clock times."""
    said = []
    for change in changes:
        at = datetime.fromtimestamp(change.at_ns / 1e9).astimezone()
        kept = plan.sampling.levels.words(change.level, float(plan.spec.sampling.flow_share))
        said.append(f"{at.isoformat(timespec='milliseconds')} {kept}")
    return "under pressure: " + ", ".join(said) if said else ""


def closing_bytes(interfaces: int) -> int:
    """The most that `closing` takes."""
    full = blocks.InterfaceStatistics(0, 0, 0, 0, 0, 0, 0, comment="x" * COMMENT_MAX)
    return interfaces * len(full.encode())


def _left_out(span: Account, more: str) -> str:
    said = []
    for way, account in (("forward", span.forward), ("reverse", span.reverse)):
        parts = [f"sampled out by {name} {count}" for name, count in account.sampled_by.items() if count]
        parts += [f"over the limit {account.over_limit}"] if account.over_limit else []
        parts += [f"without payload {account.cut} ({account.cut_bytes} bytes left out)"] if account.cut else []
        if parts:
            said.append(f"{way}: {', '.join(parts)}")
    return "; ".join([*said, *filter(None, [more])])


def _brief(text: str, instead: str) -> str:
    """The text, or something in its place where no option of a block can hold it."""
    return text if len(text.encode()) < blocks.OPTION_LIMIT else instead
