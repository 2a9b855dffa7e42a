"""How fast a ring fills -> what is said of how far back it reaches, and when."""

import pytest

from capture.live.ring_reach import RingReach
from capture.recording import RecordingSpec
from capture.storage import Storage

MIB, S = 1 << 20, 10**9
STORAGE = Storage(file_bytes=64 * MIB, files_kept=11)

SAID = [
    # MiB per second, before (s), the end of what is said
    (0, 30, "no packet matches now, so how far they reach back is unknown"),
    (1, 30, "11 files of 64.0 MiB reach 10m40s back at the present 1.0 MiB/s; 30.0 s were asked"),
    (64, 30, "and 30.0 s were asked: give a larger -W, or keep less with --sample first:N or --headers-only"),
    (8, 75, "and 1m15s were asked: an incident of that time has 680.0 MiB, and --incidents-size is 512.0 MiB"),
]


@pytest.mark.parametrize(("rate", "before", "said"), SAID)
def test_a_ring_says_how_far_it_reaches_at_the_present_rate(rate: int, before: int, said: str) -> None:
    recording = RecordingSpec(before_ns=before * S, after_ns=10 * S, size=512 * MIB)
    reach = RingReach(STORAGE, 5 * S)
    reach.look(7 * S, 2 * rate * MIB)
    assert reach.sentence(recording).endswith(said)


def test_files_that_end_by_time_reach_less_far() -> None:
    reach = RingReach(Storage(file_bytes=64 * MIB, file_ns=2 * S, files_kept=11), 0)
    reach.look(S, MIB)
    assert reach.lasts_ns == 20 * S


def test_it_is_said_once_and_again_when_it_becomes_wrong() -> None:
    recording, reach = RecordingSpec(before_ns=30 * S), RingReach(STORAGE, 0)
    told, written = [], 0
    for second, rate in enumerate((1, 1, 64, 64, 1), start=1):
        written += rate * MIB
        reach.look(second * S, written)
        told.append(reach.news(recording) is not None)
    assert told == [True, False, True, False, True]
