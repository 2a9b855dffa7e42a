"""Open sessions that end, by their packets, by silence or for lack of room -> rows in `done`, and last samples.

A closed row is removed from the hash at once, and stays in `done` until the Tracker has copied it.
"""

from capture.analysis.sessions.compiled.flight import give_block_back
from capture.analysis.sessions.compiled.lookup import remove
from capture.analysis.sessions.compiled.samples import end_answer
from capture.analysis.sessions.compiled.waiting import remove_question
from capture.analysis.sessions.open_table import Tables
from capture.analysis.sessions.session_table import Close
from capture.arrays.aliases import Longs
from capture.arrays.jit import borrowing_loop as loop
from capture.wire.protocols import TCP

_OPEN, _FIN, _HALF, _IDLE = int(Close.OPEN), int(Close.FIN), int(Close.HALF), int(Close.IDLE)
_BY_CLIENT, _BY_SERVER = int(Close.RESET_BY_CLIENT), int(Close.RESET_BY_SERVER)


@loop
def close(tables: Tables, number: int, why: int) -> None:
    """End a session: remove it from the hash, add its last samples, put it into `done`."""
    row = tables.rows[number]
    remove(tables, number)
    row.live = 0
    state = tables.state[0]
    if row.answer_ns:
        end_answer(tables.samples, state, row)
    if row.block >= 0:
        give_block_back(tables, number)
    if row.questions:
        row.unanswered += row.questions
        while row.questions:
            remove_question(tables, row, row.oldest_question - 1)
    row.close = ended(tables, number) if ended(tables, number) != _OPEN else why
    tables.done[state.done] = number
    state.done += 1
    state.open -= 1


@loop
def ended(tables: Tables, number: int) -> int:
    """Return how packets ended the session; OPEN if they did not."""
    row = tables.rows[number]
    if row.protocol != TCP:
        return _OPEN
    if row.rst_packet:
        return _BY_CLIENT if row.rst_side == row.client_side else _BY_SERVER
    low_fin, high_fin = tables.sides[number, 0].fin_packet, tables.sides[number, 1].fin_packet
    if low_fin and high_fin:
        return _FIN
    return _HALF if low_fin or high_fin else _OPEN


@loop
def silent_limit(tables: Tables, number: int, idle: Longs) -> int:
    """Return the time without packets that ends a session, ns; `idle` is tracker.IDLE_NS."""
    row = tables.rows[number]
    if row.protocol != TCP:
        return idle[2] if row.protocol == 17 else idle[3]
    how = ended(tables, number)
    return idle[0] if how in (_OPEN, _HALF) else idle[1]


@loop
def expire(tables: Tables, now_ns: int, idle: Longs, start: int) -> int:
    """Close rows from `start` on that were silent too long. Return where to continue; `state.used`: done."""
    for number in range(start, tables.state[0].used):
        if not _room(tables):
            return number
        row = tables.rows[number]
        if row.live and now_ns - row.last_ns > silent_limit(tables, number, idle):
            close(tables, number, _IDLE)
    return tables.state[0].used


@loop
def close_until(tables: Tables, last_ns: int, start: int, why: int) -> int:
    """Close rows from `start` on whose last packet is not younger. Return where to continue; `state.used`: done."""
    for number in range(start, tables.state[0].used):
        if not _room(tables):
            return number
        if tables.rows[number].live and tables.rows[number].last_ns <= last_ns:
            close(tables, number, why)
    return tables.state[0].used


@loop
def _room(tables: Tables) -> bool:
    """True if one more session can be closed."""
    return tables.state[0].done < len(tables.done) and tables.state[0].samples < len(tables.samples)
