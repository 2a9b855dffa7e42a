"""Frames of each link layer, with layers between it and IP -> decoded as on Ethernet; tshark finds the same ends."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.packet_table import PACKET
from capture.analysis.packets.reading import CaptureFile
from capture.arrays.aliases import Table
from capture.wire.link_names import LINK_NAMES, link_name
from capture.wire.link_types import (
    C_HDLC,
    ETHERNET,
    IPV4,
    IPV6,
    LINK_TYPES,
    LINUX_SLL,
    LINUX_SLL2,
    LOOP,
    NFLOG,
    NULL,
    PPP,
    PPP_ETHER,
    PPP_HDLC,
    PPP_WITH_DIR,
    RAW,
    RAW_BSD,
    RAW_OPENBSD,
)
from testbed import packets
from testbed.foreign_blocks import enhanced, interface, section

PLAIN = {
    4: packets.tcp("10.0.0.1", 1000, "10.0.0.2", 80, packets.ACK, b"payload", sequence=7),
    6: packets.tcp("fd00::1", 1000, "fd00::2", 80, packets.ACK, b"payload"),
}
MACS = packets.NODE_MAC + packets.POD_MAC


def kind(family: int) -> bytes:
    return b"\x08\x00" if family == 4 else b"\x86\xdd"


def ppp(family: int) -> bytes:
    return b"\x00\x21" if family == 4 else b"\x00\x57"


def nflog(order: str, family: int, content: bytes) -> bytes:
    def attribute(number: int, value: bytes) -> bytes:
        return struct.pack(order + "HH", 4 + len(value), number) + value + bytes(-len(value) % 4)

    head = struct.pack("!BBH", 2 if family == 4 else 10, 0, 3)
    return head + attribute(1, kind(family) + b"\1\0") + attribute(10, b"prefix\0") + attribute(9, content)


LABEL, LAST = b"\x00\x01\x00\x40", b"\x00\x02\x01\x40"
PPPOE = b"\x88\x64\x11\x00\x00\x07"
"""Link type, and the bytes before the IP header; a function of family and packet where they depend on it."""
CASES = {
    "Ethernet": (ETHERNET, lambda f, p: MACS + kind(f) + p),
    "VLAN": (ETHERNET, lambda f, p: MACS + b"\x81\x00\0\7" + kind(f) + p),
    "QinQ": (ETHERNET, lambda f, p: MACS + b"\x88\xa8\0\7\x81\x00\0\x08" + kind(f) + p),
    "802.1ah": (ETHERNET, lambda f, p: MACS + b"\x88\xe7\0\0\0\x2a" + MACS + kind(f) + p),
    "802.1ah with VLANs": (
        ETHERNET,
        lambda f, p: MACS + b"\x88\xa8\0\1\x88\xe7\0\0\0\x2a" + MACS + b"\x81\0\0\2" + kind(f) + p,
    ),
    "MPLS": (ETHERNET, lambda f, p: MACS + b"\x88\x47" + LAST + p),
    "MPLS of three labels in a VLAN": (
        ETHERNET,
        lambda f, p: MACS + b"\x81\x00\0\7\x88\x48" + LABEL + LABEL + LAST + p,
    ),
    "PPPoE": (ETHERNET, lambda f, p: MACS + PPPOE + (2 + len(p)).to_bytes(2, "big") + ppp(f) + p),
    "PPPoE of MPLS": (
        ETHERNET,
        lambda f, p: MACS + PPPOE + (6 + len(p)).to_bytes(2, "big") + b"\x02\x81" + LAST + p,
    ),
    "SNAP": (ETHERNET, lambda f, p: MACS + (8 + len(p)).to_bytes(2, "big") + b"\xaa\xaa\3\0\0\0" + kind(f) + p),
    "Linux cooked": (LINUX_SLL, lambda f, p: b"\0\0\0\1\0\6" + bytes(8) + kind(f) + p),
    "Linux cooked with a VLAN": (
        LINUX_SLL,
        lambda f, p: b"\0\0\0\1\0\6" + bytes(8) + b"\x81\0\0\7" + kind(f) + p,
    ),
    "Linux cooked with SNAP": (
        LINUX_SLL,
        lambda f, p: b"\0\0\0\1\0\6" + bytes(8) + b"\0\4\xaa\xaa\3\0\0\0" + kind(f) + p,
    ),
    "Linux cooked 2": (LINUX_SLL2, lambda f, p: kind(f) + b"\0\0\0\0\0\1\0\1\0\6" + bytes(8) + p),
    "PPP": (PPP, lambda f, p: b"\xff\3" + ppp(f) + p),
    "PPP with short fields": (PPP, lambda f, p: ppp(f)[1:] + p),
    "PPP in HDLC": (PPP_HDLC, lambda f, p: b"\xff\3" + ppp(f) + p),
    "Cisco HDLC where PPP is announced": (PPP_HDLC, lambda f, p: b"\x0f\0" + kind(f) + p),
    "PPP with a direction": (PPP_WITH_DIR, lambda f, p: b"\1\xff\3" + ppp(f) + p),
    "a PPPoE session": (PPP_ETHER, lambda f, p: b"\x11\0\0\7" + (2 + len(p)).to_bytes(2, "big") + ppp(f) + p),
    "Cisco HDLC": (C_HDLC, lambda f, p: b"\x0f\0" + kind(f) + p),
    "NFLOG": (NFLOG, lambda f, p: nflog("<", f, p)),
    "NFLOG of a big-endian machine": (NFLOG, lambda f, p: nflog(">", f, p)),
    "loopback": (NULL, lambda f, p: (2 if f == 4 else 30).to_bytes(4, "little") + p),
    "OpenBSD loopback": (LOOP, lambda f, p: (2 if f == 4 else 24).to_bytes(4, "big") + p),
    "raw": (RAW, lambda f, p: p),
}
OF_THE_FRAME = ("captured", "original", "payload_at", "vlan")
NOT_TSHARKS = {"NFLOG of a big-endian machine"}
"""tshark takes NFLOG's numbers for those of this machine."""


def decoded(frame: bytes, link: int, behind: bytes = b"") -> Table:
    rows = np.zeros(1, PACKET)
    rows["captured"] = rows["original"] = len(frame)
    decode(np.frombuffer(frame + behind, np.uint8), np.array([link], np.int64), rows, 1)
    return rows


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("case", CASES)
def test_a_frame_is_decoded_as_on_ethernet(case: str, family: int) -> None:
    link, wrap = CASES[case]
    frame = wrap(family, PLAIN[family][14:])
    rows, expected = decoded(frame, link), decoded(PLAIN[family], ETHERNET)
    assert rows["family"] == family
    columns = [name for name in rows.dtype.names or () if name not in OF_THE_FRAME]
    assert {name: rows[name].tolist() for name in columns} == {name: expected[name].tolist() for name in columns}
    assert frame[int(rows["payload_at"][0]) :].rstrip(b"\0") == b"payload"


@pytest.mark.parametrize("case", CASES)
def test_a_frame_that_is_cut_anywhere_is_not_read_behind_its_end(case: str) -> None:
    link, wrap = CASES[case]
    whole = wrap(4, PLAIN[4][14:])
    for length in range(len(whole) - 20 - 20 - 7):
        row = decoded(whole[:length], link, behind=whole[length:])[0]
        assert row["family"] == 0
        assert row["payload_at"] <= length


def test_tshark_finds_the_same_ends(tmp_path: Path) -> None:
    cases = [(family, *CASES[case]) for case in CASES if case not in NOT_TSHARKS for family in (4, 6)]
    content = section("<") + b"".join(interface("<", link=link) for _, link, _ in cases)
    for number, (family, _, wrap) in enumerate(cases):
        content += enhanced("<", wrap(family, PLAIN[family][14:]), number, number)
    (tmp_path / "file").write_bytes(content)
    words = ["-T", "fields", "-e", "ip.src", "-e", "ipv6.src", "-e", "tcp.srcport"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(tmp_path / "file"), *words], capture_output=True, text=True, check=True
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines == [["10.0.0.1", "", "1000"] if family == 4 else ["", "fd00::1", "1000"] for family, _, _ in cases]
    with CaptureFile(str(tmp_path / "file")) as file:
        assert [int(port) for batch in file for port in batch.packets["source_port"]] == [1000] * len(cases)


@pytest.mark.parametrize(
    "frame",
    [
        MACS + b"\x08\x06" + bytes(28),
        MACS + b"\x00\x20\xaa\xaa\3\0\0\0\x08\x06" + bytes(28),
        MACS + b"\x00\x20\x42\x42\3" + bytes(40),
        MACS + b"\x81\x00\0\7" * 40,
        MACS + b"\x88\x47" + LABEL * 40,
        MACS + b"\x88\x63" + bytes(40),
    ],
    ids=["ARP", "ARP in SNAP", "spanning tree", "many VLANs", "many labels", "PPPoE discovery"],
)
def test_what_is_not_ip_has_no_family(frame: bytes) -> None:
    assert decoded(frame, ETHERNET)["family"] == 0


def test_link_types_have_the_names_that_wireshark_gives_them(tmp_path: Path) -> None:
    for number in sorted({*LINK_TYPES, 105, 127, 189, 195, 220, 253}):
        (tmp_path / "file").write_bytes(section("<") + interface("<", link=number) + enhanced("<", bytes(60), 1))
        done = subprocess.run(["capinfos", str(tmp_path / "file")], capture_output=True, text=True, check=True)
        assert f"Encapsulation = {LINK_NAMES[number]} (" in done.stdout
        assert link_name(number) == f"{LINK_NAMES[number]} ({number})"
    assert (link_name(148), link_name(4711)) == ("USER 1 (148)", "4711")
    assert {RAW_BSD, RAW_OPENBSD, IPV6, IPV4} <= LINK_NAMES.keys()
