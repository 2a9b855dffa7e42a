"""A capture of pods -> what tshark says of each packet, with the names that the file itself brings."""

import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FIELDS = {
    "interface": "frame.interface_name",
    "source": "ip.src_host",
    "source6": "ipv6.src_host",
    "destination": "ip.dst_host",
    "destination6": "ipv6.dst_host",
    "direction": "frame.packet_flags_direction",
}


@dataclass(frozen=True)
class NamedPacket:
    """A packet: where it was caught, from and to whom, and whether it went into the pod or out of it."""

    interface: str
    source: str
    destination: str
    way: str


def seen(file: Path, display: str = "tcp") -> list[NamedPacket]:
    """The packets that a display filter lets through."""
    fields = [word for field in _FIELDS.values() for word in ("-e", field)]
    command = ["tshark", "-n", "-N", "n", "-r", str(file), "-Y", display, "-T", "fields", *fields]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = []
    for line in done.stdout.splitlines():
        row = dict(zip(_FIELDS, line.split("\t"), strict=True))
        way = {"0x00000001": "in", "0x00000002": "out"}[row["direction"]]
        ends = (row["source"] or row["source6"], row["destination"] or row["destination6"])
        found.append(NamedPacket(row["interface"], *ends, way))
    return found


def conversations(packets: Sequence[NamedPacket]) -> Counter[tuple[str, str, str, str]]:
    """How many packets of each kind there are."""
    return Counter((p.interface, p.source, p.destination, p.way) for p in packets)


def both_ways(interface: str, pod: str, peer: str) -> set[tuple[str, str, str, str]]:
    """What a conversation of a pod with a peer is made of, at the pod's interface."""
    return {(interface, pod, peer, "out"), (interface, peer, pod, "in")}
