"""Tables of sessions -> a heading, and one line per session for a person, as wide as there is room."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.columns import COLUMNS, WORDS, flat
from capture.analysis.query.conditions import no_column
from capture.analysis.query.names import CLOSES, endpoints
from capture.analysis.query.names import states as state_names
from capture.analysis.sessions.session_table import Handshake
from capture.arrays.aliases import Table
from capture.arrays.cells import Cells, aligned, beside, cut, durations, each, numbers, sizes, text, where, words
from capture.pcapng.describe import InterfaceDescription
from capture.views.handshakes import handshake_sentences
from capture.views.kernel_sentences import kernel_sentences
from capture.views.moments import Clock
from capture.wire.addresses import Names
from capture.wire.protocols import protocol_name


@dataclass(frozen=True, slots=True)
class LineContext:
    """What lines need besides the sessions."""

    names: Names
    interfaces: Sequence[InterfaceDescription]
    completeness: Completeness
    clock: Clock


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the lines. A negative width pads on the right; the least important is left out first."""

    title: str
    width: int
    importance: int
    cells: Callable[[Table, LineContext], Cells]


def _each_way(name: str) -> Callable[[Table, LineContext], Cells]:
    """Return the function for a number of the client, a slash, and that of the server."""
    return lambda table, _: beside(numbers(table["client"][name]), "/", numbers(table["server"][name]))


def _ends(table: Table, context: LineContext) -> Cells:
    return beside(endpoints(table, "client", context.names), " > ", endpoints(table, "server", context.names))


def _bytes(table: Table, _: LineContext) -> Cells:
    return beside(sizes(table["client"]["bytes"]), "/", sizes(table["server"]["bytes"]))


def _trips(table: Table, _: LineContext) -> Cells:
    """Return mean round trips from the capture point to each side; the handshake's if there is no other sample."""
    shown = []
    for side in ("client", "server"):
        mean, handshake = (COLUMNS[f"{side}_{name}_ns"](table) for name in ("rtt_mean", "handshake"))
        trips = np.where(mean >= 0, mean, handshake)
        shown.append(beside(where(trips >= 0, durations(np.maximum(trips, 0))), where(trips < 0, "-")))
    return beside(shown[0], "/", shown[1])


def _state(table: Table, context: LineContext) -> Cells:
    handshake = handshake_sentences(table, context.completeness)
    between = where(table["handshake"] != Handshake.NONE, "; ")
    closes = each(CLOSES.__getitem__, table["close"])
    return beside(state_names(table), between, handshake, "; ", closes, kernel_sentences(table))


SHOWN = {
    "session": Column("#", 6, 10, lambda table, _: numbers(table["session"])),
    "start": Column("START", 0, 7, lambda table, context: context.clock.cells(table["first_ns"], 6)),
    "duration": Column("DURATION", 8, 4, lambda table, _: durations(table["last_ns"] - table["first_ns"])),
    "protocol": Column("PROTO", -6, 5, lambda table, _: each(protocol_name, table["protocol"])),
    "ends": Column("CLIENT > SERVER", -45, 9, _ends),
    "packets": Column("PACKETS", 13, 6, _each_way("packets")),
    "bytes": Column("BYTES", 19, 3, _bytes),
    "rtt": Column("RTT", 17, 2, _trips),
    "repeated": Column("REPEATED", 8, 1, _each_way("retransmitted")),
    "lost": Column("LOST", 7, 0, _each_way("lost_before")),
    "state": Column("STATE", -20, 8, _state),
}
"""Columns that are shown by default, by their names for --columns. The last one is not padded."""
_BETWEEN = "  "


def _flat(name: str) -> Column:
    """Return a column of the table of all columns, formatted by its unit."""
    title, values = name.removesuffix("_ns").upper().replace("_", " "), COLUMNS[name]
    if name in WORDS or name == "interface":
        width = -max(len(title), 16)
        return Column(title, width, 0, lambda table, context: words(flat(table, context.interfaces, [name])[name]))
    if name.endswith("_ns"):
        return Column(title, max(len(title), 8), 0, lambda table, _: _duration(np.asarray(values(table))))
    return Column(title, max(len(title), 8), 0, lambda table, _: numbers(np.asarray(values(table))))


def _duration(values: np.ndarray) -> Cells:
    return beside(where(values >= 0, durations(np.maximum(values, 0))), where(values < 0, "-"))


def columns_named(names: Sequence[str]) -> list[Column]:
    """Return columns by name. Raises SpecError for a name that is not known."""
    for name in names:
        if name not in SHOWN and name not in COLUMNS:
            raise no_column("--columns", name, (*SHOWN, *COLUMNS))
    return [SHOWN[name] if name in SHOWN else _flat(name) for name in names]


class SessionLines:
    """Lines in these columns; by default as many of SHOWN as fit into `width` characters, all if it is None.

    With a width, what does not fit is cut off at the end of the line.
    """

    def __init__(
        self, context: LineContext, columns: Sequence[Column] | None = None, width: int | None = None
    ) -> None:
        self._context, self._width = context, width
        self._columns = self._fitting(list(SHOWN.values())) if columns is None else list(columns)

    def heading(self) -> str:
        """Return the heading line."""
        return self._text([words([column.title]) for column in self._columns])

    def lines(self, table: Table) -> str:
        """Return the lines of a table's sessions, without the heading."""
        return self._text([column.cells(table, self._context) for column in self._columns])

    def _fitting(self, columns: list[Column]) -> list[Column]:
        """Return the most important columns that fit, in their order."""
        while self._width is not None and len(columns) > 3:
            if sum(abs(self._room(column)) + len(_BETWEEN) for column in columns) - len(_BETWEEN) <= self._width:
                break
            columns.remove(min(columns, key=lambda column: column.importance))
        return columns

    def _room(self, column: Column) -> int:
        return column.width or -self._context.clock.width

    def _text(self, columns: list[Cells]) -> str:
        parts: list[Cells | str] = []
        for at, (column, cells) in enumerate(zip(self._columns, columns, strict=True)):
            room = self._room(column)
            last = at == len(columns) - 1
            parts += [_BETWEEN] if at else []
            parts.append(cells if last and room < 0 else aligned(cells, room))
        line = beside(*parts)
        return text(beside(line if self._width is None else cut(line, self._width), "\n"))
