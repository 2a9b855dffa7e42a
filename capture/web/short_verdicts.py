"""A table of sessions -> the verdict of each as pieces of text: what is usual, what went wrong, what the file lacks.

The words are those of `bicap sessions` and `bicap diagnose`. A piece is (text, tone); tones are "" for what is
usual, "bad" for what went wrong, "lack" for what the capture did not get.
"""

import numpy as np

from capture.analysis.diagnose.sentences import CAUSES, SLOW_NS
from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.names import CLOSES
from capture.analysis.sessions.session_table import Close, Handshake
from capture.analysis.sessions.verdict import unreachable
from capture.arrays.aliases import Longs, Mask, Table
from capture.arrays.cells import lines
from capture.units import format_count, format_duration, format_size
from capture.views.handshakes import handshake_sentences
from capture.wire.protocols import TCP

Piece = tuple[str, str]
_SHORT = Completeness(known=True)
"""Sentences of one row do not repeat what the file as a whole lacks."""


def troubled(sessions: Table) -> Mask:
    """Return a mask of sessions in which something went wrong."""
    client, server = sessions["client"], sessions["server"]
    mask: Mask = (
        np.isin(sessions["handshake"], [int(cause) for cause in CAUSES])
        | (sessions["unanswered"] > 0)
        | (client["retransmitted"] + server["retransmitted"] > 0)
        | (client["zero_windows"] + server["zero_windows"] > 0)
        | np.isin(sessions["close"], (int(Close.RESET_BY_CLIENT), int(Close.RESET_BY_SERVER)))
        | (sessions["http_5xx"] > 0)
        | unreachable(sessions)
        | _slow(sessions)
    )
    return mask


def _slow(sessions: Table) -> Mask:
    requests = np.maximum(sessions["requests"], 1)
    mask: Mask = (
        (sessions["protocol"] == TCP)
        & (sessions["requests"] > 0)
        & (sessions["first_byte_sum_ns"] // requests >= SLOW_NS)
    )
    return mask


_CAUSE_WORDS = {
    Handshake.UNANSWERED: "unanswered",
    Handshake.REFUSED: "refused",
    Handshake.UNREACHABLE: "unreachable",
    Handshake.UNACKNOWLEDGED: "never acknowledged",
    Handshake.ACK_LOST: "ACK lost",
    Handshake.ABORTED: "aborted",
    Handshake.RESET_AT_ONCE: "reset-at-once",
}


_OUTCOMES = {
    Handshake.COMPLETE: "complete",
    Handshake.STARTED_BEFORE: "began before",
    Handshake.NOT_CAPTURED: "not captured",
    **_CAUSE_WORDS,
}
_TROUBLES = ("no answer", "sent again", "zero window", "slow to answer", "HTTP 5xx", "reset", "ICMP error")
_CLOSES = len(Close)
KINDS = (
    *_TROUBLES,
    "answered",
    "one way",
    *_CAUSE_WORDS.values(),
    *(f"{_OUTCOMES.get(handshake, '')}, {CLOSES[close]}" for handshake in Handshake for close in Close),
)
"""Words for groups of sessions by their verdicts."""


def kinds(sessions: Table) -> Longs:
    """Return the index in KINDS of each session's verdict."""
    client, server = sessions["client"], sessions["server"]
    handshake = sessions["handshake"].astype(np.int64)
    causes = [handshake == int(cause) for cause in _CAUSE_WORDS]
    first = len(_TROUBLES) + 2
    found: Longs = np.select(
        [
            *causes,
            sessions["unanswered"] > 0,
            client["retransmitted"] + server["retransmitted"] > 0,
            client["zero_windows"] + server["zero_windows"] > 0,
            _slow(sessions),
            sessions["http_5xx"] > 0,
            np.isin(sessions["close"], (int(Close.RESET_BY_CLIENT), int(Close.RESET_BY_SERVER))),
            unreachable(sessions),
            (handshake == int(Handshake.NONE)) & (server["packets"] > 0),
            handshake == int(Handshake.NONE),
        ],
        [*range(first, first + len(causes)), *range(first)],
        first + len(causes) + handshake * _CLOSES + sessions["close"],
    )
    return found


def verdicts(sessions: Table, ended: Mask, completeness: Completeness) -> list[list[Piece]]:
    """Return the pieces of each session's verdict; `ended` is false for those that may go on."""
    sentences = lines(handshake_sentences(sessions, _SHORT))
    return [
        _pieces(row, sentence, over) for row, sentence, over in zip(sessions, sentences, ended.tolist(), strict=True)
    ]


def _pieces(row: Table, sentence: str, ended: bool) -> list[Piece]:
    pieces: list[Piece] = []
    handshake, close = Handshake(int(row["handshake"])), Close(int(row["close"]))
    client, server = row["client"], row["server"]
    if handshake in CAUSES:
        return [(_unanswered(row) if handshake is Handshake.UNANSWERED else sentence, "bad")]
    if not ended:
        pieces.append(("still open", "open"))
    elif handshake is Handshake.NONE:
        if int(row["unanswered"]):
            pieces.append(("no answer", "bad"))
        elif int(row["requests"]) or (int(server["packets"]) and int(client["packets"])):
            pieces.append(("answered", ""))
        else:
            pieces.append(("one way", ""))
    elif handshake is Handshake.COMPLETE:
        pieces.append(("complete", ""))
    elif handshake is Handshake.STARTED_BEFORE:
        pieces.append(("began before", "lack"))
    else:
        pieces.append((sentence.split(";")[0], "lack"))
    if ended and handshake is not Handshake.NONE:
        if close in (Close.RESET_BY_CLIENT, Close.RESET_BY_SERVER):
            who = "client" if close is Close.RESET_BY_CLIENT else "server"
            pieces.append((f"reset by the {who} in packet {int(row['rst_packet'])}", "bad"))
        else:
            pieces.append((CLOSES[close], ""))
    pieces += _more(row)
    return pieces


def _unanswered(row: Table) -> str:
    retries = int(row["syns"]) - 1
    tries = format_count(retries, "retry", "retries") if retries else "not repeated"
    return f"SYN unanswered, {tries}, from packet {int(row['syn_packet'])}"


def _more(row: Table) -> list[Piece]:
    pieces: list[Piece] = []
    client, server = row["client"], row["server"]
    again = int(client["retransmitted"]) + int(server["retransmitted"])
    if again:
        first = min(n for n in (int(client["retransmitted_packet"]), int(server["retransmitted_packet"])) if n)
        pieces.append((f"{again:,} sent again, from packet {first}", "bad"))
    if zero := int(client["zero_windows"]) + int(server["zero_windows"]):
        first = min(n for n in (int(client["zero_window_packet"]), int(server["zero_window_packet"])) if n)
        pieces.append((f"zero window \u00d7 {zero}, from packet {first}", "bad"))
    requests = int(row["requests"])
    if int(row["protocol"]) == TCP and requests and int(row["first_byte_sum_ns"]) // requests >= SLOW_NS:
        pieces.append((f"{format_duration(int(row['first_byte_sum_ns']) / requests)} to answer", "bad"))
    if int(row["http_5xx"]):
        pieces.append((f"HTTP {int(row['http_status'])}", "bad"))
    if int(row["icmp_packet"]) and Handshake(int(row["handshake"])) is not Handshake.UNREACHABLE:
        pieces.append((f"ICMP error in packet {int(row['icmp_packet'])}", "bad"))
    if lacking := int(client["not_captured"]) + int(server["not_captured"]):
        pieces.append((f"{format_size(lacking)} not captured", "lack"))
    return pieces
