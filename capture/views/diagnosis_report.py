"""A diagnosis -> its findings with their evidence, worst first, as lines or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capture.analysis.diagnose.findings import GROUPS_MAX, Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.completeness import Completeness
from capture.units import format_count


def diagnosis_lines(
    findings: Sequence[Finding],
    count: int,
    diagnosis: Diagnosis,
    waits: Latency,
    completeness: Completeness,
    several: bool,
) -> list[str]:
    """Return lines with the first `count` findings. `several`: evidence names its file."""
    lines = [f"{format_count(diagnosis.sessions, 'session')}; {completeness}"]
    for number, finding in enumerate(findings[:count], start=1):
        lines.append(f"{number}. {finding.what}")
        for evidence in finding.evidence:
            where = f"{Path(evidence.file).name}: " if several else ""
            lines.append(f"   see {where}session {evidence.session}, packet {evidence.packet}")
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
    findings: Sequence[Finding], diagnosis: Diagnosis, waits: Latency, completeness: Completeness
) -> dict[str, Any]:
    """Return plain values with all findings."""
    return {
        "sessions": diagnosis.sessions,
        "complete": completeness.complete,
        "completeness": str(completeness),
        "findings": [asdict(finding) for finding in findings],
        "elsewhere": diagnosis.elsewhere,
        "wait_ns": waits.wait_ns,
        "sentence": waits.sentence,
    }
