"""Addresses as two halves, as in tables <-> address objects; and both as text, with the names from a file."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

Names = Mapping[IPv4Address | IPv6Address, str]
"""Names of addresses, as a capture file has them."""


_LOW = (1 << 64) - 1


def halves(number: int) -> tuple[int, int]:
    """Return the two signed halves of an address's number, the upper one first."""
    high, low = number >> 64, number & _LOW
    return high - (high >> 63 << 64), low - (low >> 63 << 64)


def address(family: int, high: int, low: int) -> IPv4Address | IPv6Address:
    """Return the address that the two halves make."""
    return IPv4Address(low & 0xFFFFFFFF) if family == 4 else IPv6Address((high & _LOW) << 64 | (low & _LOW))


@lru_cache(1 << 16)
def address_text(family: int, high: int, low: int) -> str:
    """Return an address as text, as RFC 5952 has it: the end of an IPv4-mapped one in decimal."""
    found = address(family, high, low)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(found)


def place_text(family: int, high: int, low: int, port: int, names: Names | None = None) -> str:
    """Return the name of an address, or the address where it has none, and the port if it is not 0."""
    return f"{before_port(names, port > 0, family, high, low)}{port or ''}"


def before_port(names: Names | None, has_port: bool, family: int, high: int, low: int) -> str:
    """Return the name or the address; if a port follows, with a colon, and an IPv6 address in brackets."""
    name = names.get(address(family, high, low)) if names else None
    text = name or address_text(family, high, low)
    if not has_port:
        return text
    return f"{text}:" if name or family == 4 else f"[{text}]:"
