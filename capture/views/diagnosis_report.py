"""A diagnosis -> its findings with their evidence, the worst first, as lines or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capture.analysis.diagnose.findings import Diagnosis
from capture.analysis.diagnose.trouble import Finding
from capture.analysis.latency.waits import Latency
from capture.analysis.packets.completeness import Completeness


def diagnosis_lines(
    findings: Sequence[Finding],
    count: int,
    found: Diagnosis,
    waits: Latency,
    truth: Completeness,
    several: bool,
) -> list[str]:
    """Return the lines, of the first `count` findings; `several`: files are named."""
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


def diagnosis_json(
    findings: Sequence[Finding], found: Diagnosis, waits: Latency, truth: Completeness
) -> dict[str, Any]:
    """Return plain values, with all findings."""
    return {
        "sessions": found.sessions,
        "complete": truth.complete,
        "completeness": str(truth),
        "findings": [asdict(one) for one in findings],
        "elsewhere": found.elsewhere,
        "wait_ns": waits.wait_ns,
        "sentence": waits.sentence,
    }
