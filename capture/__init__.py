"""bicap: both directions of chosen conversations on Kubernetes pod interfaces, into pcapng.

The path of a packet, with the folder of each step:

    spec -> plan -> run: kernel (bpf/) -> stream -> pcapng -> sink -> analysis

The names below are the Python API; examples/capture_api.py uses it from end to end. A name is imported at its first
use, because a capture needs numba, bcc and pyroute2, which load slowly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture import errors
    from capture.filters.expression import parse_expression
    from capture.filters.rule import Endpoint, Rule
    from capture.filters.rulewords import parse_endpoint
    from capture.plan import describe
    from capture.run.account import Account
    from capture.run.capture import Capture
    from capture.run.planning import plan_capture
    from capture.run.summary import Summary
    from capture.sampling.parse import parse_sampler
    from capture.sampling.sampler import Sampling
    from capture.sink.open import open_sink
    from capture.spec import CaptureSpec
    from capture.storage import Storage
    from capture.wire.direction import Direction

__all__ = [
    "Account",
    "Capture",
    "CaptureSpec",
    "Direction",
    "Endpoint",
    "Rule",
    "Sampling",
    "Storage",
    "Summary",
    "describe",
    "errors",
    "open_sink",
    "parse_endpoint",
    "parse_expression",
    "parse_sampler",
    "plan_capture",
]

_HOMES = {
    "Account": "capture.run.account",
    "Capture": "capture.run.capture",
    "CaptureSpec": "capture.spec",
    "Direction": "capture.wire.direction",
    "Endpoint": "capture.filters.rule",
    "Rule": "capture.filters.rule",
    "Sampling": "capture.sampling.sampler",
    "Storage": "capture.storage",
    "Summary": "capture.run.summary",
    "describe": "capture.plan",
    "open_sink": "capture.sink.open",
    "parse_endpoint": "capture.filters.rulewords",
    "parse_expression": "capture.filters.expression",
    "parse_sampler": "capture.sampling.parse",
    "plan_capture": "capture.run.planning",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("capture.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
