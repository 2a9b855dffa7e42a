"""What a Tracker has met in a file -> sentences that a reader of its answers must know."""

from capture.analysis.sessions.tracker import QUESTIONS_MAX, Tracker
from capture.units import format_count


def notes_of(name: str, tracker: Tracker) -> list[str]:
    """Return what a reader of the file `name` must know: sentences, none for most files."""
    notes = []
    if count := tracker.disordered:
        stand = format_count(count, "packet stands", "packets stand")
        notes.append(f"{name}: {stand} behind younger ones, so the file is not in order of time")
    if count := tracker.no_ports:
        are = format_count(count, "packet is", "packets are")
        notes.append(f"{name}: {are} in no session: ports were cut off, or are in a fragment that is not there")
    if count := tracker.forgotten:
        were = format_count(count, "question was", "questions were")
        notes.append(f"{name}: {were} not followed: more than {QUESTIONS_MAX:,} waited for an answer at a time")
    return notes
