"""Segments and acknowledgments, in any order -> the stream that was sent, with gaps for exactly the rest."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.streams import reassembly as module
from capture.analysis.streams.reassembly import Gap, Missing, Part, Said, Stream

CIRCLE = 1 << 32


@dataclass(frozen=True)
class StreamPiece:
    """Bytes from `at` on; `captured` of them are in the file."""

    at: int
    data: bytes
    captured: int | None = None
    fin: bool = False


@dataclass(frozen=True)
class Ack:
    """The other side has everything before `at`."""

    at: int


def feed(stream: Stream, events: Iterable[StreamPiece | Ack], begin: int = 1000) -> list[Part]:
    """Return the parts of a stream; positions of the events are relative to `begin`."""
    stream.begin(begin, True)
    parts: list[Part] = []
    for number, event in enumerate(events, start=1):
        sequence = (begin + event.at) % CIRCLE
        if isinstance(event, Ack):
            parts += stream.acknowledge(sequence, 0, number)
        else:
            data = event.data[: event.captured]
            parts += stream.segment(sequence, len(event.data), data, event.fin, 0, number)
    return [*parts, *stream.finish()]


def shown(parts: Iterable[Part]) -> list[tuple[int, Any]]:
    return [(part.offset, part.data if isinstance(part, Said) else (part.size, part.why)) for part in parts]


CASES = {
    "in order": ([StreamPiece(0, b"ab"), StreamPiece(2, b"cd")], [(0, b"ab"), (2, b"cd")]),
    "out of order": ([StreamPiece(2, b"cd"), StreamPiece(0, b"ab")], [(0, b"ab"), (2, b"cd")]),
    "twice": ([StreamPiece(0, b"ab"), StreamPiece(0, b"ab"), StreamPiece(2, b"c")], [(0, b"ab"), (2, b"c")]),
    "the first copy counts": ([StreamPiece(0, b"ab"), StreamPiece(1, b"XYZ")], [(0, b"ab"), (2, b"YZ")]),
    "the first copy counts while it waits": (
        [StreamPiece(2, b"cd"), StreamPiece(0, b"wxyz!")],
        [(0, b"wx"), (2, b"cd"), (4, b"!")],
    ),
    "a keep-alive probe of one byte adds nothing": (
        [StreamPiece(0, b"ab"), StreamPiece(1, b"\0"), StreamPiece(2, b"c")],
        [(0, b"ab"), (2, b"c")],
    ),
    "bytes that are acknowledged and not in the file were not captured": (
        [StreamPiece(0, b"ab"), StreamPiece(5, b"fg"), Ack(7), StreamPiece(7, b"h")],
        [(0, b"ab"), (2, (3, Missing.NOT_CAPTURED)), (5, b"fg"), (7, b"h")],
    ),
    "an acknowledgment of known bytes changes nothing": ([StreamPiece(0, b"ab"), Ack(2)], [(0, b"ab")]),
    "bytes neither acknowledged nor sent again were lost": (
        [StreamPiece(0, b"ab"), StreamPiece(5, b"fg")],
        [(0, b"ab"), (2, (3, Missing.LOST)), (5, b"fg")],
    ),
    "cut by the snap length": (
        [StreamPiece(0, b"abcd", captured=1), StreamPiece(4, b"e")],
        [(0, b"a"), (1, (3, Missing.CUT)), (4, b"e")],
    ),
    "lost before the FIN": ([StreamPiece(2, b"", fin=True)], [(0, (2, Missing.LOST))]),
    "acknowledging the FIN acknowledges no byte": ([StreamPiece(0, b"ab", fin=True), Ack(3)], [(0, b"ab")]),
    "too far away": (
        [StreamPiece(0, b"ab"), StreamPiece((1 << 30) + 2, b"x"), Ack(1 << 31), StreamPiece(2, b"c")],
        [(0, b"ab"), (2, b"c")],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("begin", [1000, CIRCLE - 3], ids=["", "wraps"])
def test_segments_become_parts(case: str, begin: int) -> None:
    events, expected = CASES[case]
    assert shown(feed(Stream(0), events, begin)) == expected


def test_counts_have_the_fate_of_each_byte() -> None:
    stream = Stream(1)
    feed(
        stream,
        [
            StreamPiece(0, b"abcd"),
            StreamPiece(2, b"cdef"),
            StreamPiece(8, b"i"),
            Ack(8),
            StreamPiece(6, b"ghi", fin=True),
            Ack(10),
        ],
    )
    assert (stream.said, stream.missing) == (7, {Missing.NOT_CAPTURED: 2})
    assert (stream.repeated, stream.late, stream.acknowledged) == (3, 2, 9)
    assert (stream.from_start, stream.finished) == (True, True)


@st.composite
def segments(draw: st.DrawFn) -> tuple[bytes, list[StreamPiece]]:
    """Return a stream, and segments that cover it, overlap and repeat, in any order."""
    sent = draw(st.binary(min_size=1, max_size=60))
    cuts = sorted({0, len(sent), *draw(st.lists(st.integers(0, len(sent)), max_size=8))})
    spans = list(pairwise(cuts))
    edge = st.integers(0, len(sent))
    spans += [(min(pair), max(pair)) for pair in draw(st.lists(st.tuples(edge, edge), max_size=8))]
    return sent, [StreamPiece(start, sent[start:end]) for start, end in draw(st.permutations(spans))]


@given(segments(), st.integers(0, CIRCLE - 1))
def test_any_order_overlap_and_repetition_gives_the_stream(made: tuple[bytes, list[StreamPiece]], begin: int) -> None:
    sent, events = made
    stream = Stream(0)
    parts = feed(stream, [*events, StreamPiece(len(sent), b"", fin=True)], begin)
    assert all(isinstance(part, Said) for part in parts)
    assert b"".join(part.data for part in parts if isinstance(part, Said)) == sent
    assert stream.repeated == sum(len(event.data) for event in events) - len(sent)
    assert stream.finished


@given(segments(), st.data())
def test_returned_bytes_are_those_sent_and_gaps_are_the_rest(
    made: tuple[bytes, list[StreamPiece]], data: st.DataObject
) -> None:
    """Whatever is left out, cut, or acknowledged at any time: parts are adjacent, and bytes are at their places."""
    sent, whole = made
    kept = data.draw(st.lists(st.sampled_from(whole), max_size=len(whole)))
    events: list[StreamPiece | Ack] = [
        StreamPiece(event.at, event.data, data.draw(st.integers(0, len(event.data)))) for event in kept
    ]
    for at in data.draw(st.lists(st.integers(0, len(sent)), max_size=4)):
        events.insert(data.draw(st.integers(0, len(events))), Ack(at))
    stream, upto = Stream(0), 0
    for part in feed(stream, [*events, StreamPiece(len(sent), b"", fin=True)]):
        assert part.offset == upto
        size = part.size if isinstance(part, Gap) else len(part.data)
        assert size > 0
        if isinstance(part, Said):
            assert part.data == sent[upto : upto + size]
        upto += size
    assert upto == len(sent) == stream.said + sum(stream.missing.values())


def test_held_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES_MAX", 4)
    parts = feed(Stream(0), [StreamPiece(3, b"def"), StreamPiece(8, b"ij"), StreamPiece(0, b"abc")])
    assert shown(parts) == [
        (0, (3, Missing.GIVEN_UP)),
        (3, b"def"),
        (6, (2, Missing.LOST)),
        (8, b"ij"),
    ]


@pytest.mark.slow
def test_many_single_bytes_with_holes_between_them_are_all_returned() -> None:
    stream = Stream(0)
    parts = feed(stream, [StreamPiece(at, b"x") for at in range(1, 131_072, 2)])
    assert (stream.said, sum(stream.missing.values())) == (65_536, 65_536)
    assert len(parts) == 2 * 65_536
