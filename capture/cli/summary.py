"""`bicap summary FILE...`: capture files -> who talked how much, when, and what goes wrong, on one page."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, conclude, files, inner, time_form, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError

if TYPE_CHECKING:
    from capture.analysis.overview.totals import Totals
    from capture.analysis.packets.reading import Batch


@click.command(cls=GroupedCommand, short_help="Show who talked how much in capture files, when, and what goes wrong.")
@files
@across_interfaces
@inner
@time_form
@option("Output", "-n", "numeric", is_flag=True, help="Show addresses, not the names that the files have for them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object, with all hosts and services.")
def summary(
    files: tuple[str, ...], across_interfaces: bool, inner: bool, time_form: str, numeric: bool, as_json: bool
) -> None:
    """Show who talked how much in capture files, when, and what goes wrong, on one page.

    Packets and bytes by interface, protocol, host and service, throughput over time, the largest sessions, what the
    capture says of its own completeness, and the first findings of `bicap diagnose`. A conversation that several
    interfaces saw counts at each of them.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time. A damaged file is
    shown as far as it can be read, and the exit code is 5.
    """
    from capture.analysis.application.session_fields import Applications
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.troubles import TROUBLES
    from capture.analysis.overview.totals import Totals
    from capture.analysis.packets.capture_parts import completeness_of_all
    from capture.analysis.packets.merged import open_captures
    from capture.views.moments import Clock, TimeForm
    from capture.views.queries import ended_sessions
    from capture.views.summary_report import summary_json, summary_lines
    from capture.views.tunnel_share import TunnelShare

    totals, diagnosis, clock = Totals(), Diagnosis(TROUBLES), Clock(TimeForm(time_form))
    damage: list[FormatError] = []
    notes: list[str] = []
    tunnels = TunnelShare()
    with open_captures(files, inner) as capture:
        batches = clock.beside(_counted(with_progress(capture), totals))
        ended = ended_sessions(capture, batches, across_interfaces, damage, applications=Applications(), notes=notes)
        for sessions, _ in tunnels.beside(ended):
            totals.add_sessions(sessions)
            diagnosis.add(capture.name, sessions, several=len(capture.description.interfaces) > 1)
        described = capture.description
    known = completeness_of_all(files)
    names = {} if numeric else described.names
    findings = diagnosis.findings(known, names)
    if as_json:
        click.echo(json.dumps(summary_json(totals, findings, described, known), indent=2))
    else:
        click.echo("\n".join(summary_lines(totals, findings, described, known, names, clock)))
    conclude(tunnels, inner, notes, damage)


def _counted(batches: "Iterable[Batch]", totals: "Totals") -> "Iterator[Batch]":
    for batch in batches:
        totals.add_packets(batch.packets)
        yield batch
