"""Sessions -> what a person reads: their ends, their states, what became of their handshakes.

What is asked of every session of a file takes a table and gives a list; the rest takes a session of layout.records.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import numpy as np

from capture.analysis.layout import SIDES, Close, Handshake, Table, address, records
from capture.analysis.statement import Completeness
from capture.filters.names import ICMP, ICMP_CODES, ICMP_TYPES, ICMPV6, PROTOCOLS
from capture.units import format_duration

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


def endpoints(sessions: Table, side: str, names: Names | None = None) -> list[str]:
    """10.0.0.1:80, [fd00::1]:80, or with the name that the file has for the address."""
    columns = (
        sessions[name].tolist() for name in ("family", *(f"{side}_{part}" for part in ("high", "low", "port")))
    )
    return [place_text(family, high, low, port, names) for family, high, low, port in zip(*columns, strict=True)]


def place_text(family: int, high: int, low: int, port: int, names: Names | None = None) -> str:
    """An address by its name, if it has one, and a port, if it is not 0."""
    name = names.get(address(family, high, low)) if names else None
    text = name or address_text(family, high, low)
    if not port:
        return text
    return f"[{text}]:{port}" if family == 6 and name is None else f"{text}:{port}"


def icmp_words(family: int, kind: int, code: int) -> str:
    """destination-unreachable/port-unreachable."""
    protocol = ICMP if family == 4 else ICMPV6
    name = next((name for name, number in ICMP_TYPES[protocol].items() if number == kind), f"type {kind}")
    codes = ICMP_CODES.get((protocol, kind), {})
    what = next((word for word, number in codes.items() if number == code), f"code {code}" if code else "")
    return f"{name}/{what}" if what else name


def handshake_sentences(sessions: Table, truth: Completeness) -> list[str]:
    """What became of the handshakes, and the packets that show it; "" for what is not TCP."""
    words = [""] * len(sessions)
    complete = sessions["handshake"] == Handshake.COMPLETE
    columns = ("syn_packet", "syn_ack_packet", "ack_packet", "syns", "syn_acks")
    evidence = zip(*(sessions[name][complete].tolist() for name in columns), strict=True)
    for at, found in zip(np.flatnonzero(complete).tolist(), evidence, strict=True):
        words[at] = _complete(*found)
    others = ~complete & (sessions["handshake"] != Handshake.NONE)
    for at, session in zip(np.flatnonzero(others).tolist(), records(sessions[others]), strict=True):
        words[at] = _incomplete(session, truth)
    return words


def _complete(syn: int, syn_ack: int, ack: int, syns: int, syn_acks: int) -> str:
    if syn and syn_ack and ack and syns == syn_acks == 1:  # nearly all
        return f"complete (packets {syn}, {syn_ack}, {ack})"
    seen = f"packets {', '.join(str(number) for number in (syn, syn_ack, ack) if number)}"
    again = syns + syn_acks - 2
    return f"complete ({seen}; {_times(again, 'repetition')})" if again > 0 else f"complete ({seen})"


def _incomplete(session: Any, truth: Completeness) -> str:
    match session.handshake:
        case Handshake.UNANSWERED:
            tries = session.syns - 1
            over = format_duration(session.syn_last_ns - session.syn_ns)
            retries = f"{_times(tries, 'retry', 'retries')} over {over}" if tries else "not repeated"
            doubt = "" if truth.complete else f"; {truth}"
            return f"SYN unanswered (from packet {session.syn_packet}, {retries}){doubt}"
        case Handshake.REFUSED:
            after = format_duration(session.rst_ns - session.syn_last_ns)
            return f"refused by RST after {after} (packets {session.syn_packet}, {session.rst_packet})"
        case Handshake.UNREACHABLE:
            by = address(session.family, session.icmp_high, session.icmp_low)
            error = icmp_words(session.family, session.icmp_type, session.icmp_code)
            return f"unreachable: {error} from {by} (packets {session.syn_packet}, {session.icmp_packet})"
        case Handshake.UNACKNOWLEDGED:
            times = _times(session.syn_acks, "time")
            return f"SYN-ACK sent {times}, never acknowledged (from packet {session.syn_ack_packet})"
        case Handshake.ACK_LOST:
            return (
                f"acknowledged (packet {session.ack_packet}), but the server repeats its SYN-ACK: "
                "the ACK was lost behind this point"
            )
        case Handshake.ABORTED:
            shown = f"packets {session.syn_ack_packet}, {session.rst_packet}"
            return f"the client answered the SYN-ACK with RST ({shown})"
        case Handshake.RESET_AT_ONCE:
            who = "client" if session.client.rst_packet == session.rst_packet else "server"
            after = format_duration(session.rst_ns - session.ack_ns)
            shown = f"packets {session.ack_packet}, {session.rst_packet}"
            return f"complete, then reset by the {who} after {after} ({shown})"
        case Handshake.STARTED_BEFORE:
            return "started before the capture"
        case _:
            return f"packets of the {_missing(session)} are not in the file; {truth}"


def _missing(session: Any) -> str:
    sides = [side for side in SIDES if not getattr(session, side).packets]
    if sides:
        return sides[0]
    return "handshake"


def _times(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def states(sessions: Table) -> list[str]:
    """Where the sessions stood at their last packets."""
    client, server = sessions["client"], sessions["server"]
    closed = (client["fin_packet"] > 0).astype(int) + (server["fin_packet"] > 0)
    two_way = (client["packets"] > 0) & (server["packets"] > 0)
    found = np.select(
        [
            sessions["protocol"] != PROTOCOLS["tcp"],
            sessions["rst_packet"] > 0,
            closed > 0,
            (sessions["ack_packet"] > 0) | (sessions["syns"] == 0),
        ],
        [np.where(two_way, 0, 1), 2, 2 + closed, 5],
        np.where(sessions["syn_acks"] > 0, 6, 7),
    )
    return [_STATES[number] for number in found.tolist()]
