"""tcpdump expressions: their mirrors, libpcap's refusals with their position, and the C they become."""

import re

import pytest

from capture.errors import FilterError
from capture.filters.expression import parse_expression
from capture.filters.mirror import mirror_text
from capture.wire.direction import Direction

MIRRORS = [
    ("src host 10.0.0.1 and tcp dst port 80", "dst host 10.0.0.1 and tcp src port 80"),
    ("tcp port 80 and host 10.0.0.1", "tcp port 80 and host 10.0.0.1"),
    ("src or dst net 10.0.0.0/8", "dst or src net 10.0.0.0/8"),
    ("ether src 02:00:00:00:00:01", "ether dst 02:00:00:00:00:01"),
    ("ip[12:4] = 0x0a000001", "ip[16:4] = 0x0a000001"),
    ("ip[13] = 5 and ip[8] < 5", "ip[17] = 5 and ip[8] < 5"),
    ("ip6[24:4] = 1", "ip6[8:4] = 1"),
    ("udp[0:2] = 53 or tcp[2:2]=53", "udp[2:2] = 53 or tcp[0:2]=53"),
    ("icmp[icmptype] = icmp-echo", "icmp[0] = 0"),
    ("icmp6[0]==129", "icmp6[0] == 128"),
    ("icmp[icmptype] != icmp-unreach and icmp[icmpcode] = 1", None),
    ("icmp[0] = 3 and icmp[icmpcode] = 1", "icmp[0] = 3 and icmp[icmpcode] = 1"),
    ("tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", "tcp[tcpflags] & (tcp-syn|tcp-ack) != 0"),
    ("ether broadcast", "ether src ff:ff:ff:ff:ff:ff"),
    ("ip multicast or broadcast", "ip[12] >= 224 or ether src ff:ff:ff:ff:ff:ff"),
    ("arp[14:4] = 1", "arp[24:4] = 1"),
    ("vlan 5 and src port 80", "vlan 5 and dst port 80"),
    # Mirrors for which there is no expression.
    ("ip[14:4] = 1", None),
    ("ether[26:4] = 1", None),
    ("ip[20:2] = 80", None),
    ("icmp[0] & 8 = 8", None),
    ("8 = icmp[0]", None),
]


@pytest.mark.parametrize(("text", "mirrored"), MIRRORS)
def test_the_mirror_of_an_expression(text: str, mirrored: str | None) -> None:
    assert mirror_text(text) == mirrored
    if mirrored is not None:
        parse_expression(text)


def test_both_directions_as_one_expression() -> None:
    one_way = parse_expression("src host 10.0.0.1")
    assert one_way.text(Direction.BOTH) == "(src host 10.0.0.1) or (dst host 10.0.0.1)"
    assert one_way.text(Direction.REVERSE) == "dst host 10.0.0.1"
    assert parse_expression("port 80").text(Direction.BOTH) == "port 80"
    assert "no expression says it" in parse_expression("ether[26:4] = 1").text(Direction.BOTH)


REFUSED = [
    ("tcp prot 80", "syntax error, at position 5 ('prot')"),
    ("host 10.0.0.1 and", "syntax error, at position 18 (the end)"),
    ("tcp and (port 80", "syntax error, at position 17 (the end)"),
    ("port 70000", "illegal port number 70000 > 65535, at position 6 ('70000')"),
    ("net 10.0.0.0/33", "mask length must be <= 32, at position 5 ('10.0.0.0/33')"),
    ("port 80 garbage", "at position 9 ('garbage')"),
    ("tcp[0:3] = 1", "data size must be 1, 2, or 4"),
    ("tcp and udp", "expression rejects all packets"),
    ("inbound", "use --direction"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_an_expression_that_libpcap_refuses_gives_its_message_with_the_position(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=re.escape(message)) as caught:
        parse_expression(text)
    assert "\n" not in str(caught.value)
