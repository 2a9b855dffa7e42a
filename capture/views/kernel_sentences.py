"""Sessions -> what the kernel of the capturing node did to them, in sentences with the numbers of the events."""

import numpy as np

from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, scattered, words
from capture.arrays.texts import TEXTS
from capture.units import format_count
from capture.wire.drop_reasons import RESET, parse_reason


def kernel_sentences(sessions: Table) -> Cells:
    """Return words like "; 7 packets dropped on this node by NETFILTER_DROP (policy, packet 9)", or nothing."""
    rows = np.flatnonzero((sessions["drops"] > 0) | (sessions["reset_event"] > 0))  # none in most files
    names = ("drops", "drop_event", "drop_packet", "reset_event", "reset_packet")
    columns = (sessions[name][rows].tolist() for name in names)
    texts = [_dropped(*row[:3]) + _reset(*row[3:]) for row in zip(*columns, strict=True)]
    return scattered(len(sessions), (rows, words(texts)))


def _dropped(drops: int, event: int, packet: int) -> str:
    reason = parse_reason(TEXTS.words([event])[0]) if drops else None
    if reason is None:
        return ""
    return (
        f"; {format_count(drops, 'packet')} dropped on this node by {reason.reason} ({reason.kind}, packet {packet})"
    )


def _reset(event: int, packet: int) -> str:
    reason = parse_reason(TEXTS.words([event])[0]) if event else None
    if reason is None or reason.what != RESET:
        return ""
    return f"; reset by this node's kernel: {reason.sentence or reason.reason} (packet {packet})"
