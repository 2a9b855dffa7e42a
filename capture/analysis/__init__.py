"""Capture files -> packets, sessions and findings, as numpy arrays. Reads files, never the kernel.

The names below are the Python API (docs/analysis.md): open a CaptureFile, feed its batches to a Tracker, and take
the tables of sessions and samples that come out. Each is imported when first asked for: numba comes with it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.analysis.completeness import completeness
    from capture.analysis.latency import Latency
    from capture.analysis.layout import PACKET, SAMPLE, SESSION, Close, Handshake, Kind, Measure, address, records
    from capture.analysis.reading import CaptureFile
    from capture.analysis.tracker import Tracker

__all__ = [
    "PACKET",
    "SAMPLE",
    "SESSION",
    "CaptureFile",
    "Close",
    "Handshake",
    "Kind",
    "Latency",
    "Measure",
    "Tracker",
    "address",
    "completeness",
    "records",
]

_LAYOUT = ("PACKET", "SAMPLE", "SESSION", "Close", "Handshake", "Kind", "Measure", "address", "records")
_HOMES = dict.fromkeys(_LAYOUT, "layout") | {
    "CaptureFile": "reading",
    "Latency": "latency",
    "Tracker": "tracker",
    "completeness": "completeness",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
