"""Parts of a capture -> its status, and what is left of its limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capture.agent.state import CaptureRecord, PartRecord, end_reason, folded, remaining, status_of
from capture.cluster.objects import FileEntry
from capture.cluster.recorder_objects import NodeRecorder
from capture.request.document import Document, LimitsPart

BEGAN = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def account(forward: int, reverse: int, lost: int = 0) -> dict[str, Any]:
    ways = {
        "forward": {"written": forward, "written_bytes": forward * 100},
        "reverse": {"written": reverse, "written_bytes": reverse * 100},
    }
    written = forward + reverse
    sums = {"seen": written + lost + 1, "unmatched": 1, "matched": written + lost, "written": written, "lost": lost}
    return sums | ways | {"sampled_out": 0, "over_limit": 0, "lost_by": {"ring_full": lost}}


def part(number: int, **given: Any) -> PartRecord:
    begin = BEGAN + timedelta(seconds=20 * number)
    defaults = {"began": begin, "ended": begin + timedelta(seconds=10), "reason": "AgentRestart"}
    return PartRecord(f"c-n1-{number}.pcapng", **(defaults | given))


PARTS = [
    part(0, account=account(3, 2, lost=1), files=[FileEntry("c-n1.pcapng", 5000)]),
    part(1, unaccounted=7, files=[FileEntry("c-n1-2.pcapng", 3000)]),
    part(2, ended=None),
]


def test_accounts_of_all_parts_add_up_and_a_killed_part_is_unaccounted() -> None:
    status = status_of(CaptureRecord("u", parts=PARTS), 4, account(10, 20), ["shop/web-0:eth0"], None)
    assert (status.phase, status.observed_generation) == ("Capturing", 4)
    assert (status.forward.packets, status.reverse.packets, status.unaccounted) == (13, 22, 7)
    assert status.packets == 13 + 22 + 7
    assert (status.seen, status.unmatched, status.matched, status.lost) == (38, 2, 36, 1)
    assert status.lost_by == {"ring_full": 1}
    assert status.file_count == 2


def test_the_times_between_parts_are_interruptions() -> None:
    gaps = CaptureRecord("u", parts=PARTS).interruptions()
    assert [(gap.begin - BEGAN, gap.end - BEGAN) for gap in gaps if gap.end] == [
        (timedelta(seconds=10), timedelta(seconds=20)),
        (timedelta(seconds=30), timedelta(seconds=40)),
    ]


def test_an_interruption_that_lasts_has_no_end() -> None:
    (gap,) = CaptureRecord("u", parts=PARTS[:1]).interruptions()
    assert gap.end is None
    assert CaptureRecord("u", parts=PARTS[:1], ended=True).interruptions() == []


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"packets": 100}, {"packets": 88}),
        ({"packets": 12}, None),
        ({"forward_packets": 4}, {"forward_packets": 1}),
        ({"forward_packets": 3}, None),
        ({"bytes": "20k"}, {"bytes": 12000}),
        ({"bytes": "9k"}, None),
        ({"duration": "1m"}, {"duration": "15.000s"}),
        ({"duration": "45s"}, None),
    ],
    ids=str,
)
def test_the_next_part_has_what_is_left_of_the_limits(limits: Any, left: Any) -> None:
    record = CaptureRecord("u", parts=PARTS[:2])
    found = remaining(Document(limits=LimitsPart(**limits)), record, BEGAN + timedelta(seconds=45))
    assert (None if found is None else found.limits) == (None if left is None else LimitsPart(**left))


def test_without_limits_nothing_is_ever_used_up() -> None:
    assert remaining(Document(), CaptureRecord("u", parts=PARTS), BEGAN) == Document()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("count reached", "LimitPackets"),
        ("count of reverse packets reached", "LimitPackets"),
        ("size reached", "LimitBytes"),
        ("duration reached", "Duration"),
        ("1.0 GiB are free on its disk, and 10% must stay free (--min-free)", "DiskFull"),
        ("interface eth0 was deleted", "Ended"),
    ],
)
def test_the_reason_of_an_end_is_one_word(text: str, word: str) -> None:
    assert end_reason(text) == word


def test_the_account_of_a_recorder_has_what_it_remembers() -> None:
    part = PartRecord("c-n1.pcapng", began=BEGAN, recorder=True)
    progress = account(0, 0) | {"matched": 40, "remembered": 30, "sampled_out": 10}
    record = CaptureRecord("u", parts=[part])

    def recorder(remembered: int) -> NodeRecorder:
        return NodeRecorder(remembered=remembered, memory="64 MiB reach 5 s back", incident_count=2)

    status = status_of(record, 1, progress, ["shop/web-0:eth0"], None, recorder)
    assert status.recorder is not None
    assert status.matched == status.packets + status.sampled_out + status.lost + status.recorder.remembered == 40
    assert (status.phase, status.reason, status.message) == (
        "Capturing", "Recording", "on shop/web-0:eth0; 64 MiB reach 5 s back",
    )  # fmt: skip
    record.ended, record.message = True, "stopped"
    assert status_of(record, 1, None, None, None, recorder).message == "stopped, 2 incidents"


def test_the_oldest_parts_of_a_recorder_become_one_and_sums_stay() -> None:
    parts = [part(number, recorder=True, account=account(number, 1)) for number in range(30)]
    found = folded(parts, 20)
    assert len(found) == 20
    assert found[1:] == parts[11:]
    assert (found[0].began, found[0].ended) == (parts[0].began, parts[10].ended)

    def seen(some: list[PartRecord]) -> tuple[int, int]:
        status = status_of(CaptureRecord("u", parts=some), 1, None, None, None)
        return status.seen, status.forward.packets

    assert seen(found) == seen(parts)
    assert folded(parts[:3], 20) == parts[:3]
