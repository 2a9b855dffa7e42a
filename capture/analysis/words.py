"""Sessions -> what a person reads: their ends, their states, what became of their handshakes.

What is asked of every session of a file takes a table and gives a row of cells for each.
"""

import time
from collections.abc import Mapping
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import numpy.typing as npt

from capture.analysis.cells import Cells, beside, durations, each, numbers, scattered, where, words
from capture.analysis.layout import SIDES, Close, Handshake, Table, address
from capture.analysis.rows import picked
from capture.analysis.statement import Completeness
from capture.filters.names import ICMP, ICMP_CODES, ICMP_TYPES, ICMPV6, PROTOCOLS

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


def endpoints(sessions: Table, side: str, names: Names | None = None) -> Cells:
    """10.0.0.1:80, [fd00::1]:80, or with the name that the file has for the address."""
    high, low, port = (sessions[f"{side}_{part}"] for part in ("high", "low", "port"))
    before = each(partial(_before_port, names), sessions["family"], high, low, port > 0)
    return beside(before, where(port > 0, numbers(port)))


def place_text(family: int, high: int, low: int, port: int, names: Names | None = None) -> str:
    """An address by its name, if it has one, and a port, if it is not 0."""
    return f"{_before_port(names, family, high, low, port > 0)}{port or ''}"


def _before_port(names: Names | None, family: int, high: int, low: int, has_port: bool) -> str:
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


def handshake_sentences(sessions: Table, truth: Completeness) -> Cells:
    """What became of the handshakes, and the packets that show it; nothing for what is not TCP."""
    verdicts = sessions["handshake"]
    parts = []
    for verdict in np.unique(verdicts[verdicts != Handshake.NONE]).tolist():
        at = np.flatnonzero(verdicts == verdict)
        parts.append((at, _sentences(verdict, picked(sessions, at), truth)))
    return scattered(len(sessions), *parts)


def _sentences(verdict: int, sessions: Table, truth: Completeness) -> Cells:
    """Those of sessions that have one verdict."""

    def since(earlier: str, later: str) -> Cells:
        return durations(sessions[f"{later}_ns"] - sessions[f"{earlier}_ns"])

    match verdict:
        case Handshake.COMPLETE:
            again = sessions["syns"].astype(np.int64) + sessions["syn_acks"] - 2
            repeated = each(lambda count: f"; {_times(count, 'repetition')}" if count > 0 else "", again)
            return beside("complete (", _packets(sessions, "syn", "syn_ack", "ack"), repeated, ")")
        case Handshake.UNANSWERED:
            tries = sessions["syns"].astype(np.int64) - 1
            retries = beside(
                each(lambda count: f"{_times(count, 'retry', 'retries')} over ", tries), since("syn", "syn_last")
            )
            again = beside(where(tries > 0, retries), where(tries <= 0, "not repeated"))
            doubt = "" if truth.complete else f"; {truth}"
            return beside("SYN unanswered (from packet ", numbers(sessions["syn_packet"]), ", ", again, f"){doubt}")
        case Handshake.REFUSED:
            return beside(
                "refused by RST after ", since("syn_last", "rst"), " (", _packets(sessions, "syn", "rst"), ")"
            )
        case Handshake.UNREACHABLE:
            error = each(icmp_words, *(sessions[name] for name in ("family", "icmp_type", "icmp_code")))
            by = each(address_text, *(sessions[name] for name in ("family", "icmp_high", "icmp_low")))
            return beside("unreachable: ", error, " from ", by, " (", _packets(sessions, "syn", "icmp"), ")")
        case Handshake.UNACKNOWLEDGED:
            times = each(lambda count: _times(count, "time"), sessions["syn_acks"])
            first = numbers(sessions["syn_ack_packet"])
            return beside("SYN-ACK sent ", times, ", never acknowledged (from packet ", first, ")")
        case Handshake.ACK_LOST:
            lost = "), but the server repeats its SYN-ACK: the ACK was lost behind this point"
            return beside("acknowledged (packet ", numbers(sessions["ack_packet"]), lost)
        case Handshake.ABORTED:
            return beside("the client answered the SYN-ACK with RST (", _packets(sessions, "syn_ack", "rst"), ")")
        case Handshake.RESET_AT_ONCE:
            by_server = sessions["client"]["rst_packet"] != sessions["rst_packet"]
            who = words(SIDES)[by_server.astype(int)]
            shown = _packets(sessions, "ack", "rst")
            return beside("complete, then reset by the ", who, " after ", since("ack", "rst"), " (", shown, ")")
        case Handshake.STARTED_BEFORE:
            return words(["started before the capture"] * len(sessions))
        case _:
            missing = np.select([sessions[side]["packets"] == 0 for side in SIDES], (0, 1), 2)
            return beside("packets of the ", words((*SIDES, "handshake"))[missing], f" are not in the file; {truth}")


def _packets(sessions: Table, *names: str) -> Cells:
    """The numbers of those packets that there were."""
    parts, before = [], np.zeros(len(sessions), np.bool_)
    for name in names:
        number = sessions[f"{name}_packet"]
        parts += [where(before & (number > 0), ", "), where(number > 0, numbers(number))]
        before |= number > 0
    return beside("packets ", *parts)


def _times(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


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
