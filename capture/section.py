"""A plan, and at the end its accounts -> the blocks that a file begins and ends with."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version

from capture.account import Account
from capture.pcapng import blocks
from capture.plan import CapturePlan

_ELSEWHERE = "see the JSON summary"


def opening(plan: CapturePlan, clock_state: str, wall_offset_ns: int) -> bytes:
    """Section and interface blocks; the comment has the spec, the version and the state of the clock."""
    system = f"{platform.system()} {platform.release()}"
    comment = {
        "bicap": version("bicap"),
        "spec": plan.spec.as_json(),
        "clock": {"state": clock_state, "wall_minus_monotonic_ns": wall_offset_ns},
    }
    header = blocks.section_header(
        hardware=platform.machine(),
        os=system,
        application=f"bicap {version('bicap')}",
        comment=_brief(json.dumps(comment), json.dumps(comment | {"spec": _ELSEWHERE})),
    )
    filter_text = _brief(plan.filter_text, f"too long for an option; {_ELSEWHERE}")
    return header + blocks.interfaces(
        [blocks.InterfaceBlock(i.name, i.description, filter_text, system, i.interface.mac) for i in plan.interfaces]
    )


def closing(accounts: Sequence[Account], start_ns: int, end_ns: int) -> bytes:
    """A statistics block per interface; times are wall-clock nanoseconds."""
    return b"".join(
        blocks.InterfaceStatistics(
            interface=slot,
            start_ns=start_ns,
            end_ns=end_ns,
            received=account.seen,
            accepted=account.both.matched,
            dropped=account.both.lost,
            delivered=account.both.written,
        ).encode()
        for slot, account in enumerate(accounts)
    )


def _brief(text: str, instead: str) -> str:
    """The text, or something in its place where no option of a block can hold it."""
    return text if len(text.encode()) < blocks.OPTION_LIMIT else instead
