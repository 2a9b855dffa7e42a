"""Captures of two nodes -> files: conversations that go well, and those that the questions ask for."""

import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

from capture.pcapng.blocks import InterfaceBlock, interfaces, names, section_header
from testbed import packets
from tests.unit.analysis.scripted_packets import HANDSHAKE, MS, SA, A, F, Frame, R, S, segment

START_NS = 1_764_460_500 * 10**9
"""Time of the first packet: 2025-11-29 23:55 UTC, so that the later ones are of the next day."""
NAMES = {ip_address("10.0.0.1"): "shop/web-0", ip_address("10.0.0.2"): "bank/api-0", ip_address("10.0.0.9"): "node-b"}


def write(file: Path, node: str, pod: str, labels: str, frames: Iterable[Frame]) -> Path:
    """Write frames at ms after START_NS as a file of a pod's interface on that node."""
    description = (
        f"pod {pod}, UID 1-2, labels {labels}, node {node}, host interface veth0, ifindex 3; inbound is to the pod"
    )
    content = section_header(hardware="", os="", application="", comment="")
    content += interfaces([InterfaceBlock(f"{pod}:eth0", description)]) + names(NAMES)
    for ms, frame in sorted(frames, key=lambda one: one[0]):
        time_ns, padding = START_NS + round(ms * MS), bytes(-len(frame) % 4)
        total = 32 + len(frame) + len(padding)
        head = struct.pack("<IIIIIII", 6, total, 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), len(frame))
        content += head + frame + padding + struct.pack("<I", total)
    file.write_bytes(content)
    return file


def request(ms: float, port: int, wait_ms: float, server: int = 80) -> list[Frame]:
    """A handshake, a request of 100 bytes, an answer of 3,000 after a while, and the end; ms are those of the SYN."""
    ports = (port, server)
    steps = [
        (0, "client", S, 0, 0, 0), (10, "server", SA, 0, 1, 0), (13, "client", A, 1, 1, 0),
        (20, "client", A, 1, 1, 100), (22, "server", A, 1, 101, 0),
        (20 + wait_ms, "server", A, 1, 101, 1448), (20.1 + wait_ms, "server", A, 1449, 101, 1448),
        (24 + wait_ms, "client", A, 101, 2897, 0), (25 + wait_ms, "client", F, 101, 2897, 0),
        (26 + wait_ms, "server", F, 2897, 102, 0), (29 + wait_ms, "client", A, 102, 2898, 0),
    ]  # fmt: skip
    return [segment(ms + at, sender, *more, ports=ports) for at, sender, *more in steps]


def refused(ms: float, port: int) -> list[Frame]:
    """A closed port."""
    ports = (port, 81)
    return [segment(ms, "client", S, ports=ports), segment(ms + 0.1, "server", R | A, 0, 1, ports=ports)]


def black_hole(ms: float, port: int) -> list[Frame]:
    """Small segments arrive, a large one is sent again and again."""
    opening = [_on_port((ms + at, frame), port) for at, frame in HANDSHAKE]
    small = [
        segment(ms + 20, "client", A, 1, 1, 100, ports=(port, 80)),
        segment(ms + 21, "server", A, 1, 101, ports=(port, 80)),
    ]
    tries = [segment(ms + 300 * 2**n, "client", A, 101, 1, 1448, ports=(port, 80)) for n in range(5)]
    return [*opening, *small, *tries]


def _on_port(frame: Frame, port: int) -> Frame:
    ms, data = frame
    at = 34 if data[26:30] == bytes((10, 0, 0, 1)) else 36  # the client's port
    return ms, data[:at] + port.to_bytes(2, "big") + data[at + 2 :]


def question(ms: float, port: int, name: str, code: int | None) -> list[Frame]:
    """A DNS query, and its answer with this code, or none."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    asked = struct.pack("!HHHHHH", port, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)
    frames = [(ms, packets.udp("10.0.0.1", port, "10.0.0.9", 53, asked))]
    if code is not None:
        answer = struct.pack("!HHHHHH", port, 0x8180 | code, 1, 0, 0, 0) + asked[12:]
        frames.append((ms + 2, packets.udp("10.0.0.9", 53, "10.0.0.1", port, answer)))
    return frames


def lossy(ms: float, port: int) -> list[Frame]:
    """A segment of the client that was lost before the point, so that it comes after later ones."""
    ports = (port, 80)
    opening = [_on_port((ms + at, frame), port) for at, frame in HANDSHAKE]
    return [
        *opening,
        segment(ms + 20, "client", A, 1, 1, 1000, ports=ports),
        segment(ms + 20.1, "client", A, 2001, 1, 1000, ports=ports),
        segment(ms + 20.2, "server", A, 1, 1001, ports=ports),
        segment(ms + 250, "client", A, 1001, 1, 1000, ports=ports),
        segment(ms + 251, "server", A, 1, 3001, ports=ports),
    ]


def conversations() -> list[Frame]:
    """All of them, over ten minutes."""
    well = [frame for at in range(40) for frame in request(at * 15_000, 40_000 + at, 5 if at < 20 else 50)]
    return [
        *well, *refused(1000, 50_000), *refused(2000, 50_001), *black_hole(3000, 51_000),
        *question(4000, 52_000, "web.shop", 0), *question(5000, 52_001, "nowhere.shop", 3),
        *question(6000, 52_002, "silent.shop", None), *lossy(7000, 53_000),
        segment(8000, "client", S, ports=(54_000, 80)), segment(9000, "client", S, ports=(54_000, 80)),
        (8500, packets.arp()), (8600, packets.icmp("10.0.0.1", "10.0.0.2")),
        (8601, packets.icmp("10.0.0.2", "10.0.0.1", 0)),
    ]  # fmt: skip


def seen_elsewhere(frames: Sequence[Frame]) -> list[Frame]:
    """The same frames at the server's node: later ones of the client, earlier ones of the server; one is missing."""
    moved = [(ms + (0.04 if frame[26:30] == bytes((10, 0, 0, 1)) else -0.04), frame) for ms, frame in frames]
    return [one for at, one in enumerate(moved) if at != 8]


def two_nodes(folder: Path) -> Path:
    """Write node-a.pcapng, of the client, and node-b.pcapng, of the server."""
    frames = conversations()
    write(folder / "node-a.pcapng", "a", "shop/web-0", "app=web,tier=front", frames)
    write(folder / "node-b.pcapng", "b", "bank/api-0", "app=api", seen_elsewhere(frames))
    return folder
