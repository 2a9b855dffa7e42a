"""A session that two points saw -> the items of its ladder with the times of both points, what was lost between them,
and how far their clocks can be compared.

The packets of both points are paired as `bicap legs` pairs them. The offset of the clocks comes from this
exchange alone, so its uncertainty is that of its own round trips: at least as wide as that of the whole files.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from capture.analysis.exchange.packets_of import Exchange
from capture.analysis.legs.comparison import Comparison
from capture.analysis.legs.observe import Observations
from capture.analysis.legs.pairing import NEVER, pair
from capture.arrays.aliases import Longs, Table
from capture.arrays.rows import picked
from capture.errors import SpecError
from capture.web.kept_exchanges import KeptExchanges
from capture.web.ladder import plain_item
from capture.web.opened import Opened
from capture.wire.protocols import SYN

_MOST = 4000


@dataclass(frozen=True, slots=True)
class Pairing:
    """The sessions of a exchange at the point near the client and at the one near the server."""

    near: int
    far: int


def other_point(opened: Opened, session: int) -> Pairing | None:
    """Return the sessions of the same exchange at two points, or None if one point alone saw it."""
    if len(opened.description.interfaces) < 2:
        return None
    table = opened.sessions.rows
    row = table[session - 1]
    names = ("protocol", "client_low", "client_high", "server_low", "server_high", "client_port", "server_port")
    same = np.logical_and.reduce([table[name] == row[name] for name in names])
    same &= table["interface"] != row["interface"]
    margin = 10**10
    same &= (table["first_ns"] <= row["last_ns"] + margin) & (table["last_ns"] >= row["first_ns"] - margin)
    found = np.flatnonzero(same)
    if not len(found):
        return None
    nearest = int(found[np.argmin(np.abs(table["first_ns"][found] - row["first_ns"]))])
    pair_of = (session, nearest + 1)
    return Pairing(*(pair_of if _is_nearer(table[pair_of[0] - 1], table[pair_of[1] - 1]) else pair_of[::-1]))


def _is_nearer(one: Table, other: Table) -> bool:
    """True if the point of one row is the one nearer to the client: the client's answers come sooner there."""
    for side, sign in (("client", 1), ("server", -1)):
        waits = []
        for row in (one, other):
            least = int(row[side]["rtt_min_ns"]) if int(row[side]["rtt_count"]) else -1
            waits.append(int(row[f"{side}_ns"]) if int(row[f"{side}_ns"]) >= 0 else least)
        if min(waits) >= 0 and waits[0] != waits[1]:
            return waits[0] * sign < waits[1] * sign
    return True


def two_points(opened: Opened, exchanges: KeptExchanges, pairing: Pairing, one_clock: bool) -> dict[str, Any]:
    """Return the items, in the order in which packets were sent. Raises SpecError for too many."""
    talks = [exchanges.get(pairing.near), exchanges.get(pairing.far)]
    if sum(map(len, talks)) > _MOST:
        raise SpecError(f"the session has more than {_MOST:,} packets at both points: see each point alone")
    rows, lost, offset, uncertainty = _compared(opened, exchanges, pairing, one_clock)
    items = []
    for times, numbers in zip(rows["times_ns"].tolist(), rows["numbers"].tolist(), strict=True):
        seen = [time != NEVER for time in times]
        side = _side(talks, numbers, seen)
        first = side if seen[side] else 1 - side  # the client's packets pass the near point first
        talk = talks[first]
        at = int(np.searchsorted(talk["number"], numbers[first]))
        item = plain_item(talk, talk["time_ns"] - opened.first_ns, at)
        item["times"] = [time - opened.first_ns if there else None for time, there in zip(times, seen, strict=True)]
        item["numbers"] = [number if there else 0 for number, there in zip(numbers, seen, strict=True)]
        item["lost"] = not all(seen) and numbers[first] in lost
        item["only"] = -1 if all(seen) else first
        items.append(item)
    _tie(items)
    described = opened.description.interfaces
    points = [described[int(opened.sessions.rows[n - 1]["interface"])].name for n in (pairing.near, pairing.far)]
    return {
        "sessions": [pairing.near, pairing.far],
        "points": points,
        "items": items,
        "offset": offset,
        "uncertainty": uncertainty,
        "one_clock": one_clock,
    }


def _side(talks: list[Exchange], numbers: list[int], seen: list[bool]) -> int:
    point = 0 if seen[0] else 1
    talk = talks[point]
    return int(talk["side"][int(np.searchsorted(talk["number"], numbers[point]))])


def _compared(
    opened: Opened, exchanges: KeptExchanges, pairing: Pairing, one_clock: bool
) -> tuple[Any, frozenset[int], int, int]:
    """Return (passages, numbers of lost packets, offset of the far clock, its uncertainty or -1), ns."""
    with Observations() as observations:
        for session in (pairing.near, pairing.far):
            numbers = opened.numbers_of(session)
            observations.add(str(session), exchanges.only(numbers), opened.description)
            observations.spans[-1] = _span(opened, session)
        rows = np.concatenate([pair(part, 2) for part in observations.parts()])
        comparison = Comparison(observations, one_clock)
    legs = comparison.legs
    lost = frozenset(number for leg in legs for number in leg.lost)
    clocks = [leg.clock for leg in legs if leg.source.file == 0 and leg.clock is not None]
    offset, uncertainty = (clocks[0].offset_ns, clocks[0].uncertainty_ns) if clocks else (0, 0 if one_clock else -1)
    near, far = rows["times_ns"][:, 0], rows["times_ns"][:, 1]
    sent: Longs = np.where(near != NEVER, near, far - offset)
    return picked(rows, np.lexsort((rows["numbers"].max(axis=1), sent))), lost, offset, uncertainty


def _span(opened: Opened, session: int) -> tuple[int, int]:
    """Return the times between which the point of a session was capturing, as its sessions show them."""
    table = opened.sessions.rows
    there = table["interface"] == table["interface"][session - 1]
    return int(table["first_ns"][there].min()), int(table["last_ns"][there].max())


def _tie(items: list[dict[str, Any]]) -> None:
    """Tie each packet that was sent again to the first copy, by its number at the point of its sender."""
    first: dict[tuple[int, int, int], dict[str, Any]] = {}
    for item in items:
        key = (item["side"], item["seq"], item["flags"] & SYN)
        if not item["payload"] and not item["flags"] & SYN:
            continue
        before = first.setdefault(key, item)
        if before is not item:
            item["again"], item["red"] = before["n"], True
            sent, repeated = (max(one["times"][0] or 0, one["times"][1] or 0) for one in (before, item))
            item["after"] = repeated - sent
