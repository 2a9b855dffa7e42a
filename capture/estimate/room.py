"""An estimate, the limits of a capture and the free bytes of a disk -> the time until the disk is full, and
warnings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from capture.estimate.price import Estimate
from capture.units import format_duration, format_size
from capture.wire.direction import Direction

ATTENDED_SECONDS = 24 * 3600
"""Longest time for which a capture without limits is expected to run before somebody ends it by hand."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a folder: its size, and the bytes that may still be written."""

    folder: str
    size: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLimits:
    """The limits of a capture, the size of its ring of files, and the bytes that must stay free; None is no limit."""

    counts: Mapping[Direction, int] = field(default_factory=dict)
    max_bytes: int | None = None
    duration_ns: int | None = None
    file_bytes: int | None = None
    file_ns: int | None = None
    files_kept: int | None = None
    min_free: int = 0


def bytes_needed(expected: Estimate, limits: DiskLimits) -> float:
    """Return the most bytes that are on the disk at one time; infinite if nothing limits them."""
    rate = expected.file_bytes
    if not rate:
        return 0.0
    packets = {
        Direction.BOTH: expected.packets,
        Direction.FORWARD: expected.forward_packets,
        Direction.REVERSE: expected.reverse_packets,
    }
    sizes = [math.inf]
    sizes += [count / packets[way] * rate for way, count in limits.counts.items() if packets[way]]
    if limits.max_bytes is not None:
        sizes.append(limits.max_bytes)
    if limits.duration_ns is not None:
        sizes.append(limits.duration_ns / 1e9 * rate)
    if limits.files_kept is not None:
        if limits.file_bytes is not None:
            sizes.append(limits.files_kept * limits.file_bytes)
        if limits.file_ns is not None:
            sizes.append(limits.files_kept * limits.file_ns / 1e9 * rate)
    return min(sizes)


def seconds_until_full(expected: Estimate, limits: DiskLimits, disk: Disk) -> float:
    """Return the seconds until the disk is full without a ring of files or a limit; infinite if nothing is
    written."""
    return max(disk.free - limits.min_free, 0) / expected.file_bytes if expected.file_bytes else math.inf


def warnings(expected: Estimate, limits: DiskLimits, disk: Disk | None) -> list[str]:
    """Return warnings, one line each; `disk` is None if the output is not a file."""
    lines = []
    if not expected.packets:
        lines.append("no packet passed that would be kept; measure longer with --look, or give a load with --assume")
    needed = expected.price.process.of_cpu
    if needed > 1:
        lines.append(
            f"writing needs {needed:.0%} of a CPU, but uses only one: packets will be lost; "
            "capture less with -s, --sample or a filter"
        )
    if disk is not None and (line := _disk_warning(expected, limits, disk)):
        lines.append(line)
    return lines


def _disk_warning(expected: Estimate, limits: DiskLimits, disk: Disk) -> str | None:
    free = f"{disk.folder} has {format_size(disk.free)} free"
    if limits.min_free:
        free += f", and {format_size(limits.min_free)} must stay free"
    if disk.free <= limits.min_free:
        return f"{free}: no room for a capture; write elsewhere with -w"
    need, lasts = bytes_needed(expected, limits), seconds_until_full(expected, limits, disk)
    if need == math.inf and lasts < ATTENDED_SECONDS:
        problem, remedy = "nothing ends the capture before", "give --duration, --max-bytes, or -C and -W"
    elif disk.free - limits.min_free < need < math.inf:
        problem, remedy = f"the capture takes {format_size(need)}", "give a lower limit, or -C and -W"
    else:
        return None
    return f"{free}: enough for {format_duration(lasts * 1e9)}, and {problem}; {remedy}"
