"""A exchange and a view -> the arrays of its time-sequence plot and of the plot below it.

Of each direction `d` (the side whose bytes they are): segments, what the other side acknowledged, its window, its
SACK blocks. Usual points are thinned out to the pixels of the view; what is red, SYN, FIN and RST never.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.exchange.packets_of import Exchange
from capture.analysis.exchange.reduction import kept
from capture.analysis.packets.packet_table import Mark
from capture.analysis.sessions.session_table import Measure
from capture.arrays.aliases import Longs
from capture.wire.protocols import ACK, FIN, RST, SYN

Arrays = dict[str, npt.NDArray[Any]]
_SPECIAL_MAX = 20_000
USUAL, AGAIN, LATE, OVERTAKEN = range(4)


def sequence(talk: Exchange, view: tuple[int, int], pixels: int, below: str) -> tuple[Arrays, dict[str, Any]]:
    """Return (arrays, facts) of what lies in the view, ns since the session's first packet."""
    start = int(talk["time_ns"][0])
    times = talk["time_ns"] - start
    low, high = int(np.searchsorted(times, view[0], "left")), int(np.searchsorted(times, view[1], "right"))
    inside = slice(max(low - 1, 0), min(high + 1, len(times)))
    arrays: Arrays = {}
    for side in (0, 1):
        arrays |= _segments(talk, times, inside, side, view, pixels)
        arrays |= _answers(talk, times, inside, side, view, pixels)
        arrays |= _sacks(talk, times, inside, side, view, pixels)
    flags = talk["tcp_flags"][inside]
    marks = np.flatnonzero(flags & (SYN | FIN | RST) > 0)[:_SPECIAL_MAX]
    marks = marks + inside.start
    if talk.is_tcp:
        arrays |= {"mark_t": times[marks], "mark_side": talk["side"][marks], "mark_n": talk["number"][marks]}
        arrays["mark_what"] = np.select(
            [talk["tcp_flags"][marks] & RST > 0, talk["tcp_flags"][marks] & SYN > 0], [2, 0], 1
        ).astype(np.uint8)
    arrays |= _below(talk, times, inside, view, pixels, below, start)
    facts = {
        "from": view[0],
        "to": view[1],
        "span": int(times[-1]),
        "tcp": talk.is_tcp,
        "scales": list(talk.scales),
        "syn": list(talk.has_syn),
        "packets": len(talk),
        "reduced": high - low > 20_000,
    }
    return arrays, facts


def _segments(talk: Exchange, times: Longs, inside: slice, side: int, view: tuple[int, int], pixels: int) -> Arrays:
    at = np.flatnonzero((talk["side"][inside] == side) & talk.data[inside]) + inside.start
    marks = talk["marks"][at]
    kind = np.select(
        [marks & Mark.LOST_BEFORE > 0, marks & Mark.REPEATED > 0, marks & Mark.OVERTAKEN > 0],
        [LATE, AGAIN, OVERTAKEN],
        USUAL,
    ).astype(np.uint8)
    first, last = talk.sequence[at], talk.sequence[at] + talk["payload"][at]
    usual = np.flatnonzero(kind == USUAL)
    few = usual[kept(times[at[usual]], first[usual], last[usual], *view, pixels)]
    chosen = np.unique(np.concatenate([few, np.flatnonzero(kind != USUAL)[:_SPECIAL_MAX]])).astype(np.int64)
    copy = talk.first_copy[at[chosen]]
    return {
        f"seg{side}_t": times[at[chosen]],
        f"seg{side}_lo": first[chosen],
        f"seg{side}_hi": last[chosen],
        f"seg{side}_n": talk["number"][at[chosen]],
        f"seg{side}_kind": kind[chosen],
        f"seg{side}_copy": np.where(copy >= 0, times[np.maximum(copy, 0)], -1),
    }


def _answers(talk: Exchange, times: Longs, inside: slice, side: int, view: tuple[int, int], pixels: int) -> Arrays:
    """Return the acknowledgments of the other side: they are about the bytes of `side`."""
    mine = (talk["side"][inside] != side) & talk.numbered[inside] & (talk["tcp_flags"][inside] & ACK > 0)
    at = np.flatnonzero(mine) + inside.start
    acked = talk.acknowledgment[at]
    window = talk.window[at]
    zero = (talk["marks"][at] & Mark.ZERO_WINDOW > 0) | ((window == 0) & (talk["tcp_flags"][at] & SYN == 0))
    again = np.r_[False, np.diff(acked) == 0][: len(at)] & (talk["payload"][at] == 0)
    few = kept(times[at], acked, acked + window, *view, pixels)
    few = np.unique(np.concatenate([few, np.flatnonzero(zero)[:_SPECIAL_MAX]])).astype(np.int64)
    return {
        f"ack{side}_t": times[at[few]],
        f"ack{side}_v": acked[few],
        f"ack{side}_w": acked[few] + window[few],
        f"ack{side}_n": talk["number"][at[few]],
        f"ack{side}_again": again[few].astype(np.uint8),
        f"ack{side}_zero": zero[few].astype(np.uint8),
    }


def _sacks(talk: Exchange, times: Longs, inside: slice, side: int, view: tuple[int, int], pixels: int) -> Arrays:
    blocks = talk.sacks
    packet = blocks[:, 0]
    chosen = blocks[(packet >= inside.start) & (packet < inside.stop) & (talk["side"][packet] != side)]
    when = times[chosen[:, 0]]
    highest = np.maximum.accumulate(np.r_[0, chosen[:-1, 2]]) if len(chosen) else np.zeros(0, np.int64)
    fresh_from = np.clip(highest[: len(chosen)], chosen[:, 1], chosen[:, 2])
    few = kept(when, chosen[:, 1], chosen[:, 2], *view, pixels)
    return {
        f"sack{side}_t": when[few],
        f"sack{side}_lo": chosen[few, 1],
        f"sack{side}_hi": chosen[few, 2],
        f"sack{side}_fresh": fresh_from[few],
    }


def _below(
    talk: Exchange, times: Longs, inside: slice, view: tuple[int, int], pixels: int, below: str, start: int
) -> Arrays:
    if below == "flight":
        arrays: Arrays = {}
        for side in (0, 1):
            flight = talk.in_flight[side][inside]
            few = kept(times[inside], flight, flight, *view, pixels)
            arrays |= {f"flight{side}_t": times[inside][few], f"flight{side}_v": flight[few]}
        return arrays
    if below == "throughput":
        bins = max(min(pixels // 4, 400), 1)
        edges = np.linspace(view[0], max(view[1], view[0] + bins), bins + 1)
        place = np.searchsorted(edges, times[inside], "right") - 1
        fits = (place >= 0) & (place < bins)
        width = (edges[1] - edges[0]) / 1e9
        found = {"rate_t": edges[:-1]}
        for side in (0, 1):
            mine = fits & (talk["side"][inside] == side)
            found[f"rate{side}_v"] = np.bincount(place[mine], talk["original"][inside][mine], bins) / width
        return found
    samples = talk.samples
    trips = (Measure.HANDSHAKE, Measure.ACKNOWLEDGMENT, Measure.PARTIAL, Measure.PIGGYBACK, Measure.TIMESTAMP)
    chosen = np.isin(samples["measure"], [int(one) for one in (*trips, Measure.DNS, Measure.ECHO)])
    at = samples["time_ns"] - start
    chosen &= (at >= view[0]) & (at <= view[1])
    rows = samples[chosen]
    rows = rows[np.argsort(rows["time_ns"], kind="stable")]
    when = rows["time_ns"] - start
    few = kept(when, rows["duration_ns"], rows["duration_ns"], *view, pixels)
    return {
        "trip_t": when[few],
        "trip_v": rows["duration_ns"][few],
        "trip_side": rows["side"][few],
        "trip_kind": rows["measure"][few],
    }
