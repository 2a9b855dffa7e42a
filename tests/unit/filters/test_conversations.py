"""Lists of conversations: the meaning of a line, refused lines, and the entries of the map, byte for byte."""

import re
import struct

import pytest

from capture.errors import SpecError
from capture.filters.conversations import CONVERSATIONS_MAX, Conversation, parse_conversations
from capture.kernel.conversations_map import entries

A, B = 0x0A000001, 0x0A000002


def test_a_line_is_protocol_source_destination() -> None:
    found = parse_conversations(
        "list", ["# all of them", "", "tcp 10.0.0.1:5 > 10.0.0.2:80  # web", "icmp 10.0.0.1 10.0.0.2"]
    )
    assert found.conversations == (Conversation(4, 6, (A, 5), (B, 80)), Conversation(4, 1, (A, 0), (B, 0)))


def test_a_repeated_conversation_counts_once() -> None:
    assert len(parse_conversations("list", ["udp [::1]:1 [::2]:2"] * 3).conversations) == 1


REFUSED = [
    (["tcp 10.0.0.1:5"], "line 1: 'tcp 10.0.0.1:5' is not: protocol source destination"),
    (["", "tcp 10.0.0.1 10.0.0.2:80"], "line 2: '10.0.0.1' is not an exact address:port, as tcp needs"),
    (["tcp 10.0.0.0/8:1 10.0.0.2:80"], "'10.0.0.0/8:1' is not an exact"),
    (["tcp 10.0.0.1:1-2 10.0.0.2:80"], "'10.0.0.1:1-2' is not an exact"),
    (["icmp 10.0.0.1:1 10.0.0.2"], "'10.0.0.1:1' is not an exact address without a port, as icmp needs"),
    (["tcp 10.0.0.1:1 [::1]:80"], "of different IP families"),
    (["any 10.0.0.1 10.0.0.2"], "has one protocol, not any"),
    (["tcp 10.0.0.1:70000 10.0.0.2:80"], "port '70000' is not a number"),
    (["tcp 10.0.0.1:5 10.0.0.2:80", "tcp 10.0.0.2:80 10.0.0.1:5"],
     "line 2: tcp 10.0.0.2:80 > 10.0.0.1:5 is the reverse of line 1"),
    ([f"udp 10.1.{n >> 8 & 255}.{n & 255}:{1 + (n >> 16)} 10.0.0.1:2" for n in range(CONVERSATIONS_MAX + 1)],
     "has 65,537 conversations; at most 65,536"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("lines", "message"), REFUSED, ids=[case[1] for case in REFUSED])
def test_a_wrong_line_is_named_with_its_number(lines: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        parse_conversations("list", lines)


def test_entries_have_the_canonical_tuple_as_key_and_the_source_side_as_value() -> None:
    there, back = Conversation(4, 6, (B, 80), (A, 5)), Conversation(6, 17, (1, 2), (1 << 64 | 3, 4))
    found = entries([there, back])
    assert found == {
        struct.pack("=QQQQHHBBH", 0, A, 0, B, 5, 80, 4, 6, 0): struct.pack("=I", 2),
        struct.pack("=QQQQHHBBH", 0, 1, 1, 3, 2, 4, 6, 17, 0): struct.pack("=I", 1),
    }


def test_a_conversation_given_from_both_ends_has_both_sides_as_source() -> None:
    assert list(entries([Conversation(4, 6, (A, 5), (B, 80)), Conversation(4, 6, (B, 80), (A, 5))]).values()) == [
        struct.pack("=I", 3)
    ]
