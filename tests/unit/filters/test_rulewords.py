"""The texts of options -> values, and the errors for wrong texts."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from capture.errors import SpecError
from capture.filters.rule import IcmpType, Ports, TcpFlags
from capture.filters.rulewords import parse_endpoint, parse_family, parse_icmp_types, parse_protocol, parse_tcp_flags
from capture.wire.protocols import ICMP, ICMPV6

ENDPOINTS = [
    ("10.0.0.1", "10.0.0.1", ()),
    ("10.0.0.0/8", "10.0.0.0/8", ()),
    ("10.1.2.3/8", "10.0.0.0/8", ()),
    ("10.0.0.1:80", "10.0.0.1", (Ports(80, 80),)),
    ("10.0.0.0/8:80", "10.0.0.0/8", (Ports(80, 80),)),
    (":443,80,8000-8100", None, (Ports(80, 80), Ports(443, 443), Ports(8000, 8100))),
    ("2001:db8::1", "2001:db8::1", ()),
    ("[2001:db8::1]:443", "2001:db8::1", (Ports(443, 443),)),
    ("[2001:db8::/32]:443", "2001:db8::/32", (Ports(443, 443),)),
    ("::", "::", ()),
    ("any", None, ()),
]


@pytest.mark.parametrize(("text", "network", "ports"), ENDPOINTS)
def test_endpoint(text: str, network: str | None, ports: tuple[Ports, ...]) -> None:
    found = parse_endpoint(text, "source")
    assert found.network == (ip_network(network) if network else None)
    assert found.ports == ports


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "10.0.0.0/8:80", ":80,443", "[2001:db8::1]:443", "[2001:db8::/32]:1-2", "any"]
)
def test_an_endpoint_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_endpoint(text, "source")) == text


WRONG: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (parse_endpoint, ("10.0.0.256", "source"), "source '10.0.0.256': '10.0.0.256' is not an IP address"),
    (parse_endpoint, ("10.0.0.0/33", "source"), "is not an IP address or network"),
    (parse_endpoint, (":70000", "destination"), "destination ':70000': port '70000' is not a number from 0 to 65535"),
    (parse_endpoint, (":http", "source"), "port 'http'"),
    (parse_endpoint, (":90-80", "source"), "port range 90-80 ends before it begins"),
    (parse_endpoint, ("10.0.0.1:", "source"), "the port is missing after ':'"),
    (parse_endpoint, ("", "source"), "source is empty"),
    (parse_endpoint, ("[::1", "source"), "is written [2001:db8::1]:443"),
    (parse_endpoint, (":80,,81", "source"), "port ''"),
    (parse_endpoint, (":٣", "source"), "port '٣'"),
    (parse_protocol, ("tpc",), "protocol 'tpc' is not known; give icmp, tcp, udp"),
    (parse_protocol, ("256",), "a number from 0 to 255"),
    (parse_family, ("5",), "family '5' is not known"),
    (parse_tcp_flags, ("syn,foo",), "'foo' is not a TCP flag; there are fin, syn"),
    (parse_tcp_flags, ("syn,!syn",), "cannot be both set and unset"),
    (parse_tcp_flags, ("0x12/0x02",), "bits outside the mask"),
    (parse_tcp_flags, ("a/b",), "value and mask are numbers"),
    (parse_icmp_types, ("echo", 6), "needs protocol icmp or icmpv6, but protocol is tcp"),
    (
        parse_icmp_types,
        ("pong", ICMP),
        "icmp type 'pong' is not known; give a number from 0 to 255 or one of",
    ),
    (parse_icmp_types, ("3/nope", ICMP), "code of type 3 'nope' is not known"),
]


@pytest.mark.parametrize(("parse", "words", "message"), WRONG, ids=[case[2] for case in WRONG])
def test_wrong_text_is_named_in_the_error(parse: Callable[..., Any], words: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(*words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_protocols() -> None:
    assert [parse_protocol(text) for text in ("tcp", "UDP", "58", "icmpv6", "any")] == [6, 17, 58, 58, None]


def test_tcp_flags() -> None:
    assert parse_tcp_flags("syn,!ack") == parse_tcp_flags("0x02/0x12") == TcpFlags(2, 0x12)
    assert parse_tcp_flags("RST") == TcpFlags(4, 4)
    assert str(TcpFlags(2, 0x12)) == "syn,!ack"


def test_icmp_types() -> None:
    assert parse_icmp_types("echo-request,3/port-unreachable", ICMP) == (IcmpType(8), IcmpType(3, 3))
    assert parse_icmp_types("echo,1/port-unreachable", ICMPV6) == (IcmpType(128), IcmpType(1, 4))
