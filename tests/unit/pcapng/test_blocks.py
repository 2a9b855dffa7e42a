"""Blocks as the draft writes them (draft-ietf-opsawg-pcapng, section 4), byte for byte, and as others read them.

The bytes are those of a little-endian machine: a file is written in the byte order of the machine that makes it.
"""

import shutil
import struct
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from capture.pcapng import blocks

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the expected bytes are little-endian")


def octets(*lines: str) -> bytes:
    """Return annotated bytes: hexadecimal, then | and a comment."""
    return b"".join(bytes.fromhex(line.partition("|")[0]) for line in lines)


EMPTY_SECTION = octets(
    "0a0d0d0a | Section Header Block",
    "1c000000 | length 28: no options, so no opt_endofopt either",
    "4d3c2b1a | byte-order magic",
    "0100 0000| version 1.0",
    "ffffffffffffffff | section length: unknown",
    "1c000000 | length again",
)
SECTION = octets(
    "0a0d0d0a | Section Header Block",
    "40000000 | length 64",
    "4d3c2b1a | byte-order magic",
    "0100 0000| version 1.0",
    "ffffffffffffffff | section length: unknown",
    "0100 0200 c3a90000 | opt_comment: e with acute in UTF-8, two bytes of padding",
    "0200 0100 68000000 | shb_hardware: h",
    "0300 0400 4c696e75 | shb_os: Linu, which needs no padding",
    "0400 0300 62696300 | shb_userappl: bic",
    "0000 0000| opt_endofopt",
    "40000000 | length again",
)
BARE_INTERFACE = octets(
    "01000000 | Interface Description Block",
    "28000000 | length 40",
    "0100 0000| LINKTYPE_ETHERNET, reserved",
    "00000400 | snaplen 262144",
    "0200 0200 76620000 | if_name: vb",
    "0900 0100 09000000 | if_tsresol: 10^-9",
    "0000 0000| opt_endofopt",
    "28000000 | length again",
)
FULL_INTERFACE = octets(
    "01000000 | Interface Description Block",
    "50000000 | length 80",
    "0100 0000| LINKTYPE_ETHERNET, reserved",
    "00000400 | snaplen 262144",
    "0200 0400 65746830 | if_name: eth0",
    "0300 0300 706f6400 | if_description: pod",
    "0600 0600 0277000000010000 | if_MACaddr",
    "0900 0100 09000000 | if_tsresol: 10^-9",
    "0b00 0400 00 746370 | if_filter: 0 is a libpcap expression, here tcp",
    "0c00 0500 4c696e7578000000 | if_os: Linux",
    "0000 0000| opt_endofopt",
    "50000000 | length again",
)
NAMES = octets(
    "04000000 | Name Resolution Block",
    "38000000 | length 56",
    "0100 0600 0a000001 61 00 0000 | nrb_record_ipv4: 10.0.0.1 is a, which a zero byte ends",
    "0200 1600 20010db8000000000000000000000001 7765622d30 00 0000 | nrb_record_ipv6: 2001:db8::1 is web-0",
    "0000 0000| nrb_record_end",
    "38000000 | length again",
)
STATISTICS = octets(
    "05000000 | Interface Statistics Block",
    "64000000 | length 100",
    "03000000 | interface 3",
    "02000000 05000000 | time, the high word first: 2 * 2^32 + 5",
    "0200 0800 01000000 04000000 | isb_starttime, the high word first",
    "0300 0800 02000000 05000000 | isb_endtime",
    "0400 0800 0a00000000000000 | isb_ifrecv: 10",
    "0500 0800 0100000001000000 | isb_ifdrop: 2^32 + 1",
    "0600 0800 0900000000000000 | isb_filteraccept: 9",
    "0800 0800 0700000000000000 | isb_usrdeliv: 7",
    "0000 0000| opt_endofopt",
    "64000000 | length again",
)

CASES = [
    # what it is, the block made of plain values, its bytes
    (
        "a section without options",
        blocks.section_header(hardware="", os="", application="", comment=""),
        EMPTY_SECTION,
    ),
    (
        "a section with all its options",
        blocks.section_header(hardware="h", os="Linu", application="bic", comment="é"),
        SECTION,
    ),
    ("an interface of which only the name is known", blocks.InterfaceBlock("vb").encode(), BARE_INTERFACE),
    (
        "an interface of which everything is known",
        blocks.InterfaceBlock("eth0", "pod", "tcp", "Linux", bytes.fromhex("027700000001")).encode(),
        FULL_INTERFACE,
    ),
    (
        "a MAC address of another length is left out",
        blocks.InterfaceBlock("vb", mac=bytes(20)).encode(),
        BARE_INTERFACE,
    ),
    ("no names are no block", blocks.names({}), b""),
    (
        "names of both families",
        blocks.names({ip_address("10.0.0.1"): "a", ip_address("2001:db8::1"): "web-0"}),
        NAMES,
    ),
    (
        "statistics",
        blocks.InterfaceStatistics(3, (1 << 32) + 4, (2 << 32) + 5, 10, 9, (1 << 32) + 1, 7).encode(),
        STATISTICS,
    ),
    (
        "interfaces in the order of their ids",
        blocks.interfaces(
            [
                blocks.InterfaceBlock("vb"),
                blocks.InterfaceBlock("eth0", "pod", "tcp", "Linux", bytes.fromhex("027700000001")),
            ]
        ),
        BARE_INTERFACE + FULL_INTERFACE,
    ),
]


@pytest.mark.parametrize(("what", "made", "expected"), CASES, ids=[case[0] for case in CASES])
def test_block(what: str, made: bytes, expected: bytes) -> None:
    assert made.hex(" ", 4) == expected.hex(" ", 4)


def options(block: bytes, fixed: int) -> list[tuple[int, bytes]]:
    """Return the options behind the fixed part of a block as (code, value), with the end; padding must be zero."""
    found, at = [], fixed
    while at < len(block) - 4:
        code, length = struct.unpack_from("<HH", block, at)
        found.append((code, block[at + 4 : at + 4 + length]))
        assert block[at + 4 + length : at + 4 + (length + 3 & ~3)] == bytes(-length % 4)
        at += 4 + (length + 3 & ~3)
    return found


@pytest.mark.parametrize("length", range(1, 9))
def test_padding_is_zero_and_the_options_end_whatever_the_length(length: int) -> None:
    block = blocks.InterfaceBlock("n" * length).encode()
    assert len(block) % 4 == 0
    assert options(block, 16) == [(2, b"n" * length), (9, b"\x09"), (0, b"")]


TOO_LONG = [
    ("exactly the limit is whole", "x" * 65_535, b"x" * 65_535),
    ("one byte more is cut", "x" * 65_536, b"x" * 65_535),
    ("no character is cut in two", "é" * 40_000, "é".encode() * 32_767),
    ("nor is one of four bytes", "x" + "\N{GRINNING FACE}" * 20_000, b"x" + "\N{GRINNING FACE}".encode() * 16_383),
    ("what is no Unicode becomes a question mark", "a\udcffb", b"a?b"),
]


@pytest.mark.parametrize(("what", "comment", "kept"), TOO_LONG, ids=[case[0] for case in TOO_LONG])
def test_an_option_holds_65535_bytes_of_utf8(what: str, comment: str, kept: bytes) -> None:
    block = blocks.section_header(hardware="", os="", application="", comment=comment)
    assert options(block, 24) == [(1, kept), (0, b"")]
    assert struct.unpack_from("<I", block, 4) == struct.unpack_from("<I", block, len(block) - 4) == (len(block),)


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark and capinfos (apt install tshark)")
def test_other_tools_read_a_file_of_all_blocks_without_a_warning(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    packet = struct.pack("<IIIIIII", 6, 32 + 60 + 12, 1, 0x17A00000, 0, 60, 60) + bytes(60)
    file = tmp_path / "all.pcapng"
    file.write_bytes(
        blocks.section_header(hardware="x86_64", os="Linux 6", application="bicap", comment="é" * 40_000)
        + blocks.interfaces([blocks.InterfaceBlock("vb"), blocks.InterfaceBlock("eth0", "pod", "tcp", "L", bytes(6))])
        + blocks.names({ip_address("10.0.0.1"): "shop.web-0", ip_address("2001:db8::1"): "web-0"})
        + packet + struct.pack("<HHIII", 2, 4, 1, 0, 32 + 60 + 12)
        + b"".join(blocks.InterfaceStatistics(i, 1 << 60, (1 << 60) + 9, 5, 4, 3, 1).encode() for i in (0, 1))
    )  # fmt: skip
    oracle = ("tshark", "-n", "-X", "read_format:MIME Files Format", "-r", str(file))
    assert run(*oracle, "-q", "-z", "expert").strip() == ""
    kinds = run(*oracle, "-T", "fields", "-e", "pcapng.block.type").strip()
    assert kinds == "0x0a0d0d0a,0x00000001,0x00000001,0x00000004,0x00000006,0x00000005,0x00000005"
    info = run("capinfos", str(file))
    for text in ("Name = vb", "Name = eth0", "Description = pod", "Filter string = tcp", "Number of packets:   1"):
        assert text in info
    assert "Time precision = nanoseconds (9)" in info
    assert "Number of stat entries = 1" in info
