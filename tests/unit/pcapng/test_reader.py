"""Bytes of capture files of every kind -> rows, interfaces and names; damage is reported, no whole packet is lost."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.packets.packet_table import PACKET
from capture.errors import FormatError
from capture.pcapng import reader as reading
from capture.pcapng.describe import InterfaceDescription, Statistics, statistics
from capture.pcapng.reader import Reader
from testbed.foreign_blocks import block, enhanced, interface, option, section

T = 1_700_000_000
NATURAL = T * 10**9 + 123_456_789
PACKETS = [b"one", b"twotwo", b""]


def pcap(order: str, magic: int, times: Sequence[tuple[int, int]] = ((T, 5), (T, 6), (T, 7)), link: int = 1) -> bytes:
    records = [
        struct.pack(order + "IIII", seconds, fraction, len(data), len(data) + 10) + data
        for (seconds, fraction), data in zip(times, PACKETS, strict=True)
    ]
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link) + b"".join(records)


Row = tuple[int, bytes, int, int, int]


def read(content: bytes, piece: int = 1 << 20) -> tuple[list[Row], Reader, str]:
    """(time, bytes, original length, interface, flags) of each packet, the reader, and the damage that it reported.

    The file comes in pieces of that size.
    """
    reader, rows = Reader("file"), np.zeros(2, PACKET)
    found: list[tuple[int, bytes, int, int, int]] = []
    data, at, end = np.frombuffer(content, np.uint8), 0, 0
    try:
        while True:
            end = min(end + piece, len(data))
            more = False
            while not more:
                at, count, more = reader.take(data, at, end, rows)
                for row in rows[:count]:
                    begin = int(row["offset"])
                    kept = content[begin : begin + int(row["captured"])]
                    original, interface, flags = (int(row[name]) for name in ("original", "interface", "flags"))
                    found.append((int(row["time_ns"]), kept, original, interface, flags))
            if end == len(data):
                reader.end(end - at)
                return found, reader, ""
    except FormatError as error:
        return found, reader, str(error)


def plain(order: str) -> bytes:
    """Return a file with three packets with flags, and an interface with a name and nanoseconds."""
    options = option(order, 2, b"eth0") + option(order, 9, b"\x09") + bytes(4)
    packets = [enhanced(order, data, NATURAL + i, flags=i) for i, data in enumerate(PACKETS)]
    return section(order) + interface(order, options) + b"".join(packets)


@pytest.mark.parametrize("order", "<>")
def test_a_pcapng_file_of_either_byte_order(order: str) -> None:
    found, reader, _ = read(plain(order))
    assert found == [(NATURAL + i, data, len(data), 0, i) for i, data in enumerate(PACKETS)]
    assert reader.interfaces == [InterfaceDescription(1, name="eth0", resolution=9)]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_a_pcap_file_of_either_byte_order_and_unit(order: str, magic: int, unit_ns: int) -> None:
    found, reader, _ = read(pcap(order, magic, link=0x10000000 | 101))
    expected = [(T * 10**9 + (5 + i) * unit_ns, data, len(data) + 10, 0, 0) for i, data in enumerate(PACKETS)]
    assert found == expected
    assert reader.interfaces == [InterfaceDescription(101, snaplen=65535)]


TIMES = [
    # options of the interface, ticks -> nanoseconds
    (b"", T * 10**6 + 123_456, T * 10**9 + 123_456_000),
    (option("<", 9, b"\x09"), NATURAL, NATURAL),
    (option("<", 9, b"\x00"), T, T * 10**9),
    (option("<", 9, b"\x03"), T * 1000 + 7, T * 10**9 + 7_000_000),
    (option("<", 9, b"\x0c"), 1234 * 10**12 + 5_678_999, 1234 * 10**9 + 5_678),
    (option("<", 9, b"\x80"), T, T * 10**9),
    (option("<", 9, b"\x8a"), T * 1024 + 512, T * 10**9 + 500_000_000),
    (option("<", 9, b"\xa0"), (5 << 32) + (1 << 31), 5_500_000_000),
    (option("<", 9, b"\x09") + option("<", 14, struct.pack("<q", T)), 5, T * 10**9 + 5),
    (option("<", 9, b"\x09") + option("<", 14, struct.pack("<q", -2)), NATURAL, NATURAL - 2 * 10**9),
]


@pytest.mark.parametrize(("options", "ticks", "nanoseconds"), TIMES)
def test_times_are_in_the_interfaces_own_units(options: bytes, ticks: int, nanoseconds: int) -> None:
    found, _, _ = read(section("<") + interface("<", options) + enhanced("<", b"x", ticks))
    assert [row[0] for row in found] == [nanoseconds]


def test_an_interface_of_a_later_section_has_its_own_units() -> None:
    first = section("<") + interface("<", option("<", 9, b"\xa0")) + enhanced("<", b"a", 5 << 32)
    found, _, _ = read(first + section("<") + interface("<", option("<", 9, b"\x09")) + enhanced("<", b"b", NATURAL))
    assert [row[0] for row in found] == [5 * 10**9, NATURAL]


def test_simple_and_obsolete_packet_blocks() -> None:
    simple = block("<", 3, struct.pack("<I", 9) + b"12345678")
    obsolete = block("<", 2, struct.pack("<HHIIII", 0, 3, T * 10**6 >> 32, T * 10**6 & 0xFFFFFFFF, 2, 5) + b"ab")
    found, _, _ = read(section("<") + interface("<", snaplen=6) + obsolete + simple)
    assert found == [(T * 10**9, b"ab", 5, 0, 0), (T * 10**9, b"123456", 9, 0, 0)]


def test_each_section_has_its_own_byte_order_and_interfaces() -> None:
    second = (
        section(">", minor=2) + interface(">", link=101) + interface(">") + enhanced(">", b"b", T * 10**6, number=1)
    )
    found, reader, _ = read(section("<") + interface("<") + enhanced("<", b"a", T * 10**6) + second)
    assert found == [(T * 10**9, b"a", 1, 0, 0), (T * 10**9, b"b", 1, 2, 0)]
    assert [one.link for one in reader.interfaces] == [1, 101, 1]


def test_names_are_kept_and_other_blocks_are_skipped() -> None:
    names = struct.pack("<HH", 1, 9) + bytes([10, 0, 0, 1]) + b"web\0x" + bytes(3)
    names += struct.pack("<HH", 2, 19) + ip_address("fd00::1").packed + b"db\0" + bytes(1) + bytes(4)
    others = block("<", 0xBAD, b"\0\0\0\1") + block("<", 10, bytes(8)) + block("<", 0x80000001, b"")
    file = section("<") + interface("<") + block("<", 4, names) + others + enhanced("<", b"a", T) + others
    found, reader, _ = read(file + block("<", 5, bytes(12)))
    assert [row[1] for row in found] == [b"a"]
    assert reader.names == {ip_address("10.0.0.1"): "web", ip_address("fd00::1"): "db"}


@pytest.mark.parametrize("order", ["<", ">"])
def test_statistics(order: str) -> None:
    counts = b"".join(option(order, code, struct.pack(order + "Q", code * 10)) for code in (4, 5, 6, 7, 8))
    body = struct.pack(order + "III", 3, 0, 0) + option(order, 1, b"3 sampled out") + counts + bytes(4)
    assert statistics(body, order) == Statistics(3, 40, 50, 60, 70, 80, "3 sampled out")


def test_the_number_of_interfaces_and_names_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "INTERFACES_MAX", 6)
    monkeypatch.setattr(reading, "NAMES_MAX", 4)
    names = [block("<", 4, struct.pack("<HHI", 1, 6, number) + b"a\0" + bytes(6)) for number in range(9)]
    part = section("<") + interface("<") * 2 + b"".join(names) + enhanced("<", b"a", T)
    found, reader, damage = read(part * 4)
    assert len(found) == 3
    assert len(reader.names) == 4
    assert "more than 6 interfaces; the 3 packets before it were read" in damage


NAMES = [
    (b"web", "web"),
    ("bücher/\N{SNOWMAN}".encode(), "bücher/\N{SNOWMAN}"),
    (b"\x1b[31mred\x07", "\ufffd[31mred\ufffd"),
    (b"two\nlines\r", "two\ufffdlines\ufffd"),
    (b"\xff\xfe", "\ufffd\ufffd"),
    ("right\u202eleft".encode(), "right\ufffdleft"),
    (b"x" * 60_000, "x" * 512),
    (b"\0hidden", ""),
]


@pytest.mark.parametrize(("written", "name"), NAMES, ids=[repr(name[:12]) for _, name in NAMES])
def test_a_name_is_safe_to_print_in_a_line(written: bytes, name: str) -> None:
    record = struct.pack("<HH", 1, 5 + len(written)) + bytes([10, 0, 0, 1]) + written + b"\0"
    record += bytes(-len(record) % 4 + 4)
    described = struct.pack("<HHI", 1, 0, 0) + option("<", 2, written) + bytes(4)
    _, reader, _ = read(section("<") + block("<", 1, described) + block("<", 4, record) + enhanced("<", b"a", T))
    assert reader.names == {ip_address("10.0.0.1"): name}
    assert reader.interfaces[0].name == name


@pytest.mark.parametrize("content", [plain("<"), plain(">"), pcap("<", 0xA1B2C3D4)], ids=["<", ">", "pcap"])
@pytest.mark.parametrize("piece", [1, 7, 100])
def test_pieces_of_any_size_give_the_same(content: bytes, piece: int) -> None:
    assert read(content, piece)[0] == read(content)[0]


def changed(at: int, value: bytes) -> bytes:
    content = plain("<")
    at %= len(content)
    return content[:at] + value + content[at + len(value) :]


START = len(section("<"))
FIRST = START + len(interface("<", option("<", 2, b"eth0") + option("<", 9, b"\x09") + bytes(4)))
DAMAGES = [
    # content, damage, packets before
    (b"", "not a pcap or pcapng file", 0),
    (b"\x7fELF" + bytes(100), "not a pcap or pcapng file", 0),
    (plain("<")[:-1], "is damaged at byte 168: it is cut off, 43 bytes after the last whole block", 2),
    (changed(8, b"\0\0\0\0"), "is damaged at byte 0: a section without a byte order", 0),
    (changed(12, b"\2"), "is damaged at byte 0: a section of pcapng version 2.0; only version 1 is known", 0),
    (changed(FIRST + 4, b"\x2b"), f"is damaged at byte {FIRST}: a block with an impossible length", 0),
    (changed(FIRST + 4, b"\x04\0\0\0"), f"is damaged at byte {FIRST}: a block with an impossible length", 0),
    (changed(FIRST + 4, b"\0\0\0\x7f"), f"is damaged at byte {FIRST}: a block of more than 128 MiB", 0),
    (changed(FIRST + 8, b"\1"), f"is damaged at byte {FIRST}: a packet of an interface that is not described", 0),
    (changed(FIRST + 20, b"\xff"), f"is damaged at byte {FIRST}: a packet that is longer than what holds it", 0),
    (changed(-4, b"\0"), "is damaged at byte 168: a block that does not end with its length", 2),
    (
        pcap("<", 0xA1B2C3D4)[:24] + b"\xff" * 40,
        "is damaged at byte 24: a packet that is longer than what holds it",
        0,
    ),
]


@pytest.mark.parametrize(("content", "words", "before"), DAMAGES)
def test_damage_is_reported_with_its_position_after_all_packets_before_it(
    content: bytes, words: str, before: int
) -> None:
    found, _, damage = read(content)
    assert words in damage
    assert len(found) == before


@pytest.mark.parametrize("content", [plain("<"), plain(">"), pcap(">", 0xA1B23C4D)], ids=["<", ">", "pcap"])
def test_a_file_that_is_cut_off_gives_its_whole_packets(content: bytes) -> None:
    whole, _, _ = read(content)
    counts = []
    for cut in range(len(content)):
        found, _, _ = read(content[:cut])
        assert found == whole[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert max(counts) == len(whole) - 1


@given(
    st.sampled_from([plain("<"), plain(">"), pcap("<", 0xA1B2C3D4)]),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8),
)
def test_flipped_bytes_are_read_or_refused(content: bytes, flips: list[tuple[int, int]]) -> None:
    spoilt = bytearray(content)
    for at, value in flips:
        spoilt[at % len(spoilt)] = value
    found, _, damage = read(bytes(spoilt))
    assert all(len(kept) <= original for _, kept, original, *_ in found)
    assert "\n" not in damage


@given(st.sampled_from([plain("<")[:FIRST], pcap("<", 0xA1B2C3D4)[:24], b""]), st.binary(max_size=300))
def test_noise_is_read_or_refused(start: bytes, noise: bytes) -> None:
    assert "\n" not in read(start + noise)[2]
