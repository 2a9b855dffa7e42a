"""The load of an interface per second, and its text form: 100kpps,800B -> packets and bytes."""

import re
from dataclasses import dataclass

from capture.errors import SpecError
from capture.units import DECIMAL_PREFIXES

PACKET_LEAST, PACKET_MOST = 14, 65_535
"""Bytes of the smallest packet, an Ethernet header, and of the largest that the kernel passes on in most cases."""
_AMOUNT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([kmg]?)(pps|bit|b)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """Packets and bytes per second."""

    packets: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class InterfaceLoad:
    """The load of an interface, by the program that would see it."""

    name: str
    from_pod: Load
    to_pod: Load


def parse_assumed(text: str, option: str = "--assume") -> InterfaceLoad:
    """Turn a total like "100kpps,800B", "10mbit,800B" or "100kpps,10mbit" into a load with half of it in each
    direction.

    Raises SpecError.
    """
    given: dict[str, float] = {}
    for word in text.split(","):
        match = _AMOUNT.fullmatch(word)
        if match is None or match[3].lower() in given:
            given.clear()
            break
        given[match[3].lower()] = float(match[1]) * DECIMAL_PREFIXES[match[2].lower()]
    if len(given) != 2:
        raise SpecError(
            f"{option} {text!r} is not understood; write two of packets, packet size and bits per second, "
            "like 100kpps,800B or 10mbit,800B"
        )
    if not all(given.values()):
        raise SpecError(f"{option} {text!r} is not more than 0")
    size = given["b"] if "b" in given else given["bit"] / 8 / given["pps"]
    if not PACKET_LEAST <= size <= PACKET_MOST:
        raise SpecError(f"{option} {text!r}: a packet of {size:g} bytes is not from {PACKET_LEAST} to {PACKET_MOST}")
    packets = given["pps"] if "pps" in given else given["bit"] / 8 / size
    half = Load(packets / 2, packets * size / 2)
    return InterfaceLoad("assumed", half, half)
