"""What is typed so far -> how the last condition may go on: names of columns, or values and how many they leave."""

import re
from typing import Any

import numpy as np

from capture.analysis.query.columns import COLUMNS, WORDS
from capture.analysis.query.names import endpoints
from capture.arrays.cells import lines
from capture.errors import BicapError
from capture.web.listing import Listings
from capture.web.opened import Opened

_MEANINGS = {
    "server": "name or address of the side that answers",
    "client": "name or address of the side that asks",
    "address": "of either side",
    "port": "of either side",
    "protocol": "tcp, udp, icmp, ...",
    "handshake": "how it ended",
    "close": "how the session ended",
    "duration": "like 1s or 20ms",
    "bytes": "of both sides, like 1MiB",
    "packets": "of both sides",
    "retransmitted": "packets sent again",
    "state": "at the last packet",
    "http_status": "first answer, or first error",
    "server_name": "of TLS",
    "dns_name": "of the question",
}
_VALUES = {
    ("close", "open"): "the file ended first",
    ("close", "fin"): "both sides",
    ("close", "half"): "one side's FIN",
    ("close", "reset-by-client"): "RST from the client",
    ("close", "reset-by-server"): "RST from the server",
    ("close", "idle"): "silent for too long",
    ("close", "reused"): "the ports were used again",
    ("handshake", "unanswered"): "SYN, and nothing came back",
    ("handshake", "refused"): "RST for the SYN",
    ("handshake", "reset-at-once"): "RST right after it",
    ("handshake", "complete"): "SYN, SYN ACK, ACK",
    ("handshake", "started-before"): "the file begins later",
    ("handshake", "not-captured"): "packets are not in the file",
}
_TERM = re.compile(r"(\w+)(!=|<=|>=|=|<|>)(.*)")
_MOST = 12


def complete(opened: Opened, listings: Listings, text: str) -> list[dict[str, Any]]:
    """Return suggestions for the last word of the text: its whole, its meaning, sessions that would be left."""
    before, _, last = text.rpartition(" ")
    try:
        left = listings.get(before, "start", "none").order
    except BicapError:
        left = listings.get("", "start", "none").order
    match = _TERM.fullmatch(last)
    if match is None:
        known = [*_MEANINGS, *(name for name in COLUMNS if name not in _MEANINGS)]
        starts = [name for name in known if name.startswith(last)]
        within = [name for name in known if last in name and name not in starts]
        return [
            {"text": name, "insert": name + ("=" if name in WORDS or name in ("port", "address") else ">"),
             "count": None, "meaning": _MEANINGS.get(name, "")}
            for name in [*starts, *within][:_MOST]
        ]  # fmt: skip
    name, sign, typed = match.groups()
    values = _values(opened, name, left[:200_000])
    if values is None:
        return []
    found, count = np.unique(np.array(values, np.str_), return_counts=True)
    tally = dict(zip(found.tolist(), count.tolist(), strict=True))
    for column, value in _VALUES:
        if column == name:
            tally.setdefault(value, 0)
    total = len(left)
    chosen = [value for value in tally if typed.lower() in value.lower() and value]
    ordered = sorted(chosen, key=lambda value: (-tally[value], value))[:_MOST]
    return [
        {"text": value, "insert": f"{name}{sign}{value}" if " " not in value else f"'{name}{sign}{value}'",
         "count": tally[value] if sign == "=" else total - tally[value], "meaning": _VALUES.get((name, value), ""),
         "of": total}
        for value in ordered
    ]  # fmt: skip


def _values(opened: Opened, name: str, numbers: Any) -> list[str] | None:
    table = opened.sessions.rows[numbers - 1]
    if name in ("client", "server", "address"):
        texts: list[str] = []
        for side in ("client", "server") if name == "address" else (name,):
            ends = lines(endpoints(table, side, opened.description.names))
            ports = table[f"{side}_port"].tolist()
            texts += [end.removesuffix(f":{port}").strip("[]") for end, port in zip(ends, ports, strict=True)]
        return texts
    if name == "port":
        return [str(port) for side in ("client", "server") for port in table[f"{side}_port"].tolist() if port < 32768]
    if name not in COLUMNS or (name not in WORDS and not name.endswith("status")):
        return None
    return [str(value) for value in COLUMNS[name](table)]
