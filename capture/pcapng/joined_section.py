"""Sections of several nodes -> one section: one numbering of interfaces, names that are unique, sums of statistics.

It needs no numpy: whoever fetches captures at a desk has none of the engine. Blocks are in this machine's byte order,
with times in nanoseconds, as bicap writes them; anything else is a FormatError that says to take the single files.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from capture.errors import FormatError
from capture.pcapng import blocks, describe
from capture.pcapng.describe import InterfaceDescription

_TIME = struct.Struct(blocks.BYTE_ORDER + "II")
_MAGIC = struct.Struct(blocks.BYTE_ORDER + "I")
_DESCRIPTION, _COMMENT, _START, _END = 3, 1, 2, 3
COMMENT_MAX = 4000
"""Most bytes of a joined comment."""


@dataclass(slots=True)
class _Counts:
    """Sum of the statistics of one interface over its files."""

    start_ns: int = 0
    end_ns: int = 0
    received: int = 0
    accepted: int = 0
    dropped: int = 0
    delivered: int = 0
    comments: dict[str, None] = field(default_factory=dict)


class JoinedSection:
    """The numbers, names and counts of the section that is written.

    An interface is known by its node and its name: in the files of one node it keeps its number. A name that another
    node's interface has already, and every name that has no pod in it, gets `@NODE`.
    """

    def __init__(self, header: bytes = b"") -> None:
        self._pending = [header] if header else []
        self._numbers: dict[tuple[str, str], int] = {}
        self._names: set[str] = set()
        self._seen_names: set[bytes] = set()
        self._counts: dict[int, _Counts] = {}
        self._notes: dict[str, str] = {}
        self._clocks: dict[str, str] = {}

    @property
    def interfaces(self) -> int:
        """Number of interfaces so far."""
        return len(self._numbers)

    def take(self) -> bytes:
        """Return the blocks that belong before the next packet."""
        pending, self._pending = b"".join(self._pending), []
        return pending

    def clock(self, node: str, text: str) -> None:
        """State the clock of a node, in the interfaces that come from now on."""
        self._clocks[node] = text

    def note(self, node: str, text: str) -> None:
        """State something about a node in the statistics of its interfaces; a later text replaces it."""
        self._notes[node] = text

    def interface(self, node: str, body: bytes) -> int:
        """Add an interface of a node, from the body of its block. Returns its number here."""
        described = describe.interface(body, blocks.BYTE_ORDER)
        if described.resolution != blocks.NANOSECONDS or described.offset_s:
            raise FormatError(f"interface {described.name} of {node} has other times than nanoseconds")
        key = node, described.name
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self._numbers)
            self._pending.append(self._block(node, described))
        return known

    def _block(self, node: str, described: InterfaceDescription) -> bytes:
        name = described.name
        if "/" not in name or name in self._names:
            name = f"{name}@{node}"
        self._names.add(name)
        given = dict(described.options)
        text = given.get(_DESCRIPTION, b"").decode("utf-8", "replace")
        where = f"{text}, on node {node}" if text else f"node {node}"
        kept = [(code, value) for code, value in described.options if code not in (0, _DESCRIPTION)]
        clock = self._clocks.get(node)
        comment = [(_COMMENT, clock.encode())] if clock else []
        options = [(_DESCRIPTION, where.encode()), *kept, *comment]
        return blocks.foreign_interface(described.link, described.snaplen, name, options)

    def names(self, block: bytes) -> None:
        """Add a Name Resolution Block, once."""
        if block not in self._seen_names:
            self._seen_names.add(block)
            self._pending.append(block)

    def statistics(self, body: bytes, numbers: Sequence[int]) -> None:
        """Add the counts of a file's interface; `numbers` are the numbers here of the file's interfaces."""
        told = describe.statistics(body, blocks.BYTE_ORDER)
        if told.interface >= len(numbers):
            return
        values = dict(describe.options(body[12:], blocks.BYTE_ORDER))
        start, end = (_time(values.get(code, b"")) for code in (_START, _END))
        counts = self._counts.setdefault(numbers[told.interface], _Counts())
        counts.start_ns = min(filter(None, (counts.start_ns, start)), default=0)
        counts.end_ns = max(counts.end_ns, end)
        for name in ("received", "accepted", "dropped", "delivered"):
            setattr(counts, name, getattr(counts, name) + (getattr(told, name) or 0))
        if told.comment:
            counts.comments[told.comment] = None

    def closing(self) -> bytes:
        """Return the last blocks: pending ones, and the statistics of each interface that has some."""
        nodes = {number: node for (node, _), number in self._numbers.items()}
        last = [self.take()]
        for number, node in sorted(nodes.items()):
            counts = self._counts.get(number)
            if counts is None and node not in self._notes:
                continue
            counts = counts or _Counts()
            texts = [*counts.comments, *filter(None, [self._notes.get(node)])]
            last.append(
                blocks.InterfaceStatistics(
                    interface=number,
                    start_ns=counts.start_ns,
                    end_ns=counts.end_ns,
                    received=counts.received,
                    accepted=counts.accepted,
                    dropped=counts.dropped,
                    delivered=counts.delivered,
                    comment="; ".join(texts)[:COMMENT_MAX],
                ).encode()
            )
        return b"".join(last)


def _time(value: bytes) -> int:
    if len(value) != 8:
        return 0
    return blocks.time_of(*_TIME.unpack(value))


def check_order(body: bytes, name: str) -> None:
    """Raise FormatError if a section is not in this machine's byte order."""
    if len(body) < 16 or _MAGIC.unpack_from(body)[0] != blocks.BYTE_ORDER_MAGIC:
        raise FormatError(f"{name} is a section of another byte order; take the single files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """What the header of the joined section says, beside what the sections of the nodes say."""

    application: str
    capture: dict[str, Any]
    """Kind, namespace, name and UID of the object."""
    nodes: list[dict[str, Any]]
    """Per node its name, its clock and, if it failed, the reason."""
    spec: Any = None
    remarks: tuple[str, ...] = ()
    """Lines for people, like the nodes that failed."""

    def header(self, section: describe.SectionDescription | None = None) -> bytes:
        """Return the Section Header Block; `section` describes the machine of the first node."""
        machine = section or describe.SectionDescription()
        text = self._comment()
        if len(text.encode()) > blocks.OPTION_LIMIT:
            text = replace(self, spec="see the object")._comment()
        return blocks.section_header(
            hardware=machine.hardware,
            os=machine.os,
            application=self.application,
            comment=text,
            more=self.remarks,
        )

    def _comment(self) -> str:
        said = {"bicap": self.application.rpartition(" ")[2], "capture": self.capture}
        said |= {} if self.spec is None else {"spec": self.spec}
        return json.dumps(said | {"nodes": self.nodes})
