"""The live stream of several nodes: in order, held up by nobody, and what is left out is said."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.kubectl.live_order import PATIENCE_SECONDS, LiveOrder
from capture.pcapng.joined_section import JoinedSection
from tests.unit.pcapng.test_joining import packet, packets_of, section


class ReadStream:
    """A live stream as its reader sees it."""

    def __init__(self, **settings: int) -> None:
        self.order = LiveOrder(JoinedSection(section()), **settings)
        self.out = b""
        self.now = 0.0
        self.reports: list[str] = []

    def hear(self, node: str, kind: str, payload: bytes = b"", **said: Any) -> None:
        self.order.add({"node": node, "kind": kind, **said}, payload, self.now)

    def begin(self, node: str) -> None:
        self.hear(node, "blocks", section(f"shop/{node}:eth0"))

    def packet(self, node: str, ns: int, content: bytes = b"data") -> None:
        self.hear(node, "blocks", packet(0, ns, content))

    def watermark(self, node: str, ns: int) -> None:
        self.hear(node, "watermark", ns=ns)

    def times(self) -> list[int]:
        self._take(self.order.ready(self.now))
        return [ns for _, ns, _ in packets_of(self.out)]

    def finish(self) -> list[int]:
        self._take(self.order.rest())
        return [ns for _, ns, _ in packets_of(self.out)]

    def _take(self, found: Iterator[bytes]) -> None:
        self.out += b"".join(found)
        self.reports += self.order.reports()


def two_nodes(**settings: int) -> ReadStream:
    stream = ReadStream(**settings)
    for node in ("n1", "n2"):
        stream.begin(node)
    return stream


def test_a_packet_is_given_out_when_every_node_has_sent_what_is_before_it() -> None:
    stream = two_nodes()
    stream.packet("n1", 10)
    stream.watermark("n1", 50)
    assert stream.times() == []
    stream.packet("n2", 5)
    stream.watermark("n2", 8)
    assert stream.times() == [5]
    stream.watermark("n2", 50)
    assert stream.times() == [5, 10]


def test_a_node_without_packets_holds_nothing_up() -> None:
    stream = two_nodes()
    for ns in range(0, 100, 10):
        stream.packet("n1", ns)
        stream.watermark("n1", ns + 1)
        stream.watermark("n2", ns + 1)
    assert stream.times() == [*range(0, 100, 10)]


def test_the_uncertainty_of_the_clocks_is_waited_for() -> None:
    stream = two_nodes()
    stream.hear("n2", "clock", offsetNs=3, uncertaintyNs=40, synchronized=True)
    stream.packet("n1", 10)
    for node in ("n1", "n2"):
        stream.watermark(node, 50)
    assert stream.times() == []
    for node in ("n1", "n2"):
        stream.watermark(node, 51)
    assert stream.times() == [10]


def test_a_silent_node_is_named_and_left_out_until_it_is_heard_again() -> None:
    stream = two_nodes()
    stream.watermark("n2", 1)
    stream.now = PATIENCE_SECONDS + 1
    stream.packet("n1", 10)
    stream.packet("n1", 30)
    stream.watermark("n1", 100)
    assert stream.times() == [10, 30]
    assert any(report.startswith("n2 is silent for 3 s") for report in stream.reports)
    stream.packet("n2", 20)
    stream.packet("n2", 40)
    stream.watermark("n2", 100)
    assert stream.times() == [10, 30, 40]
    assert stream.reports[-2:] == ["n2 is heard again", "1 packet of n2 came too late, and were left out"]
    assert stream.order.packets == 3


def test_a_node_that_has_not_begun_is_not_named_and_joins_when_it_begins() -> None:
    stream = ReadStream()
    stream.hear("n1", "gone", reason="the capture does not run on this node")
    stream.begin("n2")
    stream.packet("n2", 5)
    stream.watermark("n2", 6)
    assert stream.times() == [5]
    stream.begin("n1")
    stream.packet("n2", 20)
    stream.watermark("n2", 30)
    assert stream.times() == [5]
    stream.packet("n1", 10)
    stream.watermark("n1", 30)
    assert stream.times() == [5, 10, 20]
    assert stream.reports == []


def test_a_node_that_is_gone_is_named_and_what_it_has_sent_is_kept() -> None:
    stream = two_nodes()
    stream.watermark("n2", 1)
    stream.packet("n2", 7)
    stream.hear("n2", "gone", reason="its agent does not answer")
    stream.packet("n1", 10)
    stream.watermark("n1", 11)
    assert stream.times() == [7, 10]
    assert stream.reports == ["n2 is left out: its agent does not answer"]
    assert not stream.order.over


def test_what_was_left_out_under_pressure_is_said_and_stands_in_the_file() -> None:
    stream = two_nodes()
    stream.hear("n1", "lost", packets=3)
    stream.hear("n1", "lost", packets=3)
    stream.hear("n1", "lost", packets=5)
    stream.times()
    assert stream.reports == [f"{count} packets of n1 left out under pressure" for count in (3, 2)]
    stream.finish()
    assert b"live stream: 5 packets left out under pressure" in stream.out


def test_the_stream_is_over_when_every_node_has_ended() -> None:
    stream = two_nodes()
    assert not stream.order.over
    stream.packet("n1", 5)
    for node in ("n1", "n2"):
        stream.hear(node, "ended", reason="Duration")
    assert stream.order.over
    assert stream.times() == [5]
    assert stream.reports == []


def test_a_node_that_holds_up_too_much_is_left_out() -> None:
    stream = two_nodes(held_max=1000)
    stream.watermark("n2", 1)
    stream.hear("n1", "blocks", packet(0, 10, bytes(1000)))
    stream.watermark("n1", 20)
    assert stream.times() == [10]
    assert stream.reports == ["n2 is too far behind; the others go on without it"]


def test_a_stream_that_begins_again_describes_its_interfaces_again() -> None:
    stream = two_nodes()
    stream.packet("n1", 1)
    stream.begin("n1")
    stream.packet("n1", 2)
    for node in ("n1", "n2"):
        stream.watermark(node, 10)
    assert stream.times() == [1, 2]


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, str, int]]:
    """What nodes send, in the order in which it arrives: each keeps its own order and its own word."""
    clocks = {f"n{number}": 0 for number in range(draw(st.integers(1, 3)))}
    story = []
    for _ in range(draw(st.integers(0, 60))):
        node = draw(st.sampled_from(sorted(clocks)))
        clocks[node] += draw(st.integers(0, 5))
        story.append((node, draw(st.sampled_from(["packet", "watermark", "take", "silence"])), clocks[node]))
    return story


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(stories())
def test_the_output_is_in_order_and_every_packet_is_given_out_or_counted(story: list[tuple[str, str, int]]) -> None:
    stream, sent = ReadStream(), Counter[str]()
    for node in sorted({node for node, _, _ in story}):
        stream.begin(node)
    for node, what, ns in story:
        if what == "packet":
            sent[node] += 1
            stream.packet(node, ns)
        elif what == "watermark":
            stream.watermark(node, ns)
        elif what == "silence":
            stream.now += PATIENCE_SECONDS / 2
        else:
            stream.times()
    times = stream.finish()
    assert times == sorted(times)
    late = {name: node.late for name, node in stream.order.nodes.items()}
    assert len(times) + sum(late.values()) == sent.total() == stream.order.packets + sum(late.values())


@settings(max_examples=30, deadline=None)
@given(stories())
def test_nothing_is_late_while_all_nodes_are_heard(story: list[tuple[str, str, int]]) -> None:
    stream = ReadStream()
    for node in sorted({node for node, _, _ in story}):
        stream.begin(node)
    for node, what, ns in story:
        if what == "packet":
            stream.packet(node, ns)
        elif what == "watermark":
            stream.watermark(node, ns)
        elif what == "take":
            stream.times()
    stream.finish()
    assert all(node.late == 0 for node in stream.order.nodes.values())
