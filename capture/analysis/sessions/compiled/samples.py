"""A measured duration -> a row of the samples."""

from capture.analysis.sessions.open_table import OpenSession, State
from capture.analysis.sessions.session_table import Measure, Sample
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows

_LAST_BYTE, _SERVER = int(Measure.LAST_BYTE), 1


@loop
def sample(
    samples: Rows[Sample], state: State, session: int, time_ns: int, measure: int, side: int, duration_ns: int
) -> None:
    """Add a row to the samples; a negative duration (the clock went back) adds none."""
    if duration_ns < 0:
        return
    row = samples[state.samples]
    row.time_ns = time_ns
    row.session = session
    row.duration_ns = duration_ns
    row.measure = measure
    row.side = side
    state.samples += 1


@loop
def end_answer(samples: Rows[Sample], state: State, row: OpenSession) -> None:
    """Add the sample from a request to the last byte of its answer."""
    sample(samples, state, row.session, row.answer_ns, _LAST_BYTE, _SERVER, row.answer_ns - row.request_ns)
    row.answer_ns = 0
