"""A file of costs <-> the costs of a packet on a machine: the shipped ones, or those measured on this node.

Fitted by `bicap bench --calibrate` and `python -m bench.model`; each coefficient has its standard error.
"""

import json
import math
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from capture.errors import BicapError, FormatError, TargetError

NODE_FILE = "/var/lib/bicap/costs.json"
"""Path of the calibration of this node."""
VERSION = 2


def _short(value: float, digits: int) -> str:
    """Return a number with `digits` significant digits and no exponent, like 12.3 or 9,240,000."""
    return f"{float(f'{value:.{digits}g}'):,.10g}"


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds of one CPU, and their standard error."""

    ns: float
    error: float = 0.0

    def __str__(self) -> str:
        return f"{_short(self.ns, 3)} ± {_short(self.error, 2)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Costs in the kernel: of a packet seen; added costs of one that samplers leave out, of one captured, of a byte.

    Costs in the process: of a packet captured, of a byte. Costs in both: of a second in which any packet is captured.
    `kernel_off` and `process_off` are the distance of single workloads from the fit: standard deviations of their
    relative residuals.
    """

    kernel_second: Cost
    kernel_seen: Cost
    kernel_left_out: Cost
    kernel_captured: Cost
    kernel_byte: Cost
    process_second: Cost
    process_packet: Cost
    process_byte: Cost
    kernel_off: float
    process_off: float
    source: str
    """Place, tool and time of the measurement: one line for a person."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values: nanoseconds and their errors, and the residuals."""
        values = {name: getattr(self, name) for name in COEFFICIENTS}
        coefficients = {name: {"ns": cost.ns, "error": cost.error} for name, cost in values.items()}
        off = {"kernel": self.kernel_off, "process": self.process_off}
        return {"version": VERSION, "source": self.source, "coefficients": coefficients, "off": off}


COEFFICIENTS = tuple(field.name for field in fields(Costs) if field.type is Cost or field.type == "Cost")


def shipped() -> Costs:
    """Return the costs on the benchmark's machine."""
    return _parsed(files("capture.estimate").joinpath("costs.json").read_bytes(), "the shipped costs")


@dataclass(frozen=True, slots=True)
class Known:
    """Costs to estimate with, their origin, and the problem with this node's costs, if there is one."""

    costs: Costs
    origin: str
    trouble: str | None = None


def known_costs(path: str | None) -> Known:
    """Return the costs in the file `path`; if it is None, this node's, else the shipped ones.

    Raises FormatError, TargetError for the file `path`.
    """
    if path is not None:
        try:
            return Known(_read(path), f"of {path}")
        except OSError as error:
            raise _unreadable(path, error) from None
    ours = Known(shipped(), "shipped with bicap; `bicap bench --calibrate` measures those of this node")
    try:
        return Known(_read(NODE_FILE), "calibrated on this node")
    except FileNotFoundError:
        return ours
    except OSError as error:
        trouble: BicapError = _unreadable(NODE_FILE, error)
    except FormatError as error:
        trouble = error
    return replace(ours, trouble=f"{trouble}; until then the shipped costs are used")


def _unreadable(path: str, error: OSError) -> TargetError:
    return TargetError(f"costs {path} cannot be read: {error.strerror}")


def _read(path: str) -> Costs:
    return _parsed(Path(path).read_bytes(), path)


def _parsed(text: bytes, name: str) -> Costs:
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise FormatError(f"{name} has version {document['version']}, not {VERSION}; {_REMEDY}")
        coefficients = document["coefficients"].items()
        costs = {key: Cost(_amount(cost["ns"]), _amount(cost["error"])) for key, cost in coefficients}
        kernel_off, process_off = (_amount(document["off"][where]) for where in ("kernel", "process"))
        return Costs(**costs, kernel_off=kernel_off, process_off=process_off, source=str(document["source"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(f"{name} is not a file of costs; {_REMEDY}") from None


def _amount(value: object) -> float:
    """Return a number that can be a cost. Raises ValueError, TypeError."""
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError
    return float(value)


_REMEDY = "`bicap bench --calibrate` writes it anew"
