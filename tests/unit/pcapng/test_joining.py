"""Sections of several nodes become one: packets in order of time, interfaces renumbered, nothing lost or changed."""

import struct
from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.errors import FormatError
from capture.pcapng import blocks, describe
from capture.pcapng.joined_section import JoinedSection
from capture.pcapng.packet_runs import PacketOrigin, merged


def section(*names: str, comment: str = "") -> bytes:
    header = blocks.section_header(hardware="h", os="o", application="a", comment=comment)
    return header + blocks.interfaces([blocks.InterfaceBlock(name, f"{name} seen") for name in names])


def packet(interface: int, ns: int, data: bytes = b"data") -> bytes:
    return blocks.packet(interface, ns, data, len(data), "")


def walk(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        assert struct.unpack_from("=I", data, at + length - 4) == (length,)
        found.append((kind, data[at + 8 : at + length - 4]))
        at += length
    return found


def names_of(data: bytes) -> list[str]:
    return [describe.interface(body, "<").name for kind, body in walk(data) if kind == 1]


def packets_of(data: bytes) -> list[tuple[str, int, bytes]]:
    names: list[str] = []
    found = []
    for kind, body in walk(data):
        if kind == 1:
            names.append(describe.interface(body, "<").name)
        elif kind == 6:
            interface, high, low, captured, _ = struct.unpack_from("=IIIII", body)
            found.append((names[interface], high << 32 | low, body[20 : 20 + captured]))
    return found


def joined(**files: list[bytes]) -> bytes:
    whole = JoinedSection(section())
    origins = []
    for node, datas in files.items():
        for data in datas:
            origin = PacketOrigin(whole, node)
            origin.feed(data)
            origins.append(origin)
    return b"".join([*merged(origins), whole.closing()])


def test_packets_of_two_nodes_come_in_order_of_time_with_their_interfaces() -> None:
    first = section("shop/a:eth0", "shop/b:eth0") + packet(1, 10, b"1") + packet(0, 30, b"3")
    second = section("bank/c:eth0") + packet(0, 20, b"2") + packet(0, 40, b"4")
    found = packets_of(joined(n1=[first], n2=[second]))
    assert found == [
        ("shop/b:eth0", 10, b"1"),
        ("bank/c:eth0", 20, b"2"),
        ("shop/a:eth0", 30, b"3"),
        ("bank/c:eth0", 40, b"4"),
    ]


def test_names_without_a_pod_say_their_node_and_descriptions_always_do() -> None:
    data = joined(n1=[section("eth0", "shop/a:eth0") + packet(0, 1)], n2=[section("eth0") + packet(0, 2)])
    assert names_of(data) == ["eth0@n1", "shop/a:eth0", "eth0@n2"]
    described = [dict(describe.interface(body, "<").options)[3] for kind, body in walk(data) if kind == 1]
    assert described == [b"eth0 seen, on node n1", b"shop/a:eth0 seen, on node n1", b"eth0 seen, on node n2"]


def test_files_of_one_node_share_an_interface_and_their_statistics_add_up() -> None:
    def stats(start: int, end: int, count: int, comment: str) -> bytes:
        return blocks.InterfaceStatistics(0, start, end, count * 3, count * 2, 1, count, comment).encode()

    one = section("shop/a:eth0") + packet(0, 10) + stats(5, 15, 1, "") + b""
    two = section("shop/a:eth0") + packet(0, 20) + packet(0, 21) + stats(15, 25, 2, "over the limit 1")
    data = joined(n1=[one, two])
    assert names_of(data) == ["shop/a:eth0"]
    (last,) = [body for kind, body in walk(data) if kind == 5]
    counts = describe.statistics(last, "<")
    assert (counts.received, counts.accepted, counts.dropped, counts.delivered) == (9, 6, 2, 3)
    assert counts.comment == "over the limit 1"
    times = dict(describe.options(last[12:], "<"))
    assert [struct.unpack("=II", times[code])[1] for code in (2, 3)] == [5, 25]


def test_names_of_addresses_are_there_once() -> None:
    names = blocks.names({ip_address("10.0.0.1"): "shop/a"})
    data = joined(n1=[section("shop/a:eth0") + names + packet(0, 1)], n2=[section("x") + names + packet(0, 2)])
    assert [kind for kind, _ in walk(data)].count(4) == 1


def test_an_interface_that_comes_later_is_described_before_its_first_packet() -> None:
    late = blocks.interfaces([blocks.InterfaceBlock("shop/new:eth0")])
    data = joined(
        n1=[section("shop/a:eth0") + packet(0, 1) + late + packet(1, 9)], n2=[section("b/c:e") + packet(0, 5)]
    )
    assert [name for name, _, _ in packets_of(data)] == ["shop/a:eth0", "b/c:e", "shop/new:eth0"]


@pytest.mark.parametrize(
    "damage",
    [
        packet(0, 1),  # no section before it
        section("a") + packet(0, 1)[:-4],
        section("a") + packet(7, 1),
        section("a") + struct.pack("=II", 6, 8) + packet(0, 1),
        section("a") + bytes(12),
    ],
)
def test_damage_is_one_line_with_the_file(damage: bytes) -> None:
    with pytest.raises(FormatError, match="n1"):
        joined(n1=[damage])


def test_the_other_byte_order_is_refused_with_what_to_do() -> None:
    header = bytearray(section())
    header[8:12] = header[8:12][::-1]
    with pytest.raises(FormatError, match="single files"):
        joined(n1=[bytes(header)])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=30).map(
            lambda packets: sorted(packets, key=lambda one: one[1])
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_packet_is_there_once_unchanged_and_in_order(nodes: list[list[tuple[int, int]]]) -> None:
    files, expected = {}, []
    for node, packets in enumerate(nodes):
        labels = [f"shop/{node}:{interface}" for interface in range(3)]
        data = section(*labels)
        for number, (interface, ns) in enumerate(packets):
            content = f"{node}.{number}".encode()
            data += packet(interface, ns, content)
            expected.append((labels[interface], ns, content))
        files[f"n{node}"] = [data]
    found = packets_of(joined(**files))
    assert Counter(found) == Counter(expected)
    assert [ns for _, ns, _ in found] == sorted(ns for _, ns, _ in found)
