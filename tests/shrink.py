"""A packet or an expression -> smaller ones; of those that still fail, the smallest is shown to a person."""

import re
from collections.abc import Callable, Iterable, Iterator

_JOINED = re.compile(r"\s*(?:and|or)\s*$"), re.compile(r"^\s*(?:and|or)\s*")
RUNNABLE = 14
"""Bytes of a packet that are always left: its Ethernet header."""


def smallest(text: str, fails: Callable[[str], bool]) -> str:
    """The expression, made smaller for as long as it fails."""
    while (found := next(filter(fails, smaller_expressions(text)), None)) is not None:
        text = found
    return text


def smaller_expressions(text: str) -> Iterator[str]:
    """Shorter texts, the shortest first: a part alone, or all but a part. Not each is an expression."""
    found = set()
    for begin, end in _parts(text):
        found.add(text[begin + 1 : end - 1])
        before, behind = text[:begin], text[end:]
        for shorter in (_JOINED[0].sub("", before) + behind, before + _JOINED[1].sub("", behind)):
            found.add(shorter.strip())
        found.add(re.sub(r"not\s*$", "", before) + text[begin:])
    return iter(sorted((one for one in found if one and len(one) < len(text)), key=lambda one: (len(one), one)))


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Where parentheses open, and behind where they close."""
    opened = []
    for at, sign in enumerate(text):
        if sign == "(":
            opened.append(at)
        elif sign == ")" and opened:
            yield opened.pop(), at + 1


def smallest_packet(packet: bytes, failing: Callable[[list[bytes]], Iterable[bytes]]) -> bytes:
    """The packet, cut and emptied for as long as it fails; `failing` tells which of many packets do."""
    while found := sorted(failing(list(_smaller_packets(packet))), key=_size):
        packet = found[0]
    return packet


def _smaller_packets(packet: bytes) -> Iterator[bytes]:
    """Cut from the end, without some bytes, or with a byte or all from there on zero."""
    for at in range(RUNNABLE, len(packet)):
        yield packet[:at]
        for without in (1, 4, 8):
            if at + without <= len(packet):
                yield packet[:at] + packet[at + without :]
    for at, byte in enumerate(packet):
        if byte:
            yield packet[:at] + b"\0" + packet[at + 1 :]
        if any(packet[at + 1 :]):
            yield packet[:at] + bytes(len(packet) - at)


def _size(packet: bytes) -> tuple[int, int]:
    return len(packet), len(packet) - packet.count(0)
