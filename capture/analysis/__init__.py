"""Capture files -> packets, sessions and findings, as numpy arrays. Reads files, never the kernel.

The names below are the Python API (docs/analysis.md): open a CaptureFile, feed its batches to a Tracker, and take
the tables of sessions and samples that come out. Each is imported when first asked for: numba comes with it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.troubles import KINDS
    from capture.analysis.latency.waits import Latency
    from capture.analysis.legs.comparison import Comparison
    from capture.analysis.legs.observe import Observations
    from capture.analysis.packets.completeness import completeness
    from capture.analysis.packets.packet_table import (
        PACKET,
        SAMPLE,
        SESSION,
        Close,
        Handshake,
        Kind,
        Measure,
        address,
        records,
    )
    from capture.analysis.packets.reading import CaptureFile
    from capture.analysis.sessions.tracker import Tracker
    from capture.analysis.streams.followed import Followed, Which

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
_HOMES = dict.fromkeys(_LAYOUT, "packets.packet_table") | {
    "KINDS": "diagnose.troubles",
    "CaptureFile": "packets.reading",
    "Comparison": "legs.comparison",
    "Diagnosis": "diagnose.findings",
    "Followed": "streams.followed",
    "Latency": "latency.waits",
    "Observations": "legs.observe",
    "Tracker": "sessions.tracker",
    "Which": "streams.followed",
    "completeness": "packets.completeness",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
