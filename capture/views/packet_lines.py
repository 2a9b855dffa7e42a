"""Decoded packets -> lines like tcpdump's, or columns for JSON; a batch at a time.

Sequence numbers are relative to the first one seen from their side, as in tcpdump.
"""

from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.application.heard import Heard
from capture.analysis.application.messages import Messages
from capture.analysis.packets.events import events_of
from capture.analysis.packets.packet_table import PACKET, Kind, Mark
from capture.analysis.packets.reading import Batch
from capture.analysis.query.names import hosts
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, aligned, beside, each, lines, numbers, scattered, text, where, words
from capture.arrays.rows import picked
from capture.pcapng.describe import Description
from capture.views.message_words import message_plain, message_text
from capture.views.moments import Clock
from capture.wire.protocols import ACK, FIN, ICMP, ICMP_TYPES, ICMPV6, RST, SYN, TCP, UDP, icmp_text, protocol_name

DIRECTIONS = ("", "In", "Out", "")
"""Word of a direction, by epb_flags bits 0-1; docs/formats.md says from whose view."""
_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"), (0x40, "E"), (0x80, "W"), (0x10, "."))
_ECHO = {
    protocol: [number for name, number in ICMP_TYPES[protocol].items() if name.startswith("echo-")]
    for protocol in (ICMP, ICMPV6)
}
_MARKS = {
    Mark.REPEATED: "retransmission",
    Mark.LOST_BEFORE: "retransmission of what was lost before this point",
    Mark.OVERTAKEN: "out of order",
    Mark.COPY: "copy",
    Mark.KEEPALIVE: "keep-alive",
    Mark.ZERO_WINDOW: "zero window",
    Mark.AFTER_GAP: "bytes before it are missing so far",
    Mark.ACKNOWLEDGES_UNSEEN: "acknowledges bytes that are not in the file",
}
_ASKED_AGAIN = "asked again"
_END = ("high", "low", "port")
_REMEMBERED = 1 << 16
_UNKNOWN = (0, 1 << 62)
"""First sequence number of a side that is not known, and a packet that never comes."""
_CIRCLE = 0xFFFFFFFF


class PacketLines:
    """Lines for the packets of one file, in order. `some`: packets of a session may be left out."""

    def __init__(self, description: Description, names: bool, clock: Clock | None = None, some: bool = False) -> None:
        self._some = some
        self._description, self._names, self._clock = description, names, clock or Clock()
        self._first: dict[int, tuple[int, int]] = {}
        """First sequence number and the packet that has it, by 2 * session + side."""
        self._messages = Messages()
        self._heard: dict[int, Heard] = {}
        """Messages of the present batch, by packet number."""
        self._events: dict[int, str] = {}
        """Texts of events of the present batch, by packet number."""

    def watch(self, batch: Batch) -> None:
        """Learn from a batch of which some packets are shown next: messages, and the first sequence numbers."""
        packets = batch.packets
        self._events = {int(packets["number"][row]): text for row, text, _ in events_of(batch.data, packets)}
        heard = self._messages.of(batch)
        numbers = packets["number"][[one.packet for one in heard if one.packet >= 0]].tolist()
        self._heard = dict(zip(numbers, (one for one in heard if one.packet >= 0), strict=True))
        if self._some:
            later = packets["kind"] & Kind.LATER_FRAGMENT > 0
            self._learn(packets[~later & (packets["protocol"] == TCP)])

    def lines(self, packets: Table) -> str:
        """Return one line for each packet."""
        no_ip = beside(" no IP, length ", numbers(packets["original"]))
        if self._events:
            events = [
                f" {self._events[number]}" if number in self._events else "" for number in packets["number"].tolist()
            ]
            is_event = packets["kind"] == Kind.EVENT
            no_ip = beside(where(is_event, words(events)), where(~is_event, no_ip))
        ends = beside(self._end(packets, "source"), " > ", self._end(packets, "destination"))
        version = where(packets["family"] != 4, "6")
        session = where(packets["session"] > 0, beside(" #", numbers(packets["session"])))
        ip = beside(session, " IP", version, " ", ends, ": ", self._upper(packets))
        is_ip = packets["family"] > 0
        return text(beside(self._start(packets), where(is_ip, ip), where(~is_ip, no_ip), "\n"))

    def _start(self, packets: Table) -> Cells:
        clock = self._clock.cells(packets["time_ns"], 9)
        point = each(lambda number: _after_space(interface_name(self._description, number)), packets["interface"])
        way = words([_after_space(direction) for direction in DIRECTIONS])[packets["flags"] & 3]
        return beside(aligned(numbers(packets["number"]), 6), " ", clock, point, way)

    def _end(self, packets: Table, side: str) -> Cells:
        port = np.where(_is_icmp(packets), 0, packets[f"{side}_port"])
        names = self._description.names if self._names else None
        return beside(hosts(packets, side, names), where(port > 0, beside(".", numbers(port))))

    def _upper(self, packets: Table) -> Cells:
        """Return the text that follows the addresses."""
        later = packets["kind"] & Kind.LATER_FRAGMENT > 0
        tcp, icmp = ~later & (packets["protocol"] == TCP), ~later & _is_icmp(packets)
        parts = []
        for chosen, describe in ((tcp, self._tcp), (icmp, _icmp), (~tcp & ~icmp, _other)):
            at = np.flatnonzero(chosen)
            if len(at):
                parts.append((at, describe(picked(packets, at))))
        cut = ~later & (packets["kind"] & Kind.CUT > 0)
        upper = [scattered(len(packets), *parts)]
        told = [one for one in packets["number"].tolist() if one in self._heard] if self._heard else []
        if told:
            texts = words([f": {message_text(self._heard[number])}" for number in told])
            upper.append(scattered(len(packets), (np.flatnonzero(np.isin(packets["number"], told)), texts)))
        if cut.any():
            upper.append(where(cut, " [cut]"))
        at = np.flatnonzero(packets["marks"])
        if len(at):
            marks = each(_marks_text, packets["marks"][at], packets["protocol"][at])
            upper.append(scattered(len(packets), (at, beside(" [", marks, "]"))))
        return beside(*upper)

    def columns(self, packets: Table) -> dict[str, list[Any]]:
        """Return the columns of packets as plain lists, with addresses and interfaces as text, and messages."""
        plain = packet_columns(packets, self._description)
        found = map(self._heard.get, plain["number"])
        return plain | {"message": [None if one is None else message_plain(one) for one in found]}

    def _tcp(self, packets: Table) -> Cells:
        flags, length = packets["tcp_flags"], packets["payload"].astype(np.int64)
        sequence, acknowledged = self._relative(packets)
        range_end = where(length > 0, beside(":", numbers(sequence + length)))
        shown = (length > 0) | (flags & (SYN | FIN | RST) > 0)
        stamps = beside(", TS val ", numbers(packets["tsval"]), " ecr ", numbers(packets["tsecr"]))
        return beside(
            "Flags [", each(_flag_letters, flags), "]",
            where(shown, beside(", seq ", numbers(sequence), range_end)),
            where(flags & ACK > 0, beside(", ack ", numbers(acknowledged))),
            ", win ", numbers(packets["window"]),
            where(packets["kind"] & Kind.TIMESTAMPS > 0, stamps),
            ", length ", numbers(length),
        )  # fmt: skip

    def _learn(self, packets: Table) -> None:
        """Keep the first sequence numbers of sides that have none yet; `packets` are TCP."""
        if len(self._first) >= _REMEMBERED:
            for side in list(islice(self._first, _REMEMBERED // 2)):  # the oldest
                del self._first[side]
        sides, at = np.unique(packets["session"] * 2 + packets["side"], return_index=True)
        firsts = zip(packets["sequence"][at].tolist(), packets["number"][at].tolist(), strict=True)
        for side, first in zip(sides.tolist(), firsts, strict=True):
            self._first.setdefault(side, first)

    def _relative(self, packets: Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return sequence and acknowledgment numbers; the first of a side is absolute, as in tcpdump."""
        side = packets["session"] * 2 + packets["side"]
        to_itself = np.logical_and.reduce([packets[f"source_{end}"] == packets[f"destination_{end}"] for end in _END])
        keys, which = np.unique(np.concatenate([side, side ^ ~to_itself]), return_inverse=True)
        own, other = which[: len(packets)], which[len(packets) :]
        plain = keys.tolist()
        new = np.array([key not in self._first for key in plain], np.bool_)[own]
        if new.any():
            self._learn(packets[new])
        first = np.array([self._first.get(key, _UNKNOWN) for key in plain], np.int64).reshape(-1, 2)
        sequence, acknowledged = packets["sequence"].astype(np.int64), packets["acknowledgment"].astype(np.int64)
        base = np.where(first[own, 1] < packets["number"], first[own, 0], 0)
        other_base = np.where(first[other, 1] <= packets["number"], first[other, 0], 0)
        return sequence - base & _CIRCLE, acknowledged - other_base & _CIRCLE


def _icmp(packets: Table) -> Cells:
    kind = [packets[name] for name in ("family", "icmp_type", "icmp_code")]
    identifier = beside(", id ", numbers(packets["source_port"]), ", seq ", numbers(packets["sequence"]))
    echo = np.where(kind[0] == 4, np.isin(kind[1], _ECHO[ICMP]), np.isin(kind[1], _ECHO[ICMPV6]))
    length = numbers(packets["payload"].astype(np.int64) + 8)
    return beside("ICMP ", each(icmp_text, *kind), where(echo, identifier), ", length ", length)


def _other(packets: Table) -> Cells:
    later = packets["kind"] & Kind.LATER_FRAGMENT > 0
    udp = ~later & (packets["protocol"] == UDP)
    name = where(~udp, each(protocol_name, packets["protocol"]))
    length = numbers(packets["payload"])
    return beside(where(udp, "UDP"), name, where(later, ", a later fragment"), ", length ", length)


def _is_icmp(packets: Table) -> npt.NDArray[np.bool_]:
    return np.isin(packets["protocol"], (ICMP, ICMPV6))


def mark_words(marks: int, protocol: int) -> list[str]:
    """Return a packet's marks as words."""
    found = [
        word
        for mark, word in _MARKS.items()
        if marks & mark and not (mark == Mark.REPEATED and marks & Mark.LOST_BEFORE)
    ]
    return [_ASKED_AGAIN if word == _MARKS[Mark.REPEATED] and protocol != TCP else word for word in found]


def _marks_text(marks: int, protocol: int) -> str:
    return ", ".join(mark_words(marks, protocol))


def _flag_letters(flags: int) -> str:
    return "".join(letter for bit, letter in _FLAGS if flags & bit) or "none"


def _after_space(word: str) -> str:
    return f" {word}" if word else ""


def interface_name(description: Description, number: int) -> str:
    """Return the name of an interface in the file, or "" if it has none."""
    return description.interfaces[number].name


def packet_columns(packets: Table, description: Description) -> dict[str, list[Any]]:
    """Return the columns of packets as plain lists, with addresses and interfaces as text."""
    hidden = {f"{side}_{half}" for side in ("source", "destination") for half in ("high", "low")}
    hidden |= {"offset", "options"}
    plain = {name: packets[name].tolist() for name in PACKET.names or () if name not in hidden}
    for side in ("source", "destination"):
        addresses = zip(lines(hosts(packets, side)), plain["family"], strict=True)
        plain[side] = [address if family else None for address, family in addresses]
    plain["interface"] = [interface_name(description, number) or number for number in plain["interface"]]
    plain["marks"] = list(map(mark_words, plain["marks"], plain["protocol"]))
    plain["direction"] = [DIRECTIONS[flags & 3] or None for flags in plain["flags"]]
    return plain
