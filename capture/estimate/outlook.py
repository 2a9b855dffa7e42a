"""What is known before a capture -> its estimates, as JSON and as the lines a person reads."""

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
    """What passes (`source` says how that is known), what is asked, and where it goes; without a disk, to no file."""

    loads: Sequence[InterfaceLoad]
    source: str
    asked: PriceFactors
    limits: DiskLimits
    direction: Direction
    disk: Disk | None
    known: Known

    def of(self, direction: Direction) -> Estimate:
        """The estimate for a capture of this direction instead."""
        return estimate(self.loads, self.asked, direction, self.known.costs)

    @property
    def expected(self) -> Estimate:
        return self.of(self.direction)

    @property
    def warnings(self) -> list[str]:
        return warnings(self.expected, self.limits, self.disk)

    def as_json(self) -> dict[str, Any]:
        """Plain values; CPU is a share of one CPU, and null is without end."""
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
        """What passes, what a capture would write and cost, what is assumed, what to fear."""
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
            one = self.of(way)
            cells = (
                f"{one.packets:,.0f}",
                format_size(one.file_bytes),
                format_size(one.file_bytes_per_hour),
                _share(one.price.process),
                _share(one.price.kernel),
            )
            mark = "  <- asked for" if way is self.direction else ""
            lines.append(f"          {way.value:<7}" + "".join(f"{cell:>14}" for cell in cells) + mark)
        return lines

    def _disk_text(self, disk: Disk) -> str:
        need = bytes_needed(self.expected, self.limits)
        lasts = seconds_until_full(self.expected, self.limits, disk)
        room = f"{disk.folder} has {format_size(disk.free)} free"
        taken = f"the capture takes {'no end of it' if need == math.inf else f'at most {format_size(need)}'}"
        return f"{room}; {taken}" + (f"; room for {format_duration(lasts * 1e9)}" if lasts < math.inf else "")


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    return [f"{'' if number else label:<9} {text}" for number, text in enumerate(texts)]


def _rate(load: Load) -> str:
    return f"{load.packets:,.0f} packets/s, {format_size(load.bytes)}/s"


def _load(load: Load) -> dict[str, float]:
    return {"packets_per_second": load.packets, "bytes_per_second": load.bytes}


def _share(share: Share) -> str:
    return f"{share.of_cpu:.1%} ±{100 * share.error:.1g}"


def _plain(one: Estimate) -> dict[str, float]:
    return {
        "packets_per_second": one.packets,
        "file_bytes_per_second": one.file_bytes,
        "file_bytes_per_hour": one.file_bytes_per_hour,
        "process_cpu": one.price.process.of_cpu,
        "process_cpu_error": one.price.process.error,
        "kernel_cpu": one.price.kernel.of_cpu,
        "kernel_cpu_error": one.price.kernel.error,
    }


def _finite(value: float) -> float | None:
    return value if value < math.inf else None
