"""A capture file, whole or damaged -> all that can be asked of it, and answers that agree with each other."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from capture.analysis.application.session_fields import Applications
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.latency.waits import Latency
from capture.analysis.legs.comparison import Comparison
from capture.analysis.legs.observe import Observations
from capture.analysis.overview.totals import Totals
from capture.analysis.packets.completeness import completeness
from capture.analysis.packets.reading import Batch, CaptureFile
from capture.analysis.query.columns import flat
from capture.analysis.sessions.tracker import Tracker
from capture.analysis.streams.followed import Followed, Which
from capture.analysis.streams.reassembly import Said
from capture.arrays.aliases import Table
from capture.errors import FormatError, SpecError
from capture.views.excerpt import Excerpt
from capture.views.json_lines import json_lines
from capture.views.moments import Clock
from capture.views.packet_lines import PacketLines
from capture.views.session_lines import LineContext, SessionLines
from capture.views.summary_report import summary_lines


def whole(file: CaptureFile) -> Iterator[Batch]:
    """The batches, as far as the file is good."""
    with contextlib.suppress(FormatError):
        yield from file


def ask_everything(path: Path) -> None:
    """Ask all that can be asked of a file. Raises AssertionError if two answers disagree, FormatError, SpecError."""
    waits, diagnosis, tracker, totals = Latency(), Diagnosis(TROUBLES), Tracker(), Totals()
    truth, shown = completeness(str(path)), 0
    said = {number: Followed(Which(str(number), number)) for number in (1, 2, 3)}
    with CaptureFile(str(path)) as file:
        packets, names = PacketLines(file.description, names=True), file.description.names
        rows = SessionLines(LineContext(names, file.description.interfaces, truth, Clock()), width=80)
        applications = Applications()
        excerpt = Excerpt(file.description, "all packets")
        ended: list[tuple[Table, Table]] = []
        for batch in whole(file):
            totals.add_packets(batch.packets)
            ended += tracker.feed(batch.data, batch.packets)
            applications.add(batch)
            packets.watch(batch)
            assert packets.lines(batch.packets).count("\n") == len(batch.packets)
            written = b"".join(excerpt.blocks(batch))
            assert len(written) % 4 == 0
            assert json_lines(packets.columns(batch.packets)).count("\n") == len(batch.packets) - 1
        for sessions, samples in (*ended, *tracker.finish()):
            applications.fill(sessions)
            diagnosis.add("file", sessions)
            waits.add(sessions, samples)
            totals.add_sessions(sessions)
            assert rows.lines(sessions).count("\n") == len(sessions)
            assert {len(column) for column in flat(sessions, file.description.interfaces).values()} == {len(sessions)}
            shown += len(sessions)
    assert shown == diagnosis.sessions == totals.sessions
    findings = diagnosis.findings(truth, names)
    assert summary_lines(totals, findings, file.description, truth, names, Clock())
    assert all(one.what and one.next and one.score > 0 for one in findings)
    for followed in said.values():
        with CaptureFile(str(path)) as file:
            try:
                parts = list(followed.parts(whole(file)))
            except SpecError:
                continue  # no such session, or neither TCP nor UDP
        assert followed.session is not None
        for side, stream in enumerate(followed.dialogue.streams if followed.dialogue else ()):
            mine = [part for part in parts if part.side == side]
            assert sum(len(part.data) for part in mine if isinstance(part, Said)) == stream.said
    with Observations() as observations:
        for _ in range(2):
            with CaptureFile(str(path), inner=True) as file:
                observations.add("file", whole(file), file.description)
        found = Comparison(observations)
    assert all(one.paired >= one.doubtful for one in found.legs)
