"""`bicap diagnose FILE...`: capture files -> findings, worst first, with evidence."""

import json
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, inner, show_notes, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError

if TYPE_CHECKING:
    from capture.wire.addresses import Names


@click.command(cls=GroupedCommand, short_help="Say what goes wrong in capture files, and what to look at next.")
@click.argument("files", nargs=-1, required=True)
@option(
    "Which",
    "-c",
    "--count",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Show N findings at most.",
)
@across_interfaces
@inner
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the files have for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object, with all findings.")
def diagnose(
    files: tuple[str, ...], count: int, across_interfaces: bool, inner: bool, numeric: bool, as_json: bool
) -> None:
    """Say what goes wrong in capture files, the worst first, with sessions and packets as evidence.

    Findings are failed handshakes by cause and server, large segments that do not arrive, unanswered DNS, slow
    servers, places where packets are lost, receivers without room, resets, packets that are not in the file. FILE is
    pcap or pcapng, plain, gzip or zstd; - is standard input. A damaged file counts as far as it can be read, and the
    exit code is 5. docs/analysis.md explains each finding.
    """
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.troubles import TROUBLES
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.completeness import completeness, of_all
    from capture.analysis.packets.reading import CaptureFile
    from capture.views.diagnosis_report import diagnosis_json, diagnosis_lines
    from capture.views.queries import ended_sessions

    diagnosis, waits = Diagnosis(TROUBLES), Latency()
    names: Names = {}
    damage: list[FormatError] = []
    notes: list[str] = []
    for file in files:
        with CaptureFile(file, inner) as capture:
            for sessions, samples in ended_sessions(
                capture, with_progress(capture), across_interfaces, damage, notes
            ):
                diagnosis.add(file, sessions, several=len(files) > 1 or len(capture.description.interfaces) > 1)
                waits.add(sessions, samples)
            names = {**names, **capture.description.names}
    known = of_all([completeness(file) for file in files])
    findings = diagnosis.findings(known, {} if numeric else names)
    if as_json:
        click.echo(json.dumps(diagnosis_json(findings, diagnosis, waits, known), indent=2))
    else:
        click.echo("\n".join(diagnosis_lines(findings, count, diagnosis, waits, known, several=len(files) > 1)))
    show_notes(notes)
    if damage:
        raise damage[0]
