"""A frame in a tunnel -> the columns of the frame without it; other frames and damaged tunnels stay unchanged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from capture.analysis.packets.compiled.tunnels import unwrap
from capture.analysis.packets.packet_table import Kind
from testbed import packets
from tests.unit.analysis.scripted_packets import decoded

OUTER = ("172.16.0.1", "172.16.0.2")
OUTER6 = ("fd01::1", "fd01::2")
TCP = packets.tcp("10.0.0.1", 1000, "10.0.0.2", 80, packets.ACK, b"payload", sequence=7)
TCP6 = packets.tcp("fd00::1", 1000, "fd00::2", 80, packets.ACK, b"payload")
OF_THE_FRAME = ("number", "time_ns", "offset", "captured", "original", "interface", "payload_at")


def geneve_of_ip(outer: tuple[str, str], frame: bytes) -> bytes:
    return packets.udp(outer[0], 5555, outer[1], 6081, b"\x01\0" + frame[12:14] + bytes(8) + frame[14:])


def gtp(outer: tuple[str, str], frame: bytes, flags: bytes, more: bytes = b"") -> bytes:
    length = (len(more) + len(frame) - 14).to_bytes(2, "big")
    return packets.udp(outer[0], 5555, outer[1], 2152, flags + b"\xff" + length + b"\0\0\0\7" + more + frame[14:])


TUNNELS: dict[str, Callable[[tuple[str, str], bytes], bytes]] = {
    "VXLAN": packets.vxlan,
    "VXLAN, Linux's port": lambda outer, frame: packets.vxlan(outer, frame, 8472),
    "VXLAN of a VLAN": lambda outer, frame: packets.vxlan(outer, packets.vlan(frame, (0x8100, 7))),
    "Geneve": packets.geneve,
    "Geneve with options": lambda outer, frame: packets.geneve(outer, frame, bytes(8)),
    "Geneve without Ethernet": geneve_of_ip,
    "GRE": packets.gre,
    "GRE with a key": lambda outer, frame: packets.gre(outer, frame, key=True),
    "GRE of Ethernet": lambda outer, frame: packets.gre(outer, frame, ethernet_inside=True),
    "IP in IP": packets.ip_in_ip,
    "GRE of MPLS": lambda outer, frame: packets.ip(*outer, 47, b"\0\0\x88\x47\0\2\1\x40" + frame[14:]),
    "ERSPAN I": lambda outer, frame: packets.ip(*outer, 47, b"\0\0\x88\xbe" + frame),
    "ERSPAN II": lambda outer, frame: packets.ip(
        *outer, 47, b"\x10\0\x88\xbe" + bytes(4) + b"\x10" + bytes(7) + frame
    ),
    "ERSPAN III": lambda outer, frame: packets.ip(
        *outer, 47, b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(11) + frame
    ),
    "ERSPAN III with a subheader": lambda outer, frame: packets.ip(
        *outer, 47, b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(10) + b"\1" + bytes(8) + frame
    ),
    "GTP-U": lambda outer, frame: gtp(outer, frame, b"\x30"),
    "GTP-U with a sequence number": lambda outer, frame: gtp(outer, frame, b"\x32", bytes(4)),
    "GTP-U with extensions": lambda outer, frame: gtp(
        outer, frame, b"\x34", b"\0\0\0\x85" + b"\1\x10\0\xc0" + b"\2" + bytes(7)
    ),
    "VXLAN in GRE": lambda outer, frame: packets.gre(outer, packets.vxlan(outer, frame)),
    "GRE in Geneve in IP in IP": lambda outer, frame: packets.ip_in_ip(
        outer, packets.geneve(outer, packets.gre(outer, frame))
    ),
}


def unwrapped(frame: bytes, behind: bytes = b"") -> Any:
    data, rows = decoded([(0.0, frame)])
    unwrap(np.concatenate([data, np.frombuffer(behind, np.uint8)]), rows)
    return rows


def plain(frame: bytes) -> Any:
    return decoded([(0, frame)])[1]


@pytest.mark.parametrize("outer", [OUTER, OUTER6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("inner", [TCP, TCP6], ids=["of IPv4", "of IPv6"])
@pytest.mark.parametrize("tunnel", TUNNELS)
def test_a_packet_in_a_tunnel_is_decoded_as_without_the_tunnel(
    tunnel: str, inner: bytes, outer: tuple[str, str]
) -> None:
    rows, expected = unwrapped(TUNNELS[tunnel](outer, inner)), plain(inner)
    columns = [name for name in rows.dtype.names or () if name not in OF_THE_FRAME]
    assert {name: rows[name].tolist() for name in columns} == {name: expected[name].tolist() for name in columns}
    assert rows["original"] == len(TUNNELS[tunnel](outer, inner))
    assert rows["payload_at"] == rows["captured"] - len(b"payload")


NO_TUNNELS = {
    "TCP": TCP,
    "UDP to another port": packets.udp(OUTER[0], 4789, OUTER[1], 53, bytes(8) + TCP),
    "VXLAN without a network": packets.udp(OUTER[0], 5555, OUTER[1], 4789, bytes(8) + TCP),
    "VXLAN of ARP": packets.vxlan(OUTER, packets.arp()),
    "Geneve of a later version": packets.udp(OUTER[0], 5555, OUTER[1], 6081, b"\x40\0\x65\x58" + bytes(4) + TCP),
    "GRE of PPTP": packets.ip(*OUTER, 47, b"\0\x01\x08\0" + TCP[14:]),
    "an echo request of GTP": packets.udp(OUTER[0], 5555, OUTER[1], 2152, b"\x32\1\0\4" + bytes(8)),
    "GTP-U of a later version": packets.udp(OUTER[0], 5555, OUTER[1], 2152, b"\x50\xff\0\4" + bytes(4) + TCP[14:]),
    "GTP-U with an endless extension": gtp(OUTER, TCP, b"\x34", b"\0\0\0\x85" + bytes(4)),
    "a fragment": packets.ip(*OUTER, 4, TCP[14:], fragment=0x2000),
    "cut in the tunnel's header": packets.vxlan(OUTER, TCP)[: 14 + 20 + 8 + 7],
}


@pytest.mark.parametrize("frame", NO_TUNNELS.values(), ids=NO_TUNNELS)
def test_a_packet_that_is_not_a_tunnel_stays_unchanged(frame: bytes) -> None:
    assert unwrapped(frame).tolist() == plain(frame).tolist()


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_a_packet_cut_inside_a_tunnel_is_in_no_session_and_no_byte_behind_it_is_read(tunnel: str) -> None:
    frame = TUNNELS[tunnel](OUTER, TCP)
    for length in range(len(frame) - len(TCP) + 14, len(frame) - 7 - 32):
        row = unwrapped(frame[:length], behind=frame[length:])[0]
        assert row["kind"] & Kind.CUT
