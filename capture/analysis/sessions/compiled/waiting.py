"""Questions that wait for their answers: a hash table of all sessions' together, and a list by age for each session.

A resolver has up to 65,536 identifiers, most have one or two; so the places are shared. Without a free place, a
session's oldest question gives way to its newest, and is counted as forgotten: whether it was answered is not known.
"""

from capture.analysis.sessions.open_table import OpenSession, Tables
from capture.arrays.compiled.hashing import mix
from capture.arrays.jit import borrowing_loop as loop


@loop
def key_of(row: OpenSession, identifier: int, name: int) -> int:
    """Return the key of a question: a hash of its session, its identifier and its name."""
    return mix(mix(row.session, identifier), name)


@loop
def find_question(tables: Tables, key: int) -> int:
    """Return the index of the question with this key, -1 if it does not wait."""
    at = tables.question_slots[key & (len(tables.question_slots) - 1)] - 1
    while at >= 0 and tables.questions[at].key != key:
        at = tables.questions[at].after - 1
    return at


@loop
def add_question(tables: Tables, number: int, key: int, now: int, identification: int) -> None:
    """Add a question of session `number` as its newest."""
    row, state = tables.rows[number], tables.state[0]
    if not state.free_question and state.unused_question < len(tables.questions):
        at = state.unused_question
        state.unused_question += 1
    else:
        if not state.free_question:
            state.forgotten += 1
            if not row.questions:
                return
            remove_question(tables, row, row.oldest_question - 1)
        at = state.free_question - 1
        state.free_question = tables.questions[at].after
    question, place = tables.questions[at], key & (len(tables.question_slots) - 1)
    question.time_ns = now
    question.key = key
    question.row = number
    question.identification = identification
    question.repeated = 0
    question.after = tables.question_slots[place]
    tables.question_slots[place] = at + 1
    question.older = row.newest_question
    question.newer = 0
    if row.newest_question:
        tables.questions[row.newest_question - 1].newer = at + 1
    else:
        row.oldest_question = at + 1
    row.newest_question = at + 1
    row.questions += 1


@loop
def remove_question(tables: Tables, row: OpenSession, at: int) -> None:
    """Remove a question of a session."""
    question, place = tables.questions[at], tables.questions[at].key & (len(tables.question_slots) - 1)
    if tables.question_slots[place] == at + 1:
        tables.question_slots[place] = question.after
    else:
        before = tables.question_slots[place] - 1
        while tables.questions[before].after != at + 1:
            before = tables.questions[before].after - 1
        tables.questions[before].after = question.after
    if question.older:
        tables.questions[question.older - 1].newer = question.newer
    else:
        row.oldest_question = question.newer
    if question.newer:
        tables.questions[question.newer - 1].older = question.older
    else:
        row.newest_question = question.older
    row.questions -= 1
    question.after = tables.state[0].free_question
    tables.state[0].free_question = at + 1
