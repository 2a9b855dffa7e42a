"""Packets of an interface of events -> what the kernel did to them, from their comments.

`--reasons` of `bicap capture` and `bicap record` writes such an interface: packets that the kernel dropped, and those
of resets. They were not on a wire, so they are marked (Kind.EVENT), belong to no session, and count nowhere as
packets of a conversation.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from capture.analysis.packets.packet_table import Kind
from capture.arrays.aliases import Bytes, Table
from capture.pcapng.compiled.scan import BIG
from capture.pcapng.describe import InterfaceDescription, options
from capture.wire.drop_reasons import EVENTS, KernelReason, parse_reason

_DESCRIPTION, _COMMENT = 3, 1
_COMMENT_MAX = 500


def is_of_events(interface: InterfaceDescription) -> bool:
    """True if the packets of an interface are events."""
    return any(code == _DESCRIPTION and value == EVENTS.encode() for code, value in interface.options)


def mark_events(packets: Table, interfaces: Sequence[int]) -> None:
    """Mark the packets of these interfaces as events. Addresses and ports stay; they are no IP for a tracker."""
    if not interfaces:
        return
    rows = np.isin(packets["interface"], interfaces)
    for name in ("family", "payload", "marks"):
        packets[name][rows] = 0
    packets["kind"][rows] = Kind.EVENT


def events_of(data: Bytes, packets: Table) -> Iterator[tuple[int, str, KernelReason | None]]:
    """Yield row, comment and reason of the events among packets."""
    for row in np.flatnonzero(packets["kind"] == Kind.EVENT).tolist():
        packet = packets[row]
        start = int(packet["offset"]) + (int(packet["captured"]) + 3 & ~3)
        size, order = int(packet["options"]) & (BIG - 1), ">" if int(packet["options"]) & BIG else "<"
        found = (value for code, value in options(bytes(data[start : start + size]), order) if code == _COMMENT)
        text = next(found, b"")[:_COMMENT_MAX].decode("utf-8", "replace")
        text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
        yield row, text, parse_reason(text)
