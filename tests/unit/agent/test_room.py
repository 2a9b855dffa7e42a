"""Captures and recorders that run on a node -> why another one has no room, and when a status is written again."""

from dataclasses import dataclass
from typing import Any, cast

import pytest

from capture.agent.agent import (
    FIRED_STATUS_SECONDS,
    RECORDER_STATUS_SECONDS,
    STATUS_SECONDS,
    Room,
    status_pause,
)
from capture.agent.node_capture import CaptureHere

MIB = 1 << 20


@dataclass(frozen=True)
class AskedMemory:
    """What a capture or a recorder asks for."""

    ring_bytes: int = 0
    memory_bytes: int = 0


CAPTURE, RECORDER = AskedMemory(ring_bytes=64 * MIB), AskedMemory(memory_bytes=256 * MIB)
ROOM = Room(4, 128 * MIB, 512 * MIB)
CASES = [
    ([], CAPTURE, None),
    ([CAPTURE], CAPTURE, None),
    (
        [CAPTURE] * 2,
        CAPTURE,
        "rings of running captures have 128.0 MiB, this one asks for 64.0 MiB, and 128.0",
    ),
    ([CAPTURE] * 2, RECORDER, None),
    ([RECORDER], RECORDER, None),
    ([RECORDER] * 2, RECORDER, "running recorders have 512.0 MiB, this one asks for 256.0 MiB, and 512.0"),
    ([RECORDER] * 2, CAPTURE, None),
    ([], AskedMemory(memory_bytes=1 << 40), "running recorders have 0 B, this one asks for 1.0 TiB"),
    ([RECORDER, RECORDER, CAPTURE, CAPTURE], CAPTURE, "4 captures run on this node, which is the most"),
]


@pytest.mark.parametrize(("others", "more", "said"), CASES, ids=str)
def test_rings_and_memories_have_bounds_of_their_own(
    others: list[AskedMemory], more: AskedMemory, said: str | None
) -> None:
    found = ROOM.refusal(cast(list[CaptureHere], others), cast(CaptureHere, more))
    assert found is None if said is None else str(found).startswith(said), found


def recorder(**given: Any) -> dict[str, Any]:
    return {"recorder": {"firings": [], "incidents": [], "remembered": 0} | given}


PAUSES = [
    ({}, {}, STATUS_SECONDS),
    ({"packets": 1}, {"packets": 2}, STATUS_SECONDS),
    (recorder(), recorder(remembered=9), RECORDER_STATUS_SECONDS),
    (recorder(), recorder(incidents=["i"]), STATUS_SECONDS),
    (recorder(), recorder(firings=["f"]), FIRED_STATUS_SECONDS),
    (recorder(firings=["f"]), recorder(), RECORDER_STATUS_SECONDS),
]


@pytest.mark.parametrize(("written", "status", "seconds"), PAUSES, ids=str)
def test_a_firing_is_told_at_once_and_numbers_of_a_recorder_seldom(
    written: dict[str, Any], status: dict[str, Any], seconds: float
) -> None:
    assert status_pause(written, status) == seconds
