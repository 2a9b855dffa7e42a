"""Packets in, rules that fire out: what fires, when, for whom, and what stays quiet."""

from collections.abc import Sequence

import pytest

from capture.analysis.packets.reading import Batch
from capture.errors import SpecError
from capture.live.trigger_rules import parse_rule
from capture.live.watcher import Fired, Watcher
from testbed import packets
from tests.unit.analysis.scripted_packets import HANDSHAKE, SA, A, F, Frame, R, S, decoded, segment


def fired(rule: str, frames: Sequence[Frame], batch: int = 1000) -> list[Fired]:
    watcher = Watcher([parse_rule(rule)])
    found: list[Fired] = []
    for start in range(0, len(frames), batch):
        found += watcher.feed(Batch(*decoded(frames[start : start + batch], start + 1)))
    return found + list(watcher.finish())


def moments(rule: str, frames: Sequence[Frame]) -> list[float]:
    """Times at which the rule fires, ms, however the packets are cut into batches."""
    whole, single = fired(rule, frames), fired(rule, frames, 1)
    assert whole == single
    return [one.at_ns / 1e6 - 1000 for one in whole]


def dns(ms: float, number: int, answer: bool = False, code: int = 0) -> Frame:
    header = number.to_bytes(2, "big") + (bytes([0x81, 0x80 | code]) if answer else b"\1\0") + b"\0\1\0\0\0\0\0\0"
    ends = (("10.0.0.2", 53), ("10.0.0.1", 4000)) if answer else (("10.0.0.1", 4000), ("10.0.0.2", 53))
    return ms, packets.udp(*ends[0], *ends[1], header + b"\3web\4shop\0\0\1\0\1")


def refused(ms: float, port: int) -> list[Frame]:
    ports = (port, 80)
    return [segment(ms, "client", S, ports=ports), segment(ms + 1, "server", R | A, 0, 1, ports=ports)]


def data(count: int, ms: float = 20, again: int = 0) -> list[Frame]:
    """Segments of 100 bytes from the client, one a millisecond; `again` of them are sent again later."""
    first = [segment(ms + n, "client", A, 1 + 100 * n, 1, 100, identification=n + 1) for n in range(count)]
    after = ms + count + 300
    return first + [
        segment(after + n, "client", A, 1 + 100 * n, 1, 100, identification=1000 + n) for n in range(again)
    ]


ANSWER_500 = (30, packets.tcp("10.0.0.2", 80, "10.0.0.1", 40_000, A,
                              b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
                              sequence=5001, acknowledgment=1001 + 18))  # fmt: skip
REQUEST = (20, packets.tcp("10.0.0.1", 40_000, "10.0.0.2", 80, A, b"GET / HTTP/1.1\r\n\r\n", sequence=1001,
                           acknowledgment=5001))  # fmt: skip
ZERO = [segment(40, "server", A, 1, 101, window=0)]
SYNS = [segment(ms, "client", S, identification=number) for number, ms in enumerate((0, 1000, 3000), start=1)]


def asked(number: int, ms: float, wait_ms: float) -> list[Frame]:
    """The n-th request of a connection, answered after a time: sixteen bytes each way."""
    request = packets.tcp("10.0.0.1", 40_000, "10.0.0.2", 80, A, b"GET / HTTP/1.1\r\n", sequence=1001 + 16 * number,
                          acknowledgment=5001 + 16 * number)  # fmt: skip
    answer = packets.tcp("10.0.0.2", 80, "10.0.0.1", 40_000, A, b"HTTP/1.1 200 OK\r", sequence=5001 + 16 * number,
                         acknowledgment=1001 + 16 * (number + 1))  # fmt: skip
    return [(ms, request), (ms + wait_ms, answer)]


ORDINARY = [frame for n in range(150) for frame in asked(n, 100 + 100 * n, 5 if n % 10 else 90)]
"""Answers after 5 ms, each tenth after 90 ms, for 15 s."""
SLOW = [frame for n in range(150, 260) for frame in asked(n, 100 + 100 * n, 30)]

FIRES = [
    # rule, packets, times at which it fires (ms)
    ("handshake=refused", refused(0, 4000), [1]),
    ("handshake=unanswered", SYNS, [1000]),
    ("syns>=3", SYNS, [3000]),
    ("rst>0", [*HANDSHAKE, segment(50, "client", R, 1)], [50]),
    ("zero_windows>=1", [*HANDSHAKE, *data(1), *ZERO], [40]),
    ("retransmitted>=3", [*HANDSHAKE, *data(10, again=3)], [332]),
    ("server_handshake_ns>5ms", HANDSHAKE, [13]),  # a look is at all packets of 20 ms
    ("http_5xx>0", [*HANDSHAKE, REQUEST, ANSWER_500], [30]),
    ("dns=failed", [dns(0, 1), dns(2, 1, answer=True, code=3)], [2]),
    ("dns=failed", [dns(0, 1), (3000, packets.udp("10.0.0.9", 1, "10.0.0.8", 2))], [0]),
    ("icmp-error", [(0, packets.udp("10.0.0.1", 5, "10.0.0.2", 6)),
                    (4, packets.icmp_error("10.0.0.2", packets.udp("10.0.0.1", 5, "10.0.0.2", 6)))], [4]),
    ("finding=failed-handshake", refused(0, 4000), [1]),
    ("finding=zero-window", [*HANDSHAKE, *data(1), *ZERO], [40]),
    ("handshake=refused 3 times in 1s per server", [*refused(0, 4000), *refused(300, 4001), *refused(600, 4002)],
     [601]),
    ("retransmitted>=4 in 10s", [*HANDSHAKE, *data(10, again=4)], [333]),
    ("retransmitted_percent>=10", [*HANDSHAKE, *data(30, again=10)], [359]),
    # Nine slow answers and the two that are always slow are more than half of those of two seconds.
    ("first_byte>3x in 2s", [*HANDSHAKE, *ORDINARY, *SLOW], [15_930]),
    ("first_byte>3x in 2s per pod", [*HANDSHAKE, *ORDINARY, *SLOW], [15_930]),
    ("rate(packets)>40", [(ms, packets.udp("10.0.0.1", 5, "10.0.0.2", 6)) for ms in range(0, 2000, 20)], [1000]),
    ("rate(packets)>3x in 100ms", [(ms, packets.udp("10.0.0.1", 5, "10.0.0.2", 6))
                                   for ms in (*range(0, 6000, 20), *range(6000, 6300, 2))], [6100]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "frames", "expected"), FIRES, ids=[case[0] for case in FIRES])
def test_a_rule_fires_when_it_becomes_true(rule: str, frames: Sequence[Frame], expected: list[float]) -> None:
    found = moments(rule, frames)
    assert [round(ms, -2 if rule.startswith("rate") else 3) for ms in found] == expected


ORDINARY = [*HANDSHAKE, *data(30), segment(90, "server", A, 1, 3001, 500),
            segment(100, "client", F, 3001, 501), segment(101, "server", F, 501, 3002),
            segment(102, "client", A, 3002, 502)]  # fmt: skip
QUIET = [
    ("first_byte>3x in 2s", [*HANDSHAKE, *ORDINARY]),
    ("first_byte>8x in 2s", [*HANDSHAKE, *ORDINARY, *SLOW]),
    ("retransmitted_percent>=50", [*HANDSHAKE, *data(30, again=10)]),
    ("retransmitted_percent>=10", [*HANDSHAKE, *data(5, again=5)]),
    ("handshake=refused", ORDINARY),
    ("handshake=unanswered", [*SYNS[:1], segment(1.5, "server", SA, 0, 1), *ORDINARY[2:]]),
    ("syns>=3", ORDINARY),
    ("rst>0", ORDINARY),
    ("zero_windows>=1", ORDINARY),
    ("retransmitted>=1", ORDINARY),
    ("http_5xx>0", ORDINARY),
    ("dns=failed", [dns(0, 1), dns(2, 1, answer=True), *ORDINARY[3:]]),
    ("finding=failed-handshake", ORDINARY),
    ("finding=retransmissions", ORDINARY),
    ("handshake=refused 3 times in 1s per server", [*refused(0, 4000), *refused(900, 4001), *refused(1800, 4002)]),
    ("retransmitted>=4 in 10s", [*HANDSHAKE, *data(10, again=3)]),
    ("rate(packets)>60", [(ms, packets.udp("10.0.0.1", 5, "10.0.0.2", 6)) for ms in range(0, 2000, 20)]),
    ("rate(packets)>3x", [(ms, packets.udp("10.0.0.1", 5, "10.0.0.2", 6)) for ms in range(0, 20_000, 20)]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "frames"), QUIET, ids=[case[0] for case in QUIET])
def test_a_rule_is_quiet_while_it_is_not_true(rule: str, frames: Sequence[Frame]) -> None:
    assert moments(rule, frames) == []


def test_a_rule_fires_once_for_each_session_and_says_which() -> None:
    found = fired("handshake=refused", [*refused(0, 4000), *refused(500, 4001), *refused(600, 4002)])
    assert [one.session for one in found] == [
        f"tcp 10.0.0.1:{port} > 10.0.0.2:80" for port in (4000, 4001, 4002)
    ]  # fmt: skip
    assert [one.value for one in found] == ["refused"] * 3


def test_a_count_over_a_time_fires_again_only_after_it_was_false() -> None:
    every = [frame for n in range(8) for frame in refused(200 * n, 4000 + n)]
    later = [frame for n in range(3) for frame in refused(20_000 + 200 * n, 5000 + n)]
    rule = "handshake=refused 3 times in 1s"
    assert moments(rule, [*every, *later]) == [401, 20_401]


YEAR_MS = 365 * 86_400_000
STEPS = [YEAR_MS, -500, -YEAR_MS // 365]
"""Steps of the clock between packets, ms."""


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_clock_neither_fires_a_rate_nor_keeps_rules_from_firing_after_it(step: int) -> None:
    start = 2 * YEAR_MS
    steady = [(start + ms, packets.udp("10.0.0.1", 5, "10.0.0.2", 6)) for ms in range(0, 8000, 20)]
    later = [(start + step + ms, frame) for ms, frame in refused(9000, 4000)]
    after = [(start + step + ms, packets.udp("10.0.0.1", 5, "10.0.0.2", 6)) for ms in range(9100, 12_000, 20)]
    frames = [*steady, *later, *after]
    # A file is on one clock, so a batch ends where the clock steps back.
    assert fired("rate(packets)>60", frames, len(steady)) == []
    (one,) = fired("handshake=refused", frames, len(steady))
    assert one.at_ns == (later[-1][0] + 1000) * 1_000_000


WRONG = [
    ("retransmited>=5", "there is no column retransmited; do you mean retransmitted?"),
    ("handshake=unanswered per host", "per host is not known"),
    ("syns>=3 in 10s per sever", "per sever is not known; do you mean server?"),
    ("finding=mtu-blackhole", "there is no finding mtu-blackhole; do you mean mtu-black-hole?"),
    ("first_bite>3x", "first_bite has no usual median; do you mean first_byte?"),
    ("rate(packet)>5", "there is no rate of packet; do you mean packets?"),
    ("rate(packets)>5furlongs", "'furlongs' is no unit of a rate"),
    ("rate(packets)=5", "is not understood; write rate(packets)>200k"),
    ("dns=fail", "there is no column dns"),
    ("icmp-errors", "'icmp-errors' is no condition; do you mean icmp-error?"),
    ("handshake=refused in 10s", "that is no count; write handshake=refused 3 times in 10s"),
    ("syns>=3 per server", "per needs a time; write syns>=3 in 10s per server"),
    ("handshake=refused 3 times", "times needs a time"),
    ("lost>0 in 10s", "in is for conditions of sessions and for rates"),
    ("syns>=3 in soon", "in 'soon' is not understood"),
    ("", "write COLUMN=VALUE"),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_rule_is_refused_with_the_word_and_the_nearest_known_one(text: str, said: str) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_rule(text)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("--trigger ")
