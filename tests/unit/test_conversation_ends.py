"""The text of a conversation -> its ends and its Community ID, the same for both directions."""

from ipaddress import ip_address

import pytest

from capture.wire.conversation_ends import ConversationEnds, parse_ends

# https://github.com/corelight/community-id-spec, baseline/baseline_deflt.json
IDS = [
    ("tcp 128.232.110.120:34855 > 66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("tcp 66.35.250.204:80 > 128.232.110.120:34855", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("udp 192.168.1.52:54585 > 8.8.8.8:53", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
]
TEXTS = [
    ("tcp 10.0.0.1:4000 > 10.0.0.2:80", (6, "10.0.0.1", 4000, "10.0.0.2", 80)),
    ("udp [fd00::1]:53 > [fd00::2]:1024", (17, "fd00::1", 53, "fd00::2", 1024)),
    ("icmp 10.0.0.1 > 10.0.0.2", (1, "10.0.0.1", 0, "10.0.0.2", 0)),
    ("icmpv6 fd00::1 > fd00::2", (58, "fd00::1", 0, "fd00::2", 0)),
    ("47 10.0.0.1 > 10.0.0.2", (47, "10.0.0.1", 0, "10.0.0.2", 0)),
]
NO_TEXTS = [
    "", "tcp", "tcp 10.0.0.1:1 10.0.0.2:2", "tcp a:1 > b:2", "tcp 10.0.0.1:99999 > 10.0.0.2:2",
    "arp 10.0.0.1 > 10.0.0.2", "300 10.0.0.1 > 10.0.0.2", "tcp 10.0.0.1:1 > [fd00::1]:2",
    "tcp [10.0.0.1 > 10.0.0.2:2",
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), IDS, ids=[text for text, _ in IDS])
def test_the_number_is_that_of_the_specification(text: str, number: str) -> None:
    ends = parse_ends(text)
    assert ends is not None
    assert ends.community_id == number


@pytest.mark.parametrize(("text", "ends"), TEXTS, ids=[text for text, _ in TEXTS])
def test_ends_are_read(text: str, ends: tuple[int, str, int, str, int]) -> None:
    protocol, client, client_port, server, server_port = ends
    expected = ConversationEnds(protocol, (ip_address(client), client_port), (ip_address(server), server_port))
    assert parse_ends(text) == expected


@pytest.mark.parametrize("text", NO_TEXTS)
def test_other_texts_are_no_conversations(text: str) -> None:
    assert parse_ends(text) is None
