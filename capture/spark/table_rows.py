"""A capture -> the rows of one of the lake's tables, batch by batch, and what could not be read of it."""

from collections.abc import Iterable, Iterator, Sequence

from capture.analysis.application.session_fields import Applications
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.capture_parts import completeness_of
from capture.analysis.packets.several import CaptureSource, open_parts
from capture.errors import BicapError, FormatError
from capture.lake.common import TableRows
from capture.lake.identity import Origin
from capture.lake.lake_findings import FINDINGS
from capture.lake.lake_latency import LATENCY, joined
from capture.lake.lake_packets import PACKETS
from capture.lake.lake_sessions import SESSIONS
from capture.lake.named_points import Points
from capture.lake.tables import TABLES
from capture.views.diagnosing import add_capture
from capture.views.packet_query import PacketQuery
from capture.views.queries import ended_sessions


def rows_of(
    table: str, files: Sequence[str], name: str, inner: bool, node: str, damage: list[BicapError]
) -> Iterator[TableRows]:
    """Return rows of a table of the files of one capture, which is called `name`.

    Damage ends the file that it is in, not those behind it, and is appended to `damage`.
    """
    try:
        with open_parts(tuple(files), inner) as capture:
            origin = Origin(name, name, Points(capture.description, node), completeness_of(tuple(files)))
            yield from _rows(table, capture, origin, damage)
    except BicapError as error:
        damage.append(error)


def _rows(table: str, capture: CaptureSource, origin: Origin, damage: list[BicapError]) -> Iterator[TableRows]:
    batches = origin.watch(capture)
    broken: list[FormatError] = []
    if table == SESSIONS.name:
        for sessions, _ in ended_sessions(capture, batches, False, broken, applications=Applications()):
            yield TableRows(sessions, origin)
    elif table == LATENCY.name:
        yield from joined(ended_sessions(capture, batches, False, broken), origin)
    elif table == PACKETS.name:
        for batch in PacketQuery().of(capture, batches, False):
            yield TableRows(batch.packets, origin)
    else:
        assert table == FINDINGS.name, f"there is no table {table}; there are {', '.join(TABLES)}"
        diagnosis = Diagnosis(TROUBLES)
        add_capture(diagnosis, Latency(), capture, batches, False, broken)
        if found := diagnosis.findings(origin.completeness, capture.description.names):
            yield TableRows(found, origin)
    damage += broken


def sentences(damage: Iterable[BicapError], missing: Sequence[int]) -> str:
    """Return what could not be read, "" if all was."""
    found = [" ".join(str(error).split()) for error in damage]
    if missing:
        found.append(f"files of the set are missing: number {', '.join(map(str, missing))}")
    return "; ".join(found)
