"""A diagnosis -> its findings with their evidence, worst first, as lines or as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capture.analysis.diagnose.findings import GROUPS_MAX, Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.completeness import Completeness
from capture.units import format_count

Places = dict[str, Callable[[int], tuple[str, int]]]
"""By name of a capture that has parts: the number of a packet -> its part, and its number there."""


def diagnosis_lines(
    findings: Sequence[Finding],
    count: int,
    diagnosis: Diagnosis,
    waits: Latency,
    completeness: Completeness,
    several: bool,
    places: Places,
) -> list[str]:
    """Return lines with the first `count` findings. `several`: evidence names its capture."""
    lines = [f"{format_count(diagnosis.sessions, 'session')}; {completeness}"]
    for number, finding in enumerate(findings[:count], start=1):
        lines.append(f"{number}. {finding.what}")
        for evidence in finding.evidence:
            where = f"{Path(evidence.file).name}: " if several else ""
            part = ""
            if evidence.file in places:
                file, packet = places[evidence.file](evidence.packet)
                part = f" (packet {packet} of {Path(file).name})"
            lines.append(f"   see {where}session {evidence.session}, packet {evidence.packet}{part}")
        lines.append(f"   next: {finding.next}")
    if len(findings) > count:
        lines.append(f"{format_count(len(findings) - count, 'more finding')}: -c {len(findings)} shows all")
    if not findings:
        lines.append("no problems found")
    if diagnosis.elsewhere:
        unlisted = format_count(diagnosis.elsewhere, "session with a problem is", "sessions with problems are")
        lines.append(f"{unlisted} not listed: there are more than {GROUPS_MAX:,} places with problems of one kind")
    return [*lines, waits.sentence]


def diagnosis_json(
    findings: Sequence[Finding],
    diagnosis: Diagnosis,
    waits: Latency,
    completeness: Completeness,
    places: Places,
) -> dict[str, Any]:
    """Return plain values with all findings; evidence has `part` and `part_packet` where a capture has parts."""
    plain = [asdict(finding) for finding in findings]
    for evidence in (evidence for finding in plain for evidence in finding["evidence"]):
        if evidence["file"] in places:
            evidence["part"], evidence["part_packet"] = places[evidence["file"]](evidence["packet"])
    return {
        "sessions": diagnosis.sessions,
        "complete": completeness.complete,
        "completeness": str(completeness),
        "findings": plain,
        "elsewhere": diagnosis.elsewhere,
        "wait_ns": waits.wait_ns,
        "sentence": waits.sentence,
    }
