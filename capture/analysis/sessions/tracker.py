"""Batches of packets -> tables of ended sessions and of samples; holds the open sessions meanwhile.

Memory grows with the number of open sessions up to OPEN_MAX, not with the file. At OPEN_MAX the quarter that was
silent longest is ended as CROWDED_OUT.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np

from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.packet_table import PACKET
from capture.analysis.sessions.compiled.closing import close_until, expire
from capture.analysis.sessions.compiled.track import track
from capture.analysis.sessions.open_table import (
    EVIDENCE_FIELDS,
    FRAGMENT,
    LONG_FLIGHT,
    OPEN_SESSION,
    OPEN_SIDE,
    QUESTION,
    SEGMENT,
    SIDE_BLOCK,
    SIDE_FIELDS,
    SPAN_FIELDS,
    STATE,
    Tables,
)
from capture.analysis.sessions.session_table import SAMPLE, SESSION, SIDES, Close, Handshake
from capture.analysis.sessions.verdict import handshakes
from capture.arrays.aliases import Bytes, Longs, Table
from capture.arrays.rows import as_numbers, run
from capture.pcapng.compiled import scan

OPEN_MAX = 1 << 18
"""Open sessions at most: about 1 GB if all of them carry data."""
_DONE, _SAMPLES, _FRAGMENTS = 1 << 12, 1 << 15, 1 << 12
"""Rows for ended sessions and samples that wait to be copied, and for first fragments."""
_RINGS = 512
"""Sides at a time with more than FLIGHT segments in flight; 64 MB if all are in use."""
QUESTIONS_MAX = 1 << 18
"""Questions that wait at a time, of all sessions together; a resolver has 65,536. 20 MB if all are in use."""
_SECOND = 10**9
IDLE_NS = np.array([7200 * _SECOND, 120 * _SECOND, 180 * _SECOND, 60 * _SECOND], np.int64)
"""Silence that ends a session, ns: TCP (Linux's tcp_keepalive_time, tcp(7)); TCP after both FINs or RST (TCP_RTO_MAX,
the longest wait before a FIN is repeated); UDP (Linux's former nf_conntrack_udp_timeout_stream); others."""
_SWEEP_NS = 10 * _SECOND
"""Time of the file between two sweeps for silent sessions, ns, at least."""
WAITS_IN_VAIN_NS = _SECOND
"""Time after which a question of an open session counts as unanswered, ns."""
_HALF = 1 << 31
"""Half of the circle of sequence numbers."""


class Tracker:
    """Open sessions. `feed` batches in the file's order, then `finish`; both return sessions that ended meanwhile."""

    def __init__(self, by_interface: bool = True, open_max: int = OPEN_MAX) -> None:
        self._swept_ns = self._now_ns = 0
        self._since_sweep = 0
        self._scratch = np.zeros(1, PACKET)
        state = np.zeros(1, STATE)
        state["seed"] = secrets.randbits(62)
        state["by_interface"] = by_interface
        state["free_rows"] = state["free_blocks"] = open_max
        state["unused_ring"] = open_max * 2 * SIDE_BLOCK
        state["newest_ns"] = np.iinfo(np.int64).min
        lowest_first = np.arange(open_max, dtype=np.int64)[::-1]
        rows, sides = np.zeros(open_max, OPEN_SESSION), np.zeros((open_max, 2), OPEN_SIDE)
        samples = np.zeros(_SAMPLES, SAMPLE)
        self._state, self._last_ns, self._samples = state[0], rows["last_ns"], as_numbers(samples)
        self._numbers = [as_numbers(table) for table in (rows, sides)]
        questions = np.zeros(QUESTIONS_MAX, QUESTION)
        self._open_rows, self._question_times = rows, questions["time_ns"]
        # The kernel allocates pages at their first write, so unused rows take no memory.
        self._tables = Tables(
            slots=np.zeros(1 << (2 * open_max - 1).bit_length(), np.int64),
            rows=rows,
            sides=sides,
            free_rows=lowest_first.copy(),
            free_blocks=lowest_first.copy(),
            done=np.zeros(_DONE, np.int64),
            samples=samples,
            segments=np.zeros(open_max * 2 * SIDE_BLOCK + _RINGS * LONG_FLIGHT, SEGMENT),
            questions=questions,
            question_slots=np.zeros(QUESTIONS_MAX, np.int64),
            fragments=np.zeros(_FRAGMENTS, FRAGMENT),
            state=state,
        )

    @property
    def open(self) -> int:
        """Number of sessions that have not ended."""
        return int(self._state["open"])

    @property
    def disordered(self) -> int:
        """Number of packets that stand behind younger ones in the file."""
        return int(self._state["disordered"])

    @property
    def no_ports(self) -> int:
        """Number of packets that are in no session because their ports are not in the file."""
        return int(self._state["no_ports"])

    @property
    def forgotten(self) -> int:
        """Number of questions that were not followed because more than QUESTIONS_MAX waited."""
        return int(self._state["forgotten"])

    @property
    def no_ip(self) -> int:
        """Number of packets that are in no session because they are not IP."""
        return int(self._state["no_ip"])

    def feed(self, data: Bytes, packets: Table) -> Iterator[tuple[Table, Table]]:
        """Handle a batch, write `session` and `side` into packets. Return pairs (sessions that ended, samples)."""
        at = 0
        while True:
            at = track(data, packets, at, self._tables, IDLE_NS, self._scratch)
            if at == len(packets):
                break
            yield from self._make_room()
        self._now_ns = int(packets["time_ns"][-1])
        self._since_sweep += len(packets)
        state = self._state
        # At least as many packets as rows between two sweeps keep the cost of a sweep per packet small.
        if abs(self._now_ns - self._swept_ns) > _SWEEP_NS and self._since_sweep > int(state["used"]):
            yield from self._expire()
        if state["done"] > _DONE // 2 or state["samples"] > _SAMPLES // 2:
            yield from self._flush()

    def finish(self) -> Iterator[tuple[Table, Table]]:
        """End all open sessions, at the end of the file. Return pairs as `feed` does."""
        yield from self._close_until(np.iinfo(np.int64).max, Close.OPEN)
        yield from self._flush()

    def touched(self, numbers: Longs, icmp_packets: Longs, now_ns: int) -> Table:
        """Return the rows of open sessions with these numbers, of those that an ICMP error of these packets is about,
        and of those with a question that waits in vain.

        A session that is open is not judged by what may still come: a handshake without an answer is Handshake.NONE
        until its SYN, or SYN-ACK, was repeated; a question is unanswered when it has waited for WAITS_IN_VAIN_NS.
        """
        used = int(self._state["used"])
        rows = self._open_rows[:used]
        waits = (rows["questions"] > 0) & (
            self._question_times[rows["oldest_question"] - 1] < now_ns - WAITS_IN_VAIN_NS
        )
        reported = np.isin(rows["icmp_packet"], icmp_packets)
        chosen = np.flatnonzero((rows["live"] > 0) & (np.isin(rows["session"], numbers) | waits | reported))
        table_rows, sides = (table[chosen] for table in self._numbers)
        sessions = _sessions(table_rows.view(OPEN_SESSION)[:, 0], sides.view(OPEN_SIDE)[:, :, 0])
        sessions["unanswered"] += waits[chosen]
        undecided = (sessions["handshake"] == Handshake.UNANSWERED) & (sessions["syns"] < 2)
        undecided |= (sessions["handshake"] == Handshake.UNACKNOWLEDGED) & (sessions["syn_acks"] < 2)
        sessions["handshake"][undecided] = Handshake.NONE
        return sessions

    @property
    def sessions(self) -> int:
        """Number of sessions so far, those that ended included."""
        return int(self._state["sessions"])

    def ended_so_far(self) -> Iterator[tuple[Table, Table]]:
        """Return what `feed` still holds back: pairs of sessions that ended, and samples."""
        yield from self._flush()

    def open_sessions(self, after: int = 0, until: int = np.iinfo(np.int64).max) -> Table:
        """Return the open sessions as they are now, as a table of SESSION; they stay open.

        Only those with numbers above `after`, and up to `until`.
        """
        opened = self._open_rows[: int(self._state["used"])]
        live = np.flatnonzero((opened["live"] > 0) & (opened["session"] > after) & (opened["session"] <= until))
        rows, sides = (table[live] for table in self._numbers)
        return _sessions(rows.view(OPEN_SESSION)[:, 0], sides.view(OPEN_SIDE)[:, :, 0])

    def _expire(self) -> Iterator[tuple[Table, Table]]:
        self._swept_ns, self._since_sweep = self._now_ns, 0
        at = 0
        while at < int(self._state["used"]):
            at = expire(self._tables, self._now_ns, IDLE_NS, at)
            yield from self._flush()

    def _close_until(self, last_ns: int, why: Close) -> Iterator[tuple[Table, Table]]:
        at = 0
        while at < int(self._state["used"]):
            at = close_until(self._tables, last_ns, at, int(why))
            yield from self._flush()

    def _make_room(self) -> Iterator[tuple[Table, Table]]:
        yield from self._flush()
        if not self._state["free_rows"]:
            last = self._last_ns  # all rows are in use
            yield from self._close_until(int(np.partition(last, len(last) // 4)[len(last) // 4]), Close.CROWDED_OUT)

    def _flush(self) -> Iterator[tuple[Table, Table]]:
        """Return copies of the ended sessions and samples, and free their rows."""
        state, tables = self._state, self._tables
        ended, count = int(state["done"]), int(state["samples"])
        if not ended and not count:
            return
        samples = self._samples[:count].copy().view(SAMPLE)[:, 0]
        done = tables.done[:ended]
        rows, sides = (table[done] for table in self._numbers)
        sessions = _sessions(rows.view(OPEN_SESSION)[:, 0], sides.view(OPEN_SIDE)[:, :, 0])
        for table in self._numbers:
            table[done] = 0
        free = int(state["free_rows"])
        tables.free_rows[free : free + ended] = done
        state["free_rows"] += ended
        state["done"] = state["samples"] = 0
        yield sessions, samples


def compiled() -> None:
    """Compile all loops, or load them from the cache."""
    nothing = np.zeros(12, np.uint8)
    tracker, packets = Tracker(), np.zeros(1, PACKET)
    interfaces = np.zeros(1, scan.INTERFACE_TICKS)
    scan.scan_pcapng(nothing, 0, 0, False, interfaces, 0, 0, packets, 0)
    scan.scan_pcap(nothing, 0, 0, False, 1, packets, 0)
    decode(nothing, np.zeros(1, np.int64), packets, 1)
    for _ in (*tracker.feed(nothing, packets), *tracker.finish()):
        pass


def _sessions(rows: Table, sides: Table) -> Table:
    """Return rows [row] and sides [row, endpoint] of open sessions as a table of SESSION."""
    ahead = sides["next"].astype(np.int64) - sides["acked"][:, ::-1]
    followed = (sides["has_next"] & sides["has_acked"][:, ::-1]) == 1
    sides["unacknowledged"] = np.where(followed, np.maximum((ahead + _HALF) % (2 * _HALF) - _HALF, 0), 0)
    every, client = np.arange(len(rows)), rows["client_side"]
    sessions = np.zeros(len(rows), SESSION)
    made, source, source_sides = as_numbers(sessions), as_numbers(rows), as_numbers(sides)
    for fields in (SPAN_FIELDS, EVIDENCE_FIELDS):
        made[:, run(SESSION, *fields)] = source[:, run(OPEN_SESSION, *fields)]
    for side, endpoint in zip(SIDES, (client, 1 - client), strict=True):
        made[:, run(SESSION, side)] = source_sides[every, endpoint, run(OPEN_SIDE, *SIDE_FIELDS)]
    lower_is_client = client == 0
    for half in ("high", "low", "port"):
        lower, higher = rows[f"low_{half}"], rows[f"high_{half}"]
        sessions[f"client_{half}"] = np.where(lower_is_client, lower, higher)
        sessions[f"server_{half}"] = np.where(lower_is_client, higher, lower)
    sessions["reset_after_ns"] = _reset_after(rows)
    sessions["handshake"] = handshakes(
        sessions,
        advances=(sides["advances"][every, client], sides["advances"][every, 1 - client]),
        goes_on=(sides["goes_on"][every, client] > 0, sides["goes_on"][every, 1 - client] > 0),
        syn_acks_late=rows["syn_acks_late"],
    )
    return sessions


def _reset_after(rows: Table) -> Any:
    """Return the time from the ACK of the handshake, or the SYN that the RST answers, to the RST; -1: unknown."""
    since = np.where((rows["syn_acks"] > 0) & (rows["ack_packet"] > 0), rows["ack_ns"], rows["rst_syn_ns"])
    after = rows["rst_ns"] - since
    return np.where((rows["rst_packet"] > 0) & (since > 0) & (after >= 0), after, -1)
