"""What the process that evaluates rules tells a recorder: a message, as JSON in one packet of a socket."""

import msgspec

FIRINGS_MOST = 100
"""Firings of one message; so many prolong and begin nothing more than fewer."""


class RuleFiring(msgspec.Struct, frozen=True):
    """A rule that fired. Times are those of the packets, wall-clock ns."""

    rule: str
    at_ns: int
    value: int | float | str | None
    session: str | None
    packet_ns: int | None
    reason: str
    file: str
    """The file that has the packet, "" if none of the latest packets is it."""
    number: int
    """The packet's number in that file, from 1 on."""


class RuleFirings(msgspec.Struct, frozen=True):
    """What has fired, and how many packets the rules did not see so far."""

    firings: list[RuleFiring]
    missed: int


def packed_firings(found: RuleFirings) -> bytes:
    """Return the bytes of a message."""
    return msgspec.json.encode(found)


def firings_of(message: bytes) -> RuleFirings:
    """Return the message of these bytes."""
    return msgspec.json.decode(message, type=RuleFirings)
