"""How fast a ring of files fills -> how far back it reaches, and whether an incident has room for what was asked."""

from capture.recording import RecordingSpec
from capture.storage import Storage
from capture.units import format_count, format_duration, format_size

_SECOND = 10**9


class RingReach:
    """Looks once a second at how much has been written."""

    def __init__(self, storage: Storage, now_ns: int, written: int = 0) -> None:
        self._storage, self._at_ns, self._written = storage, now_ns, written
        self.bytes_per_second = 0.0
        """Bytes that were written between the last two looks, per second."""
        self._told: bool | None = None

    def look(self, now_ns: int, written: int) -> None:
        """Measure the rate since the last look; `written` bytes are in all files so far."""
        seconds = max(now_ns - self._at_ns, 1) / _SECOND
        self.bytes_per_second = (written - self._written) / seconds
        self._at_ns, self._written = now_ns, written

    @property
    def lasts_ns(self) -> int | None:
        """How far the ring reaches back at that rate once it is full; None: nothing is written."""
        storage = self._storage
        assert storage.file_bytes is not None
        assert storage.files_kept is not None
        if self.bytes_per_second <= 0:
            return None
        each = storage.file_bytes / self.bytes_per_second * _SECOND
        each = min(each, storage.file_ns or each)
        return round(max(storage.files_kept - 1, 1) * each)

    def news(self, recording: RecordingSpec) -> str | None:
        """Return a sentence if it was not said yet, or has become wrong, that the ring is as large as it must be."""
        enough = self._short_of(recording) == ""
        if enough == self._told:
            return None
        self._told = enough
        return self.sentence(recording)

    def _short_of(self, recording: RecordingSpec) -> str:
        """Return what is too small, and a remedy; "" if nothing is."""
        if self.lasts_ns is None:
            return ""
        if self.lasts_ns < recording.before_ns:
            return "give a larger -W, or keep less with --sample first:N or --headers-only"
        needed = self.bytes_per_second * (recording.before_ns + recording.after_ns) / _SECOND
        if needed > recording.size:
            size = format_size(recording.size)
            return f"an incident of that time has {format_size(needed)}, and --incidents-size is {size}"
        return ""

    def sentence(self, recording: RecordingSpec) -> str:
        """Return how far the ring reaches at the present rate, and what to do if that is not enough."""
        assert self._storage.file_bytes is not None
        assert self._storage.files_kept is not None
        files = format_count(self._storage.files_kept, "file")
        ring, asked = f"{files} of {format_size(self._storage.file_bytes)}", format_duration(recording.before_ns)
        if self.lasts_ns is None:
            return f"{ring}; no packet matches now, so how far they reach back is unknown"
        rate = f"{format_size(self.bytes_per_second)}/s"
        told = f"{ring} reach {format_duration(self.lasts_ns)} back at the present {rate}"
        short = self._short_of(recording)
        return f"{told}, and {asked} were asked: {short}" if short else f"{told}; {asked} were asked"
