"""The load, the request and the disk before a capture -> its estimates, as JSON and as lines for a person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capture.estimate.costs import Known
from capture.estimate.load import InterfaceLoad, Load
from capture.estimate.price import Estimate, PriceFactors, Share, assumptions, estimate
from capture.estimate.room import Disk, DiskLimits, bytes_needed, seconds_until_full, warnings
from capture.units import format_duration, format_size
from capture.wire.direction import Direction

_WAYS = (Direction.FORWARD, Direction.REVERSE, Direction.BOTH)
_COLUMNS = ("packets/s", "file/s", "file/h", "process CPU", "kernel CPU")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Loads (`source` says how they are known), the request, and the disk of the output; None if it is not a file."""

    loads: Sequence[InterfaceLoad]
    source: str
    asked: PriceFactors
    limits: DiskLimits
    direction: Direction
    disk: Disk | None
    known: Known

    def of(self, direction: Direction) -> Estimate:
        """Return the estimate for a capture of this direction."""
        return estimate(self.loads, self.asked, direction, self.known.costs)

    @property
    def expected(self) -> Estimate:
        return self.of(self.direction)

    @property
    def warnings(self) -> list[str]:
        return warnings(self.expected, self.limits, self.disk)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; CPU is a share of one CPU, null means infinite."""
        return {
            "source": self.source,
            "loads": [
                {"interface": load.name, "from_pod": _load(load.from_pod), "to_pod": _load(load.to_pod)}
                for load in self.loads
            ],
            "direction": self.direction.value,
            **{way.value: _plain(self.of(way)) for way in _WAYS},
            "disk": self._disk(),
            "assumptions": assumptions(self.asked),
            "costs": {"origin": self.known.origin} | self.known.costs.as_json(),
            "warnings": self.warnings,
        }

    def _disk(self) -> dict[str, Any] | None:
        if self.disk is None:
            return None
        return {
            "folder": self.disk.folder,
            "free_bytes": self.disk.free,
            "needed_bytes": _finite(bytes_needed(self.expected, self.limits)),
            "full_after_seconds": _finite(seconds_until_full(self.expected, self.limits, self.disk)),
        }

    def lines(self) -> list[str]:
        """Return lines about the load, the size and cost of a capture, the assumptions, and warnings."""
        loads = [f"{load.name}: from_pod {_rate(load.from_pod)}; to_pod {_rate(load.to_pod)}" for load in self.loads]
        lines = [*_labelled("load", loads), f"source    {self.source}", *self._table()]
        if self.disk is not None:
            lines.append(f"disk      {self._disk_text(self.disk)}")
        lines += _labelled("costs", [self.known.origin, self.known.costs.source])
        lines += _labelled("assumed", assumptions(self.asked))
        return lines + [f"warning: {line}" for line in self.warnings]

    def _table(self) -> list[str]:
        lines = ["estimate  " + " " * 7 + "".join(f"{column:>14}" for column in _COLUMNS)]
        for way in _WAYS:
            expected = self.of(way)
            cells = (
                f"{expected.packets:,.0f}",
                format_size(expected.file_bytes),
                format_size(expected.file_bytes_per_hour),
                _share(expected.price.process),
                _share(expected.price.kernel),
            )
            mark = "  <- asked for" if way is self.direction else ""
            lines.append(f"          {way.value:<7}" + "".join(f"{cell:>14}" for cell in cells) + mark)
        return lines

    def _disk_text(self, disk: Disk) -> str:
        need = bytes_needed(self.expected, self.limits)
        lasts = seconds_until_full(self.expected, self.limits, disk)
        room = f"{disk.folder} has {format_size(disk.free)} free"
        needed = "has no limit of size" if need == math.inf else f"takes at most {format_size(need)}"
        duration = f"; room for {format_duration(lasts * 1e9)}" if lasts < math.inf else ""
        return f"{room}; the capture {needed}{duration}"


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    return [f"{'' if number else label:<9} {text}" for number, text in enumerate(texts)]


def _rate(load: Load) -> str:
    return f"{load.packets:,.0f} packets/s, {format_size(load.bytes)}/s"


def _load(load: Load) -> dict[str, float]:
    return {"packets_per_second": load.packets, "bytes_per_second": load.bytes}


def _share(share: Share) -> str:
    return f"{share.of_cpu:.1%} ±{100 * share.error:.1g}"


def _plain(expected: Estimate) -> dict[str, float]:
    return {
        "packets_per_second": expected.packets,
        "file_bytes_per_second": expected.file_bytes,
        "file_bytes_per_hour": expected.file_bytes_per_hour,
        "process_cpu": expected.price.process.of_cpu,
        "process_cpu_error": expected.price.process.error,
        "kernel_cpu": expected.price.kernel.of_cpu,
        "kernel_cpu_error": expected.price.kernel.error,
    }


def _finite(value: float) -> float | None:
    return value if value < math.inf else None
