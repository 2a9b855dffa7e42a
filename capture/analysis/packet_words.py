"""A decoded packet -> a line in tcpdump's manner, or a JSON object.

Sequence numbers are relative to the first that is seen of their side, as tcpdump shows them.
"""

import time
from typing import Any

from capture.analysis.layout import PACKET, Kind, address
from capture.analysis.words import address_text, icmp_words, protocol_word
from capture.filters.names import ICMP, ICMPV6
from capture.pcapng.read import Reader

_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"), (0x40, "E"), (0x80, "W"), (0x10, "."))
DIRECTIONS = {1: "In", 2: "Out"}
"""By epb_flags bits 0-1; docs/formats.md says whose view that is."""
_REMEMBERED = 1 << 16


class PacketWords:
    """Lines for the packets of one file, in order."""

    def __init__(self, description: Reader, names: bool) -> None:
        self._description, self._names = description, names
        self._first: dict[tuple[int, int, int, int], int] = {}

    def line(self, packet: Any) -> str:
        """One packet."""
        moment = int(packet["time_ns"])
        clock = time.strftime("%H:%M:%S", time.localtime(moment // 10**9))
        where = interface_name(self._description, int(packet["interface"]))
        way = DIRECTIONS.get(int(packet["flags"]) & 3, "")
        start = " ".join(filter(None, (f"{packet['number']:>6} {clock}.{moment % 10**9:09d}", where, way)))
        if not packet["family"]:
            return f"{start} no IP, length {packet['original']}"
        ends = f"{self._end(packet, 'source')} > {self._end(packet, 'destination')}"
        return (
            f"{start} #{packet['session']} {'IP' if packet['family'] == 4 else 'IP6'} {ends}: {self._upper(packet)}"
        )

    def _end(self, packet: Any, side: str) -> str:
        family, high, low = int(packet["family"]), int(packet[f"{side}_high"]), int(packet[f"{side}_low"])
        name = self._description.names.get(address(family, high, low)) if self._names else None
        port = int(packet[f"{side}_port"]) if packet["protocol"] not in (ICMP, ICMPV6) else 0
        text = name or address_text(family, high, low)
        return f"{text}.{port}" if port else text

    def _upper(self, packet: Any) -> str:
        kind, length = int(packet["kind"]), int(packet["payload"])
        if kind & Kind.LATER_FRAGMENT:
            return f"{protocol_word(int(packet['protocol']))}, a later fragment, length {length}"
        cut = " [cut]" if kind & Kind.CUT else ""
        match int(packet["protocol"]):
            case 6:
                return self._tcp(packet) + cut
            case 17:
                return f"UDP, length {length}{cut}"
            case 1 | 58:
                what = icmp_words(int(packet["family"]), int(packet["icmp_type"]), int(packet["icmp_code"]))
                which = f", id {packet['source_port']}, seq {packet['sequence']}" if what.startswith("echo") else ""
                return f"ICMP {what}{which}, length {length + 8}{cut}"
            case protocol:
                return f"{protocol_word(protocol)}, length {length}{cut}"

    def _tcp(self, packet: Any) -> str:
        flags, length = int(packet["tcp_flags"]), int(packet["payload"])
        own = (
            int(packet["session"]),
            int(packet["source_high"]),
            int(packet["source_low"]),
            int(packet["source_port"]),
        )
        other = (
            own[0],
            int(packet["destination_high"]),
            int(packet["destination_low"]),
            int(packet["destination_port"]),
        )
        sequence, acknowledged = int(packet["sequence"]), int(packet["acknowledgment"])
        if own not in self._first:
            if len(self._first) >= _REMEMBERED:
                self._first.clear()
            self._first[own] = sequence
            start = sequence  # absolute where it is the first, as in tcpdump
        else:
            start = (sequence - self._first[own]) & 0xFFFFFFFF
        parts = [f"Flags [{''.join(letter for bit, letter in _FLAGS if flags & bit) or 'none'}]"]
        if length or flags & 0x07:
            parts.append(f"seq {start}:{start + length}" if length else f"seq {start}")
        if flags & 0x10:
            parts.append(f"ack {(acknowledged - self._first.get(other, 0)) & 0xFFFFFFFF}")
        parts.append(f"win {packet['window']}")
        if packet["kind"] & Kind.TIMESTAMPS:
            parts.append(f"TS val {packet['tsval']} ecr {packet['tsecr']}")
        return ", ".join([*parts, f"length {length}"])


def interface_name(description: Reader, number: int) -> str:
    """As the file has it; "" where it has none."""
    return description.interfaces[number].name


def packet_json(packet: Any, description: Reader) -> dict[str, Any]:
    """The columns of a packet, its addresses and interface in words."""
    halves = {f"{side}_{half}" for side in ("source", "destination") for half in ("high", "low")}
    plain = {name: packet[name].item() for name in PACKET.names or () if name not in halves and name != "offset"}
    for side in ("source", "destination"):
        high, low = int(packet[f"{side}_high"]), int(packet[f"{side}_low"])
        plain[side] = address_text(plain["family"], high, low) if plain["family"] else None
    plain["interface"] = interface_name(description, plain["interface"]) or plain["interface"]
    plain["direction"] = DIRECTIONS.get(plain["flags"] & 3)
    return plain
