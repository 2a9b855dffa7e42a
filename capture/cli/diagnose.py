"""`bicap diagnose FILE...`: capture files -> findings, worst first, with evidence; or a table of them."""

import json
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import (
    across_interfaces,
    conclude,
    files,
    inner,
    matching_sessions,
    sessions_with_packets,
    with_progress,
)
from capture.cli.groups import GroupedCommand, option
from capture.cli.table_output import TableOutput, table_options
from capture.errors import FormatError

if TYPE_CHECKING:
    from capture.lake.identity import Origin
    from capture.wire.addresses import Names


@click.command(cls=GroupedCommand, short_help="Say what goes wrong in capture files, and what to look at next.")
@files
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
@sessions_with_packets
@across_interfaces
@inner
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the files have for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object, with all findings.")
@table_options
def diagnose(
    files: tuple[str, ...],
    count: int,
    expression: str | None,
    across_interfaces: bool,
    inner: bool,
    numeric: bool,
    as_json: bool,
    parquet: str | None,
    arrow: str | None,
    node: str | None,
) -> None:
    """Say what goes wrong in capture files, the worst first, with sessions and packets as evidence.

    Findings are failed handshakes by cause and server, large segments that do not arrive, unanswered DNS, slow
    servers, places where packets are lost, receivers without room, resets, packets that are not in the file.
    docs/analysis.md explains each finding.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. The parts of one capture are read as one file. A damaged file counts
    as far as it can be read, and the exit code is 5.
    """
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.troubles import TROUBLES
    from capture.analysis.latency.waits import Latency
    from capture.analysis.packets.capture_parts import captures_of, completeness_of_all, files_of
    from capture.analysis.packets.several import CaptureParts, open_parts
    from capture.views.diagnosing import add_capture
    from capture.views.diagnosis_report import Places, diagnosis_json, diagnosis_lines
    from capture.views.tunnel_share import TunnelShare

    output = TableOutput(parquet, arrow, node)
    as_table = output.check(json=as_json)
    diagnosis, waits = Diagnosis(TROUBLES), Latency()
    names: Names = {}
    damage: list[FormatError] = []
    notes: list[str] = []
    places: Places = {}
    tunnels = TunnelShare()
    captures = captures_of(files_of(files))
    origins: list[Origin] = []
    for parts in captures:
        only = matching_sessions(parts, expression, across_interfaces, inner)
        with open_parts(parts, inner) as capture:
            batches = with_progress(capture)
            if as_table:
                origins.append(output.origin(parts, capture))
                batches = origins[-1].watch(batches)
            add_capture(
                diagnosis, waits, capture, batches, across_interfaces, damage, only, len(captures) > 1, tunnels, notes
            )
            names = {**names, **capture.description.names}
            if isinstance(capture, CaptureParts):
                places[capture.name] = capture.place
    known = completeness_of_all(files)
    findings = diagnosis.findings(known, {} if numeric else names)
    if as_table:
        from capture.lake.common import TableRows
        from capture.lake.identity import together
        from capture.lake.lake_findings import FINDINGS

        output.write(FINDINGS, [TableRows(findings, together(origins, known))] if findings else [])
    elif as_json:
        click.echo(json.dumps(diagnosis_json(findings, diagnosis, waits, known, places), indent=2))
    else:
        several = len(captures) > 1
        click.echo("\n".join(diagnosis_lines(findings, count, diagnosis, waits, known, several, places)))
    conclude(tunnels, inner, notes, damage)
