"""Sessions -> text for a person: endpoints, states, and words for numbers.

Functions take a table and return cells with a row per session, because they run over every session of a file.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from capture.analysis.sessions.session_table import Close, Handshake, Role
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, beside, each, numbers, where, words
from capture.wire.addresses import Names, before_port
from capture.wire.protocols import PROTOCOLS

_STATES = ("two-way", "one-way", "reset", "closing", "closed", "established", "syn-received", "syn-sent")

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
"""Words in columns and filters; so are ROLES and CLOSES."""
ROLES = {Role.ASKED: "asked", Role.PORTS: "ports", Role.FIRST: "first"}
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


def hosts(rows: Table, side: str, names: Names | None = None) -> Cells:
    """Return the addresses on a side of sessions or packets, by their names where they have one."""
    return each(partial(before_port, names, False), rows["family"], rows[f"{side}_high"], rows[f"{side}_low"])


def endpoints(sessions: Table, side: str, names: Names | None = None) -> Cells:
    """Return ends like 10.0.0.1:80, [fd00::1]:80, or with the address's name in the file."""
    high, low, port = (sessions[f"{side}_{part}"] for part in ("high", "low", "port"))
    before = each(partial(before_port, names), port > 0, sessions["family"], high, low)
    return beside(before, where(port > 0, numbers(port)))


def states(sessions: Table) -> Cells:
    """Return the state of each session at its last packet."""
    client, server = sessions["client"], sessions["server"]
    closed = (client["fin_packet"] > 0).astype(int) + (server["fin_packet"] > 0)
    two_way = (client["packets"] > 0) & (server["packets"] > 0)
    numbers_of_states: npt.NDArray[np.int64] = np.select(
        [
            sessions["protocol"] != PROTOCOLS["tcp"],
            sessions["rst_packet"] > 0,
            closed > 0,
            (sessions["ack_packet"] > 0) | (sessions["syns"] == 0),
        ],
        [np.where(two_way, 0, 1), 2, 2 + closed, 5],
        np.where(sessions["syn_acks"] > 0, 6, 7),
    )
    return words(_STATES)[numbers_of_states]
