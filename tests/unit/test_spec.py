"""What a capture is asked for: values that contradict each other are refused by name."""

import json
from typing import Any

import pytest

from capture.errors import SpecError
from capture.filters.expression import parse_expression
from capture.recording import RecordingSpec
from capture.request.spec_json import spec_as_json
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.spec import RING_NEEDS, CaptureSpec
from capture.storage import Storage
from capture.wire.direction import Direction

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE
HEADERS = Sampling(headers_only=True)


def spec(**fields: Any) -> CaptureSpec:
    return CaptureSpec(**{"interfaces": ("eth0",)} | fields)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"interfaces": ()}, "no interface given"),
    ({"recording": RecordingSpec(), "storage": Storage(file_ns=10**9, files_kept=3)}, RING_NEEDS),
    ({"recording": RecordingSpec(), "storage": Storage(file_bytes=1 << 20)}, RING_NEEDS),
    (
        {"recording": RecordingSpec(size=4 << 20), "storage": Storage(file_bytes=(2 << 20) + 1, files_kept=3)},
        "incidents-size 4.0 MiB has no room for two files of 2.0 MiB (-C)",
    ),
    ({"interfaces": ("a", "b", "a")}, "interface a is given twice"),
    ({"snaplen": 17}, "snaplen 17 is not from 18 to 262144"),
    ({"count": 0}, "count 0 is not at least 1"),
    ({"count_forward": 0}, "count-forward 0 is not at least 1"),
    ({"count_reverse": -1}, "count-reverse -1 is not at least 1"),
    ({"count_forward": 5, "direction": REVERSE}, "count-forward is never reached: only reverse packets are captured"),
    ({"count_reverse": 5, "direction": FORWARD}, "count-reverse is never reached: only forward packets are captured"),
    ({"max_bytes": 4095}, "max-bytes 4095 is less than a file without packets has (4096)"),
    ({"max_bytes": 0}, "max-bytes 0"),
    ({"duration_ns": 0}, "duration is not longer than 0"),
    ({"start_at_ns": 5, "stop_at_ns": 4}, "stop-at is not after start-at"),
    ({"start_at_ns": 5, "stop_at_ns": 5}, "stop-at is not after start-at"),
    ({"inner": True, "sampling": HEADERS}, "inner keeps whole packets; it does not combine with headers-only"),
    (
        {"inner": True, "on_pressure": (OnPressure.SAMPLE, OnPressure.TRUNCATE)},
        "headers-only or on-pressure truncate",
    ),
    ({"inner": True, "expression": parse_expression("udp")}, "inner is for rules"),
]

ACCEPTED: list[dict[str, Any]] = [
    # at the edge of what is refused above
    {"snaplen": 18, "count": 1, "count_forward": 1, "count_reverse": 1, "max_bytes": 4096, "duration_ns": 1},
    {"count_forward": 5, "direction": FORWARD},
    {"count_reverse": 5, "direction": REVERSE},
    {"start_at_ns": 5, "stop_at_ns": 6},
    {"stop_at_ns": 5},
    {"inner": True, "on_pressure": (OnPressure.SAMPLE,)},
    {"inner": True, "sampling": Sampling(samplers=(parse_sampler("flow:1/2"),))},
    {"sampling": HEADERS, "on_pressure": (OnPressure.TRUNCATE,)},
]


@pytest.mark.parametrize(("fields", "said"), REFUSED, ids=[case[1] for case in REFUSED])
def test_what_cannot_be(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        spec(**fields)
    assert said in str(refused.value)


@pytest.mark.parametrize("fields", ACCEPTED, ids=[" ".join(fields) for fields in ACCEPTED])
def test_what_can_be(fields: dict[str, Any]) -> None:
    assert spec(**fields) == spec(**fields)


def test_json_is_plain_and_has_all_that_was_asked_for() -> None:
    asked = spec(
        direction=FORWARD,
        sampling=Sampling(samplers=(parse_sampler("flow:1/10"),), seed=3),
        count_forward=7,
        max_bytes=10_000,
        start_at_ns=1,
        stop_at_ns=2,
        storage=Storage(file_bytes=5, files_kept=2),
        on_pressure=(OnPressure.TRUNCATE,),
    )
    plain = json.loads(json.dumps(spec_as_json(asked)))
    expected = {
        "direction": "forward",
        "sample": ["flow:1/10"],
        "sample_seed": 3,
        "count_forward": 7,
        "max_bytes": 10_000,
        "start_at_ns": 1,
        "stop_at_ns": 2,
        "on_pressure": ["truncate"],
    }
    assert {name: plain[name] for name in expected} == expected
    assert (plain["storage"]["file_bytes"], plain["storage"]["files_kept"]) == (5, 2)
