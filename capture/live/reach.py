"""How fast memory fills -> how far back it reaches, now and at the present rate."""

from capture.recording import RecordingSpec
from capture.stream.remembered import ChunkArrays, filled_bytes, reaches_since
from capture.units import format_duration, format_size

_SECOND = 10**9


class Reach:
    """Looks at a recorder's memory once a second."""

    def __init__(self, memory: ChunkArrays, now_ns: int) -> None:
        self._memory, self._started_ns, self._at_ns = memory, now_ns, now_ns
        self._filled = filled_bytes(memory)
        self.bytes_per_second = 0.0
        """Bytes of blocks that all CPUs remembered between the last two looks, per second."""
        self.lasts_ns: int | None = None
        """How far back the memory reaches at that rate once it is full; None: nothing was remembered."""
        self._told: bool | None = None

    def look(self, now_ns: int) -> None:
        """Measure the rate since the last look."""
        filled, seconds = filled_bytes(self._memory), max(now_ns - self._at_ns, 1) / _SECOND
        rates = (filled - self._filled) / seconds
        self._filled, self._at_ns = filled, now_ns
        self.bytes_per_second = float(rates.sum())
        fastest = float(rates.max())
        self.lasts_ns = round(self._memory.readable_bytes / fastest * _SECOND) if fastest > 0 else None

    def had_ns(self, now_ns: int) -> int:
        """Return how far back the memory reaches now."""
        return now_ns - max(self._started_ns, reaches_since(self._memory))

    def news(self, recording: RecordingSpec) -> str | None:
        """Return a sentence if it was not said yet, or has become wrong, that memory reaches back far enough."""
        enough = self.lasts_ns is None or self.lasts_ns >= recording.before_ns
        if enough == self._told:
            return None
        self._told = enough
        return self.sentence(recording)

    def sentence(self, recording: RecordingSpec) -> str:
        """Return how far memory reaches at the present rate, and what to do if that is not enough."""
        memory, asked = format_size(recording.memory_bytes), format_duration(recording.before_ns)
        if self.lasts_ns is None:
            return f"{memory} of memory; no packet matches now, so how far it reaches back is unknown"
        rate = f"{format_size(self.bytes_per_second)}/s"
        told = f"{memory} of memory reach {format_duration(self.lasts_ns)} back at the present {rate}"
        if self.lasts_ns >= recording.before_ns:
            return f"{told}; {asked} were asked"
        needed = recording.memory_bytes * recording.before_ns / self.lasts_ns
        return (
            f"{told}, and {asked} were asked: give --memory {format_size(needed).replace(' ', '')}, or keep less "
            "with --sample first:N or --headers-only"
        )
