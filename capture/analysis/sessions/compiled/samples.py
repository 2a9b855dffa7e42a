"""A measured duration -> a row of the samples."""

from capture.analysis.sessions.open_table import Tables
from capture.arrays.jit import borrowing_loop as loop


@loop
def sample(tables: Tables, session: int, time_ns: int, measure: int, side: int, duration_ns: int) -> None:
    """Add a row to the samples; a negative duration (the clock went back) adds none."""
    if duration_ns < 0:
        return
    at = tables.state[0].samples
    row = tables.samples[at]
    row.time_ns = time_ns
    row.session = session
    row.duration_ns = duration_ns
    row.measure = measure
    row.side = side
    tables.state[0].samples = at + 1
