"""Packets of a session -> the data of both sides, in the order in which it could be read, and what is missing."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.packets.reading import Batch
from capture.analysis.streams.followed import Followed, Which
from capture.analysis.streams.reassembly import Said
from capture.errors import SpecError
from testbed import packets
from tests.unit.analysis.scripted_packets import CLIENT, HANDSHAKE, SA, SERVER, A, F, Frame, R, S, decoded
from tests.unit.analysis.simulated_connections import Path, connection, content, frame, passed

FIRST = 0xFFFFFFF0
"""The client's first sequence number: it wraps after 16 bytes. The server's is 5000."""


def say(
    sender: str, flags: int, at: int, heard: int, words: bytes = b"", ports: Any = (CLIENT[1], SERVER[1])
) -> Frame:
    """Return a segment; `at` and `heard` count from the beginning of each stream, SYN included."""
    ends = ((CLIENT[0], ports[0]), (SERVER[0], ports[1]))
    own, other = (FIRST, 5000) if sender == "client" else (5000, FIRST)
    source, destination = ends if sender == "client" else ends[::-1]
    numbers = {"sequence": (own + at) % (1 << 32), "acknowledgment": (other + heard) % (1 << 32)}
    return 0.0, packets.tcp(*source, *destination, flags, words, **numbers)


def follow(frames: Sequence[Frame], which: str = "1", batch: int = 1000) -> tuple[list[tuple[str, Any]], Followed]:
    """Return (side, bytes or the size of a gap) of each part."""
    followed = Followed(Which.parse(which))
    timed = [(float(number), frame) for number, (_, frame) in enumerate(frames)]
    batches = [Batch(*decoded(timed[start : start + batch], start + 1)) for start in range(0, len(timed), batch)]
    parts = [
        ("cs"[part.side], part.data if isinstance(part, Said) else part.size) for part in followed.parts(batches)
    ]
    return parts, followed


GREETING = [say("client", S, 0, 0), say("server", SA, 0, 1), say("client", A, 1, 1)]
GOODBYE = [say("client", F, 31, 6), say("server", F, 6, 32), say("client", A, 32, 7)]
ASK = say("client", A, 1, 1, b"a question of thirty bytes ...")
REST = say("client", A, 11, 1, b" of thirty bytes ...")
ANSWER = say("server", A, 1, 31, b"words")
WHOLE = [*GREETING, ASK, ANSWER, *GOODBYE]
CASES: dict[str, tuple[list[Frame], list[tuple[str, Any]], list[str]]] = {
    "all": (WHOLE, [("c", b"a question of thirty bytes ..."), ("s", b"words")], []),
    "a question whose rest came first is whole before its answer": (
        [*GREETING, REST, say("client", A, 1, 1, b"a question"), ANSWER, *GOODBYE],
        [("c", b"a question"), ("c", b" of thirty bytes ..."), ("s", b"words")],
        [],
    ),
    "what an answer acknowledges is a gap before it": (
        [*GREETING, REST, ANSWER, *GOODBYE],
        [("c", 10), ("c", b" of thirty bytes ..."), ("s", b"words")],
        ["10 bytes of the client are missing: not captured (the other side acknowledged them)"],
    ),
    "one direction alone: the other is gaps of its size": (
        [frame for frame in WHOLE if frame[1][26:30] == packets.ip(CLIENT[0], SERVER[0], 6, b"")[26:30]],
        [("c", b"a question of thirty bytes ..."), ("s", 5), ("s", 1)],
        [
            "the start of the server's stream (SYN) is not in the file",
            "6 bytes of the server are missing: not captured (the other side acknowledged them)",
            "the end of the server's stream (FIN) is not in the file",
        ],
    ),
    "begun before": (
        [ANSWER, *GOODBYE],
        [("s", b"words")],
        [
            "the start of the client's stream (SYN) is not in the file",
            "the start of the server's stream (SYN) is not in the file",
        ],
    ),
    "payload in the SYN": (
        [say("client", S, 0, 0, b"early"), say("server", SA, 0, 6), say("client", F, 6, 1), say("server", F, 1, 7)],
        [("c", b"early")],
        [],
    ),
    "data that stands behind its acknowledgment is not missing": (
        [*GREETING, say("client", A, 1, 1, b"a question"), ANSWER, REST, *GOODBYE],
        [("c", b"a question"), ("c", b" of thirty bytes ..."), ("s", b"words")],
        [],
    ),
    "data that stands before the SYN is not repeated": (
        [GREETING[0], ANSWER, ASK, GREETING[1], GREETING[2], *GOODBYE],
        [("c", b"a question of thirty bytes ..."), ("s", b"words")],
        [],
    ),
    "numbers of an old connection make no gap": (
        [GREETING[0], say("server", A, 1 << 31, 1 << 31), say("client", R, 1 << 31, 0), *WHOLE],
        [("c", b"a question of thirty bytes ..."), ("s", b"words")],
        [],
    ),
    "a reset's payload is no part of the stream": (
        [*GREETING, say("server", R | A, 1, 1, b"closed")],
        [],
        [
            "the end of the client's stream (FIN) is not in the file",
            "the end of the server's stream (FIN) is not in the file",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", [1000, 1], ids=["", "packet by packet"])
def test_packets_become_parts(case: str, batch: int) -> None:
    frames, expected, why = CASES[case]
    parts, followed = follow(frames, batch=batch)
    assert parts == expected
    assert followed.dialogue is not None
    assert followed.dialogue.why_incomplete == why
    assert followed.session.session == 1


@pytest.mark.parametrize(
    "which",
    ["2", "tcp 10.0.0.1:7 10.0.0.2:80", "tcp 10.0.0.2:80 > 10.0.0.1:7"],
    ids=["number", "tuple", "from its end"],
)
def test_a_session_is_found_among_others(which: str) -> None:
    other = [say("client", A, 1, 1, b"mine", ports=(7, 80)), say("client", S, 9, 9, ports=(7, 80))]
    parts, followed = follow([ASK, *other], which)
    assert parts == [("c", b"mine")]
    assert followed.number == 2
    assert followed.others == ({3} if which != "2" else set())


@given(st.integers(0, 1 << 32))
def test_bytes_of_a_file_out_of_order_are_those_that_were_said(seed: int) -> None:
    """Random connections whose packets were lost, repeated and shuffled: what every file without gaps must give."""
    chance = random.Random(seed)
    way = Path(loss=chance.choice((0, 0.1)), delays_ms=(1, 1))
    made, firsts = connection(chance, way)
    seen = passed(made)
    order = sorted(range(len(seen)), key=lambda at: seen[at][0] + 2 * chance.random())
    parts, followed = follow([(seen[at][0], frame(seen[at][1], firsts)) for at in order])
    assert followed.dialogue is not None
    for side, stream in enumerate(followed.dialogue.streams):
        mine = [packet for _, packet in seen if packet.side == side]
        whole = {number for packet in mine for number in range(packet.start, packet.end)}
        if whole != set(range(max(whole, default=-1) + 1)):
            continue  # the path lost what was never sent again
        said = b"".join(part for who, part in parts if who == "cs"[side] and isinstance(part, bytes))
        assert said == content(side, 1, 1 + len(said)), side
        assert (stream.missing, stream.late) == ({}, 0), side
        assert len(said) == len({n for one in mine for n in range(one.start, one.start + one.payload)}), side


def test_datagrams_are_parts_whatever_their_size() -> None:
    frames = [
        (0.0, packets.udp(*CLIENT, *SERVER, b"one")),
        (0.0, packets.udp(*SERVER, *CLIENT, b"")),
        (0.0, packets.udp(*CLIENT, *SERVER, b"one")),
    ]
    parts, _ = follow(frames)
    assert parts == [("c", b"one"), ("s", b""), ("c", b"one")]


@pytest.mark.parametrize(
    ("which", "says"),
    [
        ("0", "session: '0' is not: protocol source destination; write a number"),
        ("tcp 10.0.0.1 10.0.0.2", "'10.0.0.1' is not an exact address:port, as tcp needs; write a number"),
        ("2", "there is no session 2; the file has 1 session: see `bicap sessions`"),
        ("icmp 10.0.0.1 10.0.0.2", "there is no session icmp"),
    ],
)
def test_a_session_that_cannot_be_followed_is_reported(which: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        follow(HANDSHAKE, which)


def test_only_tcp_and_udp_can_be_followed() -> None:
    with pytest.raises(SpecError, match="session 1 is icmp; only tcp and udp can be followed"):
        follow([(0.0, packets.icmp(CLIENT[0], SERVER[0]))])
