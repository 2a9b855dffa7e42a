"""A capture -> its sessions in a diagnosis, and the sessions that a finding names."""

from collections.abc import Iterable

from capture.analysis.application.session_fields import Applications
from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.reading import Batch
from capture.analysis.packets.several import CaptureSource
from capture.arrays.aliases import Mask
from capture.errors import FormatError, SpecError
from capture.units import format_count
from capture.views.queries import ended_sessions
from capture.views.tunnel_share import TunnelShare


def add_capture(
    diagnosis: Diagnosis,
    waits: Latency,
    capture: CaptureSource,
    batches: Iterable[Batch],
    across_interfaces: bool,
    damage: list[FormatError],
    only: Mask | None = None,
    several: bool = False,
    tunnels: TunnelShare | None = None,
    notes: list[str] | None = None,
) -> None:
    """Add the sessions and samples of a capture. `several`: other captures may have the same conversations."""
    ended = ended_sessions(capture, batches, across_interfaces, damage, only, Applications(), notes)
    for sessions, samples in ended:
        diagnosis.add(capture.name, sessions, several or len(capture.description.interfaces) > 1)
        waits.add(sessions, samples)
        if tunnels is not None:
            tunnels.add(sessions)


def sessions_of_finding(
    number: int, capture: CaptureSource, batches: Iterable[Batch], across_interfaces: bool, completeness: Completeness
) -> tuple[int, ...]:
    """Return the sessions that a finding of the capture names. Raises SpecError if there is no such finding."""
    diagnosis = Diagnosis(TROUBLES)
    add_capture(diagnosis, Latency(), capture, batches, across_interfaces, damage=[])
    findings = diagnosis.findings(completeness, {})
    if number > len(findings):
        count = format_count(len(findings), "finding")
        raise SpecError(f"there is no finding {number}: `bicap diagnose` has {count} for these files")
    return tuple(sorted({evidence.session for evidence in findings[number - 1].evidence}))
