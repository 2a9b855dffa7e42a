"""A exchange -> the items of its ladder as the page draws them: packets and folded runs, with what they say.

Everything here is measured: where a packet was beyond the capture point is for the page to estimate, from the round
trips that come along. Of more than MOST items in view, those without a mark are gathered into bands of equal time.
"""

from typing import Any

import numpy as np

from capture.analysis.exchange.packets_of import Exchange
from capture.analysis.exchange.runs import Items, items
from capture.analysis.packets.packet_table import Kind, Mark
from capture.analysis.sessions.session_table import Measure
from capture.arrays.aliases import Longs
from capture.views.packet_lines import mark_words
from capture.wire.protocols import ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP, icmp_text, protocol_name

MOST = 2000
_BANDS = 400
_PSH, _URG, _ECE, _CWR = 0x08, 0x20, 0x40, 0x80
RED = int(Mark.REPEATED | Mark.LOST_BEFORE | Mark.ZERO_WINDOW)
_NO_ROOM = "is there room?"


def trips(talk: Exchange) -> tuple[int, int]:
    """Return the round trips from the capture point to client and server, ns; -1 where none was measured.

    That of the handshake, else the least of those by acknowledgment.
    """
    found = []
    for side in (0, 1):
        of_side = talk.samples[talk.samples["side"] == side]
        best = -1
        for measures in (
            (Measure.HANDSHAKE,),
            (Measure.ACKNOWLEDGMENT, Measure.PARTIAL),
            (Measure.DNS, Measure.ECHO),
        ):
            durations = of_side["duration_ns"][np.isin(of_side["measure"], [int(one) for one in measures])]
            if len(durations):
                best = int(durations.min())
                break
        found.append(best)
    return found[0], found[1]


def ladder(
    talk: Exchange, folded: bool, opened: frozenset[int], view: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the items within `view` (ns since the session's first packet); `opened` are first packets of runs."""
    to_client, to_server = trips(talk)
    trip = max(to_client, 0) + max(to_server, 0)
    found = items(talk, trip, folded, _of_runs(talk, trip, opened))
    start = int(talk["time_ns"][0]) if len(talk) else 0
    times = talk["time_ns"] - start
    if view is not None:
        low, high = (int(np.searchsorted(times[found.first], edge)) for edge in view)
        found = Items(found.first[low : high + 1], found.last[low : high + 1], found.run_of[low : high + 1])
    total = len(found.first)
    bands: list[list[int]] = []
    if total > MOST:
        found, bands = _gathered(talk, found, times)
    return {
        "session": talk.session,
        "tcp": talk.is_tcp,
        "packets": len(talk),
        "items": [_item(talk, times, i, j, run) for i, j, run in _plain(found)],
        "bands": bands,
        "total": total,
        "trips": [to_client, to_server],
        "span": int(times[-1]) if len(times) else 0,
        "syn": list(talk.has_syn),
        "gaps": _gaps(talk, times),
    }


def _plain(found: Items) -> Any:
    return zip(found.first.tolist(), found.last.tolist(), found.run_of.tolist(), strict=True)


def _of_runs(talk: Exchange, trip: int, opened: frozenset[int]) -> frozenset[int]:
    """Return the numbers of all packets of runs that begin with one of these."""
    if not opened:
        return frozenset()
    folded = items(talk, trip, True)
    numbers: set[int] = set()
    for i, j, run in _plain(folded):
        if run >= 0 and int(talk["number"][i]) in opened:
            numbers.update(talk["number"][i : j + 1].tolist())
    return frozenset(numbers)


def _gathered(talk: Exchange, found: Items, times: Longs) -> tuple[Items, list[list[int]]]:
    """Return the items that are never left out, and bands [from, to, packets, bytes of client, of server]."""
    special = (
        (talk["marks"] & (RED | Mark.ACKNOWLEDGES_UNSEEN) > 0)
        | (talk["tcp_flags"] & (SYN | FIN | RST) > 0)
        | (talk["kind"] & Kind.ICMP_ERROR > 0)
    )
    kept = special[found.first] & (found.run_of < 0)
    edges = np.linspace(0, int(times[-1]) + 1, _BANDS + 1).astype(np.int64)
    bands = []
    place = np.clip(np.searchsorted(edges, times, "right") - 1, 0, _BANDS - 1)
    count = np.bincount(place, minlength=_BANDS)
    sizes = [np.bincount(place, np.where(talk["side"] == side, talk["payload"], 0), _BANDS) for side in (0, 1)]
    for band in np.flatnonzero(count).tolist():
        bands.append(
            [int(edges[band]), int(edges[band + 1]), int(count[band]), int(sizes[0][band]), int(sizes[1][band])]
        )
    at = np.flatnonzero(kept)[:MOST]
    return Items(found.first[at], found.last[at], found.run_of[at]), bands


def _gaps(talk: Exchange, times: Longs) -> list[list[int]]:
    """Return [time of the ACK that shows it, side, first byte, bytes] of what was acknowledged and is missing."""
    gaps = []
    for i in np.flatnonzero(talk["marks"] & Mark.ACKNOWLEDGES_UNSEEN).tolist():
        side = 1 - int(talk["side"][i])
        acked = int(talk.acknowledgment[i])
        before = (talk["side"][:i] == side) & talk.data[:i]
        ends = (talk.sequence[:i] + talk["payload"][:i])[before]
        known = ends[ends <= acked]
        first = int(known.max()) if len(known) else 1
        gaps.append([int(times[i]), side, first, acked - first])
    for i in np.flatnonzero(talk["marks"] & Mark.AFTER_GAP).tolist():
        side, first = int(talk["side"][i]), int(talk.sequence[i])
        before = (talk["side"][:i] == side) & talk.data[:i]
        ends = (talk.sequence[:i] + talk["payload"][:i])[before]
        known = ends[ends <= first]
        begin = int(known.max()) if len(known) else 1
        later = (talk["side"][i:] == side) & talk.data[i:] & (talk.sequence[i:] == begin)
        acked = (talk["side"][i:] != side) & (talk.acknowledgment[i:] >= first)
        if not later.any() and acked.any():
            gaps.append([int(times[i]), side, begin, first - begin])
    return [gap for gap in gaps if gap[3] > 0][:200]


def _item(talk: Exchange, times: Longs, i: int, j: int, run: int) -> dict[str, Any]:
    return _run(talk, times, i, j, run) if run >= 0 else plain_item(talk, times, i)


def plain_item(talk: Exchange, times: Longs, i: int) -> dict[str, Any]:
    """Return one packet as the page draws it; `times` are those that it is drawn at, ns."""
    side, flags, marks = int(talk["side"][i]), int(talk["tcp_flags"][i]), int(talk["marks"][i])
    kind = int(talk["kind"][i])
    copy = int(talk.first_copy[i])
    word, detail = _words(talk, i)
    return {
        "n": int(talk["number"][i]),
        "t": int(times[i]),
        "side": side,
        "word": word,
        "detail": detail,
        "flags": flags,
        "payload": int(talk["payload"][i]),
        "seq": int(talk.sequence[i]),
        "ack": int(talk.acknowledgment[i]) if flags & ACK else -1,
        "marks": mark_words(marks, int(talk["protocol"][i])),
        "again": int(talk["number"][copy]) if copy >= 0 else 0,
        "after": int(times[i] - times[copy]) if copy >= 0 else 0,
        "red": bool(marks & RED or (flags & RST and talk.is_tcp) or kind & Kind.ICMP_ERROR) or word == _NO_ROOM,
        "probe": bool(marks & Mark.KEEPALIVE),
        "cut": int(talk["original"][i]) - int(talk["captured"][i]),
        "unseen": bool(marks & (Mark.ACKNOWLEDGES_UNSEEN | Mark.AFTER_GAP)),
    }


def _run(talk: Exchange, times: Longs, i: int, j: int, side: int) -> dict[str, Any]:
    part = slice(i, j + 1)
    data = (talk["payload"][part] > 0) & (talk["side"][part] == side)
    mine = times[part][data]
    acks = times[part][~data]
    step = max(len(mine) // 120, 1)
    return {
        "n": int(talk["number"][i]),
        "last": int(talk["number"][j]),
        "t": int(times[i]),
        "end": int(times[j]),
        "side": side,
        "segments": int(data.sum()),
        "acks": int((~data).sum()),
        "bytes": int(talk["payload"][part][data].sum()),
        "times": mine[::step].tolist(),
        "ack_times": acks[:: max(len(acks) // 60, 1)].tolist(),
        "first_data": int(mine[0]),
        "last_data": int(mine[-1]),
    }


def _words(talk: Exchange, i: int) -> tuple[str, str]:
    """Return the word of a packet, and what is said beside it."""
    protocol, kind, payload = int(talk["protocol"][i]), int(talk["kind"][i]), int(talk["payload"][i])
    if kind & Kind.LATER_FRAGMENT:
        return "fragment", f"{payload:,} B"
    if protocol in (ICMP, ICMPV6):
        return "ICMP", icmp_text(4 if protocol == ICMP else 6, int(talk["icmp_type"][i]), int(talk["icmp_code"][i]))
    if protocol != TCP:
        return f"{payload:,} B", protocol_name(protocol)
    flags, marks = int(talk["tcp_flags"][i]), int(talk["marks"][i])
    window, sequence, answer = int(talk.window[i]), int(talk.sequence[i]), int(talk.acknowledgment[i])
    if flags & SYN:
        mss = f", mss {int(talk.mss[i]):,}" if int(talk.mss[i]) else ""
        return "SYN ACK" if flags & ACK else "SYN", f"win {window:,}{mss}"
    if flags & RST:
        return "RST", f"ack {answer:,}" if flags & ACK else f"seq {sequence:,}"
    if marks & Mark.KEEPALIVE:
        return _NO_ROOM if _no_room(talk, i) else "keep-alive", f"seq {sequence:,}, {payload} B"
    if flags & FIN:
        return "FIN", f"{payload:,} B, ack {answer:,}" if payload else f"ack {answer:,}"
    if marks & Mark.ZERO_WINDOW:
        return "ACK, no room", f"win 0, ack {answer:,}"
    if payload:
        return f"{payload:,} B", f"seq {sequence:,}"
    if i and _was_full(talk, i):
        return "ACK, room again", f"win {window:,}"
    return "ACK", f"ack {answer:,}"


def _no_room(talk: Exchange, i: int) -> bool:
    """True if the other side's last window before this packet was 0."""
    others = np.flatnonzero((talk["side"][:i] != talk["side"][i]) & talk.numbered[:i])
    return len(others) > 0 and int(talk.window[others[-1]]) == 0


def _was_full(talk: Exchange, i: int) -> bool:
    """True if this side's last window before this packet was 0."""
    low = max(i - 64, 0)
    mine = np.flatnonzero((talk["side"][low:i] == talk["side"][i]) & talk.numbered[low:i])
    return len(mine) > 0 and int(talk["marks"][low + mine[-1]]) & int(Mark.ZERO_WINDOW) > 0
