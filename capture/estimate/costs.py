"""A file of costs <-> what a packet costs on a machine: the shipped ones, or those measured on this node.

Fitted by `bicap bench --calibrate` and `python -m bench.model`; each coefficient has its standard error.
"""

import json
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from capture.errors import FormatError, TargetError

NODE_FILE = "/var/lib/bicap/costs.json"
"""Where a calibration of this node is kept."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds of one CPU, and their standard error."""

    ns: float
    error: float = 0.0

    def __str__(self) -> str:
        return f"{self.ns:.3g} ± {self.error:.1g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """In the kernel: a packet that is seen; more for one that samplers leave out, or that is captured, and its bytes.

    In the process: a packet captured, and its bytes. In both a second in which packets are captured, however few.
    """

    kernel_second: Cost
    kernel_seen: Cost
    kernel_left_out: Cost
    kernel_captured: Cost
    kernel_byte: Cost
    process_second: Cost
    process_packet: Cost
    process_byte: Cost
    source: str
    """Where they were measured: one line for a person."""

    def as_json(self) -> dict[str, Any]:
        """Plain values: nanoseconds and their errors."""
        values = {name: getattr(self, name) for name in COEFFICIENTS}
        coefficients = {name: {"ns": cost.ns, "error": cost.error} for name, cost in values.items()}
        return {"version": VERSION, "source": self.source, "coefficients": coefficients}


COEFFICIENTS = tuple(field.name for field in fields(Costs) if field.type is Cost or field.type == "Cost")


def shipped() -> Costs:
    """Those of the benchmark's machine."""
    return _parsed(files("capture.estimate").joinpath("costs.json").read_text(), "the shipped costs")


def read_costs(path: str) -> Costs:
    """Costs from a file. Raises FormatError, OSError."""
    return _parsed(Path(path).read_text(), path)


def costs_of(path: str | None) -> tuple[Costs, str | None]:
    """Those of a file, else this node's, else the shipped ones; and what is wrong with this node's, if anything is.

    Raises FormatError, TargetError for a file that was asked for.
    """
    try:
        return read_costs(NODE_FILE if path is None else path), None
    except OSError as error:
        if path is not None:
            raise TargetError(f"costs {path} cannot be read: {error.strerror}") from None
        return shipped(), None
    except FormatError as error:
        if path is not None:
            raise
        return shipped(), f"{error}; until then the shipped costs are used"


def _parsed(text: str, name: str) -> Costs:
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            raise FormatError(f"{name} has version {found['version']}, not {VERSION}; {_AGAIN}")
        costs = {key: Cost(float(one["ns"]), float(one["error"])) for key, one in found["coefficients"].items()}
        return Costs(**costs, source=str(found["source"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FormatError(f"{name} is not a file of costs; {_AGAIN}") from None


_AGAIN = "`bicap bench --calibrate` writes it anew"
