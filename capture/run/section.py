"""A plan, and at the end its accounts -> the first and the last blocks of a file."""

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
"""Most characters of a statistics block's comment; the JSON summary has the whole text."""
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
    """Return the blocks of section, interfaces and names; the comment has the spec, version and state of the clock.

    An interface that is not `present` has a block with its name only, because its id is not reused.
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
        more=[plan.spec.storage.comment] if plan.spec.storage.comment else [],
    )
    return header + _interfaces(plan, interfaces, present) + blocks.names(names)


def introduction(plan: CapturePlan, interfaces: Sequence[PlannedInterface], names: Mapping[Address, str]) -> bytes:
    """Return the blocks of new interfaces, in the order of their slots, and of new names."""
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
            else blocks.InterfaceBlock(i.name, i.description)
            if i.place.events
            else blocks.InterfaceBlock(i.name)
            for i in interfaces
        ]
    )


@dataclass(frozen=True, slots=True)
class Span:
    """The account of one interface within a file; times are wall-clock nanoseconds."""

    slot: int
    account: Account
    start_ns: int
    end_ns: int


def closing(spans: Sequence[Span], more: str = "") -> bytes:
    """Return a statistics block for each interface of a file.

    The comment of a block has what no option can hold: packets sampled out, by sampler, and the text `more`.
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
    """Return a text that says when less was kept because rings filled; changes have wall-clock times."""
    lines = []
    for change in changes:
        at = datetime.fromtimestamp(change.at_ns / 1e9).astimezone()
        kept = plan.sampling.levels.words(change.level, float(plan.spec.sampling.flow_share))
        lines.append(f"{at.isoformat(timespec='milliseconds')} {kept}")
    return "under pressure: " + ", ".join(lines) if lines else ""


def closing_bytes(interfaces: int) -> int:
    """Return the most bytes that `closing` can have for `interfaces` interfaces."""
    full = blocks.InterfaceStatistics(0, 0, 0, 0, 0, 0, 0, comment="x" * COMMENT_MAX)
    return interfaces * len(full.encode())


def _left_out(span: Account, more: str) -> str:
    texts = []
    for way, account in (("forward", span.forward), ("reverse", span.reverse)):
        parts = [f"sampled out by {name} {count}" for name, count in account.sampled_by.items() if count]
        parts += [f"over the limit {account.over_limit}"] if account.over_limit else []
        parts += [f"without payload {account.cut} ({account.cut_bytes} bytes left out)"] if account.cut else []
        if parts:
            texts.append(f"{way}: {', '.join(parts)}")
    return "; ".join([*texts, *filter(None, [more])])


def _brief(text: str, instead: str) -> str:
    """Return the text, or `instead` if it is too long for an option of a block."""
    return text if len(text.encode()) < blocks.OPTION_LIMIT else instead
