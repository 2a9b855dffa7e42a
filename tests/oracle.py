"""libpcap's own verdict on a packet, and what a packet looks like to it: the oracle of the matching tests.

`mirror` and `plain` are written from the RFCs and share nothing with the C programs.
"""

import ctypes
import functools
import struct

from capture.filters.libpcap import DLT_EN10MB, PCAP_NETMASK_UNKNOWN, SNAPLEN, BpfProgram, library

HEAD = 128
"""A mirror is made of this much of a packet: docs/matching.md."""
VLANS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
PORTS = (6, 17, 132)
ANSWERS = {1: {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 9: 10, 10: 9},
           58: {128: 129, 129: 128, 133: 134, 134: 133, 135: 136, 136: 135}}  # fmt: skip


class _PacketHeader(ctypes.Structure):
    _fields_ = (
        ("seconds", ctypes.c_long),
        ("micro", ctypes.c_long),
        ("caplen", ctypes.c_uint32),
        ("len", ctypes.c_uint32),
    )


@functools.lru_cache(4096)
def _compiled(text: str) -> BpfProgram:
    pcap, program = library(), BpfProgram()
    handle = pcap.pcap_open_dead(DLT_EN10MB, SNAPLEN)
    refused = pcap.pcap_compile(handle, ctypes.byref(program), text.encode(), 1, PCAP_NETMASK_UNKNOWN)
    assert not refused, f"{text!r}: {pcap.pcap_geterr(handle)}"
    pcap.pcap_close(handle)
    pcap.pcap_offline_filter.argtypes = [ctypes.POINTER(BpfProgram), ctypes.POINTER(_PacketHeader), ctypes.c_char_p]
    return program


def matches(text: str, packet: bytes) -> bool:
    """Whether libpcap's pcap_offline_filter() accepts the packet."""
    header = _PacketHeader(0, 0, len(packet), len(packet))
    program = _compiled(text)
    return bool(library().pcap_offline_filter(ctypes.byref(program), ctypes.byref(header), packet))


def _network(packet: bytes) -> tuple[int, bytes]:
    """Offset of the network layer behind at most two tags, and its EtherType."""
    at = 12
    while packet[at : at + 2] in VLANS and at < 20:
        at += 4
    return at + 2, packet[at : at + 2]


def plain(packet: bytes) -> bytes | None:
    """The packet as a rule sees it: no tags, no extension headers, no half transport header; None: never matches."""
    at, kind = _network(packet)
    if kind not in (b"\x08\x00", b"\x86\xdd"):
        return None
    data, least = packet[at:], 20 if kind == b"\x08\x00" else 40
    if len(data) < least:
        return None
    if kind == b"\x08\x00":
        transport, protocol = (data[0] & 15) * 4, data[9]
        later = struct.unpack("!H", data[6:8])[0] & 0x1FFF
    else:
        data, protocol, later = _without_extensions(data)
        transport = 40
    needed = 4 if protocol in PORTS else 2 if protocol in (1, 58) else 0
    if not later and len(data) < transport + needed:
        data = data[: max(transport, least)]
    return packet[:12] + kind + data


def _without_extensions(data: bytes) -> tuple[bytes, int, bool]:
    """An IPv6 packet without extension headers, its upper-layer protocol, and whether it is a later fragment."""
    protocol, at = data[6], 40
    for walked in range(9):
        if protocol not in (0, 43, 44, 51, 60, 135, 139, 140):
            break
        if walked == 8:
            continue
        header = data[at : at + 8]
        if len(header) < 8:
            return data[:40], data[6], True
        if protocol == 44:
            at, protocol = at + 8, header[0]
            if struct.unpack("!H", header[2:4])[0] & 0xFFF8:
                return data[:6] + bytes([protocol]) + data[7:40], protocol, True
        else:
            at += (header[1] + 2) * 4 if protocol == 51 else (header[1] + 1) * 8
            protocol = header[0]
    else:
        return data[:6] + b"\x3b" + data[7:40], 59, True  # more headers than are walked: no next header
    return data[:6] + bytes([protocol]) + data[7:40] + data[at:], protocol, False


def protochain(packet: bytes) -> list[int]:
    """The headers, by their numbers, that `ip6 protochain` follows at most; it may go round and round: up to 100.

    libpcap forgets where it was when it follows an authentication header: the next one is looked for at that header's
    own length from the start.
    """
    followed: list[int] = []
    kind, at, protocol = packet[12:14], 40, packet[20] if len(packet) > 20 else 59
    while kind == b"\x86\xdd" and protocol in (0, 43, 44, 51, 60) and len(followed) < 100:
        header = packet[14 + at : 14 + at + 2]
        if len(header) < 2:
            break
        followed.append(protocol)
        protocol, at = header[0], (header[1] + 2) * 4 if protocol == 51 else at + (header[1] + 1) * 8
    return followed


def extension_headers(packet: bytes) -> int:
    """How many extension headers an IPv6 packet has, as far as it goes."""
    at, kind = _network(packet)
    protocol, at, walked = packet[at + 6] if kind == b"\x86\xdd" and len(packet) > at + 6 else 59, at + 40, 0
    while protocol in (0, 43, 44, 51, 60, 135, 139, 140) and at + 2 <= len(packet):
        length = 8 if protocol == 44 else (packet[at + 1] + 2) * 4 if protocol == 51 else (packet[at + 1] + 1) * 8
        protocol, at, walked = packet[at], at + length, walked + 1
    return walked


def mirror(packet: bytes) -> bytes | None:
    """The packet with its two ends exchanged.

    None where what would be exchanged, or a header on the way there, is cut short, overlaps, or lies beyond HEAD.
    """
    out = bytearray(packet)

    def exchange(a: int, b: int, size: int) -> None:
        out[a : a + size], out[b : b + size] = out[b : b + size], out[a : a + size]

    at, kind = _network(packet)
    if len(packet) < at:
        return None
    exchange(0, 6, 6)
    rest = len(packet) - at
    if kind in (b"\x08\x06", b"\x80\x35"):
        exchange(at + 8, at + 18, 10)
        return bytes(out) if rest >= 28 else None
    if kind == b"\x08\x00":
        if rest < 20:
            return None
        exchange(at + 12, at + 16, 4)
        if struct.unpack("!H", packet[at + 6 : at + 8])[0] & 0x1FFF:
            return bytes(out)
        transport, protocol = at + (packet[at] & 15) * 4, packet[at + 9]
        if transport < at + 20:
            return None
    elif kind == b"\x86\xdd":
        if rest < 40:
            return None
        exchange(at + 8, at + 24, 16)
        transport, protocol = at + 40, packet[at + 6]
        for _ in range(4):
            if protocol not in (0, 43, 44, 60):
                break
            header = packet[transport : transport + 8]
            if len(header) < 8 or transport + 8 > HEAD:
                return None
            if protocol == 44 and struct.unpack("!H", header[2:4])[0] & 0xFFF8:
                return bytes(out)
            transport += 8 if protocol == 44 else (header[1] + 1) * 8
            protocol = header[0]
    else:
        return bytes(out)
    if protocol in (*PORTS, *ANSWERS) and transport + 4 > HEAD:
        return None
    if protocol in PORTS:
        if len(packet) < transport + 4:
            return None
        exchange(transport, transport + 2, 2)
    elif protocol in ANSWERS:
        if len(packet) < transport + 1:
            return None
        out[transport] = ANSWERS[protocol].get(out[transport], out[transport])
    return bytes(out)
