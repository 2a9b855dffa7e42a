"""Rows of sessions -> what the page's list shows of each: plain values, times as offsets from the file's start."""

from typing import Any

import numpy as np

from capture.analysis.query.columns import COLUMNS
from capture.analysis.query.names import CLOSES, endpoints, hosts
from capture.analysis.sessions.session_table import Close
from capture.arrays.aliases import Longs, Table
from capture.arrays.cells import lines
from capture.web.opened import SERVER_SIDE, Opened
from capture.web.short_verdicts import troubled, verdicts
from capture.wire.protocols import protocol_name

BINS = 30


def session_rows(opened: Opened, numbers: Longs) -> list[dict[str, Any]]:
    """Return the rows of sessions with these numbers, in this order."""
    at = numbers - 1
    table = opened.sessions.rows[at]
    ended, bad = opened.ended[at], troubled(table)
    names = opened.description.names
    ends = {side: lines(endpoints(table, side, names)) for side in ("client", "server")}
    addresses = {side: lines(hosts(table, side)) for side in ("client", "server")}
    said = verdicts(table, ended, opened.completeness)
    trips = [_trip(table, side) for side in ("client", "server")]
    rows = []
    for i, row in enumerate(table):
        session = int(row["session"])
        rows.append(
            {
                "n": session,
                "start": int(row["first_ns"]) - opened.first_ns,
                "took": int(row["last_ns"]) - int(row["first_ns"]),
                "protocol": protocol_name(int(row["protocol"])),
                "ends": [_end(ends[side][i], int(row[f"{side}_port"])) for side in ("client", "server")],
                "addresses": [addresses[side][i] for side in ("client", "server")],
                "packets": [int(row[side]["packets"]) for side in ("client", "server")],
                "bytes": [int(row[side]["bytes"]) for side in ("client", "server")],
                "again": [int(row[side]["retransmitted"]) for side in ("client", "server")],
                "trips": [int(trips[0][i]), int(trips[1][i])],
                "shape": shape(opened, row),
                "verdict": said[i],
                "close": CLOSES[Close(int(row["close"]))],
                "bad": bool(bad[i]),
                "open": not bool(ended[i]),
            }
        )
    return rows


def _end(text: str, port: int) -> tuple[str, str]:
    """Return the name or address, and the port."""
    suffix = f":{port}"
    return (text[: -len(suffix)], str(port)) if port and text.endswith(suffix) else (text, "")


def _trip(table: Table, side: str) -> Any:
    mean, handshake = (COLUMNS[f"{side}_{name}_ns"](table) for name in ("rtt_mean", "handshake"))
    return np.where(mean >= 0, mean, handshake)


def shape(opened: Opened, row: Table) -> list[list[int]]:
    """Return, for client and server, the bytes of each thirtieth of the session's time."""
    low, high = int(row["first_packet"]) - 1, int(row["last_packet"])
    seen = opened.packets.rows[low:high]
    mine = seen[seen["session"] == int(row["session"])] if high - low < 1 << 20 else seen[:: (high - low) >> 18]
    if high - low >= 1 << 20:
        mine = mine[mine["session"] == int(row["session"])]
    span = max(int(row["last_ns"]) - int(row["first_ns"]), 1)
    place = np.clip((mine["time_ns"] - int(row["first_ns"])) * BINS // span, 0, BINS - 1)
    size, side = (mine["size"] & (SERVER_SIDE - 1)).astype(np.float64), mine["size"] >= SERVER_SIDE
    return [
        np.bincount(place[side == one], size[side == one], BINS).astype(np.int64).tolist() for one in (False, True)
    ]
