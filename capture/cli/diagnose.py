"""`bicap diagnose FILE...`: capture files -> what goes wrong in them, the worst first, with evidence."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capture.cli.capture_file import across_interfaces, ended_sessions, inner
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError

if TYPE_CHECKING:
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.trouble import Finding
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.completeness import Completeness
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

    Failed handshakes by cause and server, large segments that do not arrive, unanswered DNS, slow servers, places
    where packets are lost, receivers without room, resets, packets that are not in the file. FILE is pcap or pcapng,
    plain, gzip or zstd; - is standard input. Of a damaged file all counts that could be read, and the exit code is 5.
    docs/analysis.md says what each finding means.
    """
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.troubles import TROUBLES
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.completeness import completeness, of_all
    from capture.analysis.packets.reading import CaptureFile

    found, waits = Diagnosis(TROUBLES), Latency()
    names: Names = {}
    damage: list[FormatError] = []
    for file in files:
        with CaptureFile(file, inner) as capture:
            for sessions, samples in ended_sessions(capture, across_interfaces, damage):
                found.add(file, sessions, several=len(files) > 1 or len(capture.description.interfaces) > 1)
                waits.add(sessions, samples)
            names = {**names, **capture.description.names}
    truth = of_all([completeness(file) for file in files])
    findings = found.findings(truth, {} if numeric else names)
    if as_json:
        click.echo(json.dumps(_plain(findings, found, waits, truth), indent=2))
    else:
        click.echo("\n".join(_lines(findings, count, found, waits, truth, several=len(files) > 1)))
    if damage:
        raise damage[0]


def _lines(
    findings: "list[Finding]",
    count: int,
    found: "Diagnosis",
    waits: "Latency",
    truth: "Completeness",
    several: bool,
) -> list[str]:
    lines = [f"{found.sessions:,} sessions; {truth}"]
    for number, one in enumerate(findings[:count], start=1):
        lines.append(f"{number}. {one.what}")
        for evidence in one.evidence:
            where = f"{Path(evidence.file).name}: " if several else ""
            lines.append(f"   see {where}session {evidence.session}, packet {evidence.packet}")
        lines.append(f"   next: {one.next}")
    if len(findings) > count:
        lines.append(f"{len(findings) - count:,} more findings: -c {len(findings)} shows all")
    if not findings:
        lines.append("nothing of what is looked for was found")
    if found.elsewhere:
        lines.append(f"{found.elsewhere:,} sessions have trouble at more places than are told apart")
    return [*lines, waits.sentence]


def _plain(findings: "list[Finding]", found: "Diagnosis", waits: "Latency", truth: "Completeness") -> dict[str, Any]:
    return {
        "sessions": found.sessions,
        "complete": truth.complete,
        "completeness": str(truth),
        "findings": [asdict(one) for one in findings],
        "elsewhere": found.elsewhere,
        "wait_ns": waits.wait_ns,
        "sentence": waits.sentence,
    }
