"""Decoded packets -> lines like tcpdump's, or columns for JSON; a batch at a time.

Sequence numbers are relative to the first one seen from their side, as in tcpdump.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.packets.packet_table import PACKET, Kind
from capture.analysis.query.names import hosts
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, aligned, beside, each, lines, numbers, scattered, text, where, words
from capture.arrays.rows import picked
from capture.pcapng.reader import Reader
from capture.views.moments import clock_text
from capture.wire.protocols import ACK, FIN, ICMP, ICMP_TYPES, ICMPV6, RST, SYN, TCP, UDP, icmp_text, protocol_name

DIRECTIONS = ("", "In", "Out", "")
"""Word of a direction, by epb_flags bits 0-1; docs/formats.md says from whose view."""
_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"), (0x40, "E"), (0x80, "W"), (0x10, "."))
_ECHO = {
    protocol: [number for name, number in ICMP_TYPES[protocol].items() if name.startswith("echo-")]
    for protocol in (ICMP, ICMPV6)
}
_END = ("high", "low", "port")
_REMEMBERED = 1 << 16
_CIRCLE = 0xFFFFFFFF


class PacketLines:
    """Lines for the packets of one file, in order."""

    def __init__(self, description: Reader, names: bool) -> None:
        self._description, self._names = description, names
        self._first: dict[int, int] = {}
        """First sequence number, by 2 * session + side."""

    def lines(self, packets: Table) -> str:
        """Return one line for each packet."""
        no_ip = beside(" no IP, length ", numbers(packets["original"]))
        ends = beside(self._end(packets, "source"), " > ", self._end(packets, "destination"))
        version = where(packets["family"] != 4, "6")
        session = where(packets["session"] > 0, beside(" #", numbers(packets["session"])))
        ip = beside(session, " IP", version, " ", ends, ": ", self._upper(packets))
        is_ip = packets["family"] > 0
        return text(beside(self._start(packets), where(is_ip, ip), where(~is_ip, no_ip), "\n"))

    def _start(self, packets: Table) -> Cells:
        moments = packets["time_ns"]
        clock = beside(each(clock_text, moments // 10**9), ".", numbers(moments % 10**9, 9))
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
        return beside(scattered(len(packets), *parts), where(cut, " [cut]"))

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

    def _relative(self, packets: Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return sequence and acknowledgment numbers; the first of a side is absolute, as in tcpdump."""
        if len(self._first) >= _REMEMBERED:
            self._first.clear()
        row, side = np.arange(len(packets)), packets["session"] * 2 + packets["side"]
        to_itself = np.logical_and.reduce([packets[f"source_{end}"] == packets[f"destination_{end}"] for end in _END])
        keys, which = np.unique(np.concatenate([side, side ^ ~to_itself]), return_inverse=True)
        own, other = which[: len(packets)], which[len(packets) :]
        sequence, acknowledged = packets["sequence"].astype(np.int64), packets["acknowledgment"].astype(np.int64)
        known = np.array([self._first.get(key, -1) for key in keys.tolist()], np.int64)
        since = np.where(known < 0, len(packets), -1)
        np.minimum.at(since, own, row)
        first = np.flatnonzero((since >= 0) & (since < len(packets)))
        known[first] = sequence[since[first]]
        self._first.update(zip(keys[first].tolist(), known[first].tolist(), strict=True))
        base = np.where(since[own] == row, 0, known[own])
        other_base = np.where(since[other] <= row, known[other], 0)
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


def _flag_letters(flags: int) -> str:
    return "".join(letter for bit, letter in _FLAGS if flags & bit) or "none"


def _after_space(word: str) -> str:
    return f" {word}" if word else ""


def interface_name(description: Reader, number: int) -> str:
    """Return the name of an interface in the file, or "" if it has none."""
    return description.interfaces[number].name


def packet_columns(packets: Table, description: Reader) -> dict[str, list[Any]]:
    """Return the columns of packets as plain lists, with addresses and interfaces as text."""
    halves = {f"{side}_{half}" for side in ("source", "destination") for half in ("high", "low")}
    plain = {name: packets[name].tolist() for name in PACKET.names or () if name not in halves and name != "offset"}
    for side in ("source", "destination"):
        addresses = zip(lines(hosts(packets, side)), plain["family"], strict=True)
        plain[side] = [address if family else None for address, family in addresses]
    plain["interface"] = [interface_name(description, number) or number for number in plain["interface"]]
    plain["direction"] = [DIRECTIONS[flags & 3] or None for flags in plain["flags"]]
    return plain
