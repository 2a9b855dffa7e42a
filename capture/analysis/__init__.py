"""Capture files -> packets, sessions and findings, as numpy arrays. Reads files, never the kernel.

The names below are the Python API (docs/analysis.md): open a CaptureFile, feed its batches to a Tracker, and take
the tables of sessions and samples that come out. Each is imported when first asked for: numba comes with it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.analysis.findings import Diagnosis
    from capture.analysis.follow import Followed, Which
    from capture.analysis.kinds import KINDS
    from capture.analysis.latency import Latency
    from capture.analysis.layout import PACKET, SAMPLE, SESSION, Close, Handshake, Kind, Measure, address, records
    from capture.analysis.legs import Comparison
    from capture.analysis.observe import Observations
    from capture.analysis.reading import CaptureFile
    from capture.analysis.statement import completeness
    from capture.analysis.tracker import Tracker

__all__ = [
    "KINDS",
    "PACKET",
    "SAMPLE",
    "SESSION",
    "CaptureFile",
    "Close",
    "Comparison",
    "Diagnosis",
    "Followed",
    "Handshake",
    "Kind",
    "Latency",
    "Measure",
    "Observations",
    "Tracker",
    "Which",
    "address",
    "completeness",
    "records",
]

_LAYOUT = ("PACKET", "SAMPLE", "SESSION", "Close", "Handshake", "Kind", "Measure", "address", "records")
_HOMES = dict.fromkeys(_LAYOUT, "layout") | {
    "KINDS": "kinds",
    "CaptureFile": "reading",
    "Comparison": "legs",
    "Diagnosis": "findings",
    "Followed": "follow",
    "Latency": "latency",
    "Observations": "observe",
    "Tracker": "tracker",
    "Which": "follow",
    "completeness": "statement",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
