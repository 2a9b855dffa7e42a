"""Options of a recorder (--before 30s, --memory 1GiB) -> frozen, valid values; the machine is not read."""

from dataclasses import dataclass

from capture.errors import SpecError
from capture.units import format_size

_SECOND = 10**9
BEFORE_DEFAULT_NS, AFTER_DEFAULT_NS, COOLDOWN_DEFAULT_NS = 30 * _SECOND, 10 * _SECOND, 60 * _SECOND
MEMORY_DEFAULT = 256 << 20
KEPT_DEFAULT = 100
SIZE_DEFAULT = 4 << 30
MEMORY_LEAST = 4 << 20
"""Bytes of memory that is worth a recorder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSpec:
    """What a recorder keeps, and the bounds of the incidents that it writes into `folder`. Sizes are bytes.

    An incident has the packets from `before_ns` before a trigger to `after_ns` after it. After its end no other
    begins for `cooldown_ns`. Of all incidents in the folder, the oldest are removed while there are more than `kept`,
    or more than `size` bytes, or where they are older than `age_ns` (None: no limit).
    """

    before_ns: int = BEFORE_DEFAULT_NS
    after_ns: int = AFTER_DEFAULT_NS
    memory_bytes: int = MEMORY_DEFAULT
    folder: str | None = None
    cooldown_ns: int = COOLDOWN_DEFAULT_NS
    kept: int = KEPT_DEFAULT
    size: int = SIZE_DEFAULT
    age_ns: int | None = None
    triggers: tuple[str, ...] = ()
    """Texts of rules (capture.live.trigger_rules)."""

    def __post_init__(self) -> None:
        if self.before_ns <= 0:
            raise SpecError("before is not longer than 0")
        if self.memory_bytes < MEMORY_LEAST:
            raise SpecError(f"memory {format_size(self.memory_bytes)} is less than {format_size(MEMORY_LEAST)}")
        if self.kept < 1:
            raise SpecError(f"max-incidents {self.kept} is not at least 1")
        if self.size < MEMORY_LEAST:
            raise SpecError(f"incidents-size {format_size(self.size)} is less than {format_size(MEMORY_LEAST)}")
