"""Capture files -> packets, sessions, streams, latencies, legs and findings, as numpy arrays.

    query | diagnose | streams | legs | overview
    latency | application | conversation
    sessions
    packets

A package may import those on lines below its own, and `pcapng`, `filters`, `wire`, `arrays`, `units` and `errors`.
All of them read files, never the kernel. Text for a person and JSON belong in `capture.views`, except for the
sentences of a diagnosis, which are its result.

The names below are the Python API (docs/analysis.md): open a CaptureFile, feed its batches to a Tracker, and use the
tables of sessions and samples that it returns. Each name is imported on first use, because numba comes with it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.analysis.diagnose.findings import Diagnosis
    from capture.analysis.diagnose.troubles import TROUBLES
    from capture.analysis.latency.waits import Latency
    from capture.analysis.legs.comparison import Comparison
    from capture.analysis.legs.observe import Observations
    from capture.analysis.packets.completeness import completeness
    from capture.analysis.packets.packet_table import PACKET, Kind
    from capture.analysis.packets.reading import CaptureFile
    from capture.analysis.sessions.session_table import SAMPLE, SESSION, Close, Handshake, Measure, records
    from capture.analysis.sessions.tracker import Tracker
    from capture.analysis.streams.followed import Followed, Which
    from capture.wire.addresses import address

__all__ = [
    "PACKET",
    "SAMPLE",
    "SESSION",
    "TROUBLES",
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

_HOMES = {
    "PACKET": "analysis.packets.packet_table",
    "SAMPLE": "analysis.sessions.session_table",
    "SESSION": "analysis.sessions.session_table",
    "TROUBLES": "analysis.diagnose.troubles",
    "CaptureFile": "analysis.packets.reading",
    "Close": "analysis.sessions.session_table",
    "Comparison": "analysis.legs.comparison",
    "Diagnosis": "analysis.diagnose.findings",
    "Followed": "analysis.streams.followed",
    "Handshake": "analysis.sessions.session_table",
    "Kind": "analysis.packets.packet_table",
    "Latency": "analysis.latency.waits",
    "Measure": "analysis.sessions.session_table",
    "Observations": "analysis.legs.observe",
    "Tracker": "analysis.sessions.tracker",
    "Which": "analysis.streams.followed",
    "address": "wire.addresses",
    "completeness": "analysis.packets.completeness",
    "records": "analysis.sessions.session_table",
}
_RENAMED = {"KINDS": "TROUBLES"}
"""Earlier names, which still work, and the present ones."""


def __getattr__(name: str) -> Any:
    current = _RENAMED.get(name, name)
    if current not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"capture.{_HOMES[current]}"), current)
    globals()[name] = value
    return value
