"""Sessions -> what a person reads: their ends, their states, and the words for numbers.

What is asked of every session of a file takes a table and gives a row of cells for each.
"""

import time
from collections.abc import Mapping
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import numpy.typing as npt

from capture.analysis.packets.packet_table import Close, Handshake, address
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, beside, each, numbers, where, words
from capture.wire.protocols import ICMP, ICMP_CODES, ICMP_TYPES, ICMPV6, PROTOCOLS

_STATES = ("two-way", "one-way", "reset", "closing", "closed", "established", "syn-received", "syn-sent")
Names = Mapping[IPv4Address | IPv6Address, str]

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
HANDSHAKES = {
    Handshake.NONE: "",
    Handshake.COMPLETE: "complete",
    Handshake.UNANSWERED: "unanswered",
    Handshake.REFUSED: "refused",
    Handshake.UNREACHABLE: "unreachable",
    Handshake.UNACKNOWLEDGED: "unacknowledged",
    Handshake.ACK_LOST: "ack-lost",
    Handshake.ABORTED: "aborted",
    Handshake.RESET_AT_ONCE: "reset-at-once",
    Handshake.STARTED_BEFORE: "started-before",
    Handshake.NOT_CAPTURED: "not-captured",
}
"""The words of columns and filters."""
CLOSES = {
    Close.OPEN: "open",
    Close.FIN: "fin",
    Close.HALF: "half",
    Close.RESET_BY_CLIENT: "reset-by-client",
    Close.RESET_BY_SERVER: "reset-by-server",
    Close.IDLE: "idle",
    Close.REUSED: "reused",
    Close.CROWDED_OUT: "crowded-out",
}


def protocol_word(number: int) -> str:
    """tcp, or the number of one that has no name here."""
    return _PROTOCOL_NAMES.get(number) or str(number)


@lru_cache(1 << 16)
def address_text(family: int, high: int, low: int) -> str:
    """An address as it is written."""
    return str(address(family, high, low))


def clock_text(seconds: int) -> str:
    """The local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def hosts(rows: Table, side: str, names: Names | None = None) -> Cells:
    """Who is on a side of sessions, or of packets: the address, or its name where it has one."""
    return each(partial(_before_port, names, False), rows["family"], rows[f"{side}_high"], rows[f"{side}_low"])


def endpoints(sessions: Table, side: str, names: Names | None = None) -> Cells:
    """10.0.0.1:80, [fd00::1]:80, or with the name that the file has for the address."""
    high, low, port = (sessions[f"{side}_{part}"] for part in ("high", "low", "port"))
    before = each(partial(_before_port, names), port > 0, sessions["family"], high, low)
    return beside(before, where(port > 0, numbers(port)))


def place_text(family: int, high: int, low: int, port: int, names: Names | None = None) -> str:
    """An address by its name, if it has one, and a port, if it is not 0."""
    return f"{_before_port(names, port > 0, family, high, low)}{port or ''}"


def _before_port(names: Names | None, has_port: bool, family: int, high: int, low: int) -> str:
    name = names.get(address(family, high, low)) if names else None
    text = name or address_text(family, high, low)
    if not has_port:
        return text
    return f"{text}:" if name or family == 4 else f"[{text}]:"


def icmp_words(family: int, kind: int, code: int) -> str:
    """destination-unreachable/port-unreachable."""
    protocol = ICMP if family == 4 else ICMPV6
    name = next((name for name, number in ICMP_TYPES[protocol].items() if number == kind), f"type {kind}")
    codes = ICMP_CODES.get((protocol, kind), {})
    what = next((word for word, number in codes.items() if number == code), f"code {code}" if code else "")
    return f"{name}/{what}" if what else name


def states(sessions: Table) -> Cells:
    """Where the sessions stood at their last packets."""
    client, server = sessions["client"], sessions["server"]
    closed = (client["fin_packet"] > 0).astype(int) + (server["fin_packet"] > 0)
    two_way = (client["packets"] > 0) & (server["packets"] > 0)
    found: npt.NDArray[np.int64] = np.select(
        [
            sessions["protocol"] != PROTOCOLS["tcp"],
            sessions["rst_packet"] > 0,
            closed > 0,
            (sessions["ack_packet"] > 0) | (sessions["syns"] == 0),
        ],
        [np.where(two_way, 0, 1), 2, 2 + closed, 5],
        np.where(sessions["syn_acks"] > 0, 6, 7),
    )
    return words(_STATES)[found]
