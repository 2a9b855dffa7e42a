"""Tables of sessions -> a heading, and one line per session for a person."""

from collections.abc import Iterable, Iterator

import numpy as np

from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.columns import COLUMNS
from capture.analysis.query.names import CLOSES, endpoints, states
from capture.analysis.sessions.session_table import Handshake
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, aligned, beside, durations, each, numbers, sizes, text, where, words
from capture.views.handshakes import handshake_sentences
from capture.views.moments import clock_text
from capture.wire.addresses import Names
from capture.wire.protocols import protocol_name

_COLUMNS = {
    "#": 6,
    "START": -15,
    "DURATION": 8,
    "PROTO": -6,
    "CLIENT > SERVER": -45,
    "PACKETS": 13,
    "BYTES": 19,
    "RTT": 17,
    "REPEATED": 8,
    "LOST": 7,
    "STATE": 0,
}
"""Column titles, and widths in characters; a negative width is padded on the right."""


def heading() -> str:
    """Return the heading line."""
    return _in_columns(words([title]) for title in _COLUMNS)


def session_lines(table: Table, names: Names, completeness: Completeness) -> str:
    """Return the lines of a table's sessions, without the heading."""
    return _in_columns(_cells(table, names, completeness))


def _in_columns(columns: Iterable[Cells]) -> str:
    first, *others = (aligned(cells, width) for cells, width in zip(columns, _COLUMNS.values(), strict=True))
    return text(beside(first, *(part for cells in others for part in ("  ", cells)), "\n"))


def _cells(table: Table, names: Names, completeness: Completeness) -> Iterator[Cells]:
    """Return the columns of the lines."""
    client, server = table["client"], table["server"]
    yield numbers(table["session"])
    yield beside(each(clock_text, table["first_ns"] // 10**9), ".", numbers(table["first_ns"] // 1000 % 10**6, 6))
    yield durations(table["last_ns"] - table["first_ns"])
    yield each(protocol_name, table["protocol"])
    yield beside(endpoints(table, "client", names), " > ", endpoints(table, "server", names))
    yield _each_way(table, "packets")
    yield beside(sizes(client["bytes"]), "/", sizes(server["bytes"]))
    yield beside(_trips(table, "client"), "/", _trips(table, "server"))
    yield _each_way(table, "retransmitted")
    yield _each_way(table, "lost_before")
    handshake = handshake_sentences(table, completeness)
    between = where(table["handshake"] != Handshake.NONE, "; ")
    yield beside(states(table), between, handshake, "; ", each(CLOSES.__getitem__, table["close"]))


def _each_way(table: Table, name: str) -> Cells:
    """Return a number of the client, a slash, and that of the server."""
    return beside(numbers(table["client"][name]), "/", numbers(table["server"][name]))


def _trips(table: Table, side: str) -> Cells:
    """Return mean round trips from the capture point to a side; the handshake's if there is no other sample."""
    mean, handshake = (COLUMNS[f"{side}_{name}_ns"](table) for name in ("rtt_mean", "handshake"))
    trips = np.where(mean >= 0, mean, handshake)
    return beside(where(trips >= 0, durations(np.maximum(trips, 0))), where(trips < 0, "-"))
