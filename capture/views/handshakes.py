"""Sessions -> the outcome of their TCP handshakes, in sentences with the numbers of the packets that show it."""

import numpy as np

from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.names import hosts
from capture.analysis.sessions.session_table import SIDES, Handshake
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, beside, durations, each, numbers, scattered, where, words
from capture.arrays.rows import picked
from capture.units import format_count
from capture.wire.protocols import icmp_text


def handshake_sentences(sessions: Table, completeness: Completeness) -> Cells:
    """Return the outcome of each handshake and the packets that show it; nothing for sessions other than TCP."""
    verdicts = sessions["handshake"]
    parts = []
    for verdict in np.unique(verdicts[verdicts != Handshake.NONE]).tolist():
        at = np.flatnonzero(verdicts == verdict)
        parts.append((at, _sentences(verdict, picked(sessions, at), completeness)))
    return scattered(len(sessions), *parts)


def _sentences(verdict: int, sessions: Table, completeness: Completeness) -> Cells:
    """Return the sentences of sessions that all have this verdict."""

    match verdict:
        case Handshake.COMPLETE:
            repetitions = sessions["syns"].astype(np.int64) + sessions["syn_acks"] - 2
            repeated = each(lambda count: f"; {format_count(count, 'repetition')}" if count > 0 else "", repetitions)
            return beside("complete (", _packets(sessions, "syn", "syn_ack", "ack"), repeated, ")")
        case Handshake.UNANSWERED:
            tries = sessions["syns"].astype(np.int64) - 1
            retries = beside(
                each(lambda count: f"{format_count(count, 'retry', 'retries')} over ", tries),
                durations(np.maximum(sessions["syn_last_ns"] - sessions["syn_ns"], 0)),
            )
            repeated = beside(where(tries > 0, retries), where(tries <= 0, "not repeated"))
            doubt = "" if completeness.complete else f"; {completeness}"
            return beside(
                "SYN unanswered (from packet ", numbers(sessions["syn_packet"]), ", ", repeated, f"){doubt}"
            )
        case Handshake.REFUSED:
            return beside("refused by RST", _reset_after(sessions), " (", _packets(sessions, "syn", "rst"), ")")
        case Handshake.UNREACHABLE:
            error = each(icmp_text, *(sessions[name] for name in ("family", "icmp_type", "icmp_code")))
            by = hosts(sessions, "icmp")
            return beside("unreachable: ", error, " from ", by, " (", _packets(sessions, "syn", "icmp"), ")")
        case Handshake.UNACKNOWLEDGED:
            times = each(lambda count: format_count(count, "time"), sessions["syn_acks"])
            first = numbers(sessions["syn_ack_packet"])
            return beside("SYN-ACK sent ", times, ", never acknowledged (from packet ", first, ")")
        case Handshake.ACK_LOST:
            lost = "), but the server repeats its SYN-ACK: the ACK was lost after this point"
            return beside("acknowledged (packet ", numbers(sessions["ack_packet"]), lost)
        case Handshake.ABORTED:
            return beside("the client answered the SYN-ACK with RST (", _packets(sessions, "syn_ack", "rst"), ")")
        case Handshake.RESET_AT_ONCE:
            by_server = sessions["client"]["rst_packet"] != sessions["rst_packet"]
            who = words(SIDES)[by_server.astype(int)]
            shown = _packets(sessions, "ack", "rst")
            return beside("complete, then reset by the ", who, _reset_after(sessions), " (", shown, ")")
        case Handshake.STARTED_BEFORE:
            return words(["started before the capture"] * len(sessions))
        case _:
            missing = np.select([sessions[side]["packets"] == 0 for side in SIDES], (0, 1), 2)
            return beside(
                "packets of the ", words((*SIDES, "handshake"))[missing], f" are not in the file; {completeness}"
            )


def _reset_after(sessions: Table) -> Cells:
    """Return " after" and the time from the packet that the RST follows to the RST; nothing where it is unknown."""
    after = sessions["reset_after_ns"]
    return where(after >= 0, beside(" after ", durations(np.maximum(after, 0))))


def _packets(sessions: Table, *names: str) -> Cells:
    """Return the numbers of these packets, without those that are not in the file."""
    parts, before = [], np.zeros(len(sessions), np.bool_)
    for name in names:
        number = sessions[f"{name}_packet"]
        parts += [where(before & (number > 0), ", "), where(number > 0, numbers(number))]
        before |= number > 0
    return beside("packets ", *parts)
