"""Blocks that describe packets -> values: interfaces, names, statistics (draft-ietf-opsawg-pcapng, section 4).

The bytes are not trusted: a length that does not fit ends the list that it is in, and text is decoded with
replacements. Names are printed on terminals, so they are cut to NAME_MAX and have no control characters.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from capture.pcapng.blocks import BYTE_ORDER

DEFAULT_RESOLUTION = 6
NAME_MAX = 512
"""Most characters of a name: a DNS name has at most 253, and a pod's name is written behind its namespace's."""
OPTIONS_MAX = 4096
"""Bytes of an interface's options that are kept at most."""
_NAME_AND_TIMES = (2, 9, 14)
_NUMBERS = (8, 10, 16, 17)
"""Options with one number: if_speed, if_tzone, if_txspeed, if_rxspeed."""
_CUSTOM = 2988
"""From here on, options begin with a number of their maker."""


@dataclass(frozen=True, slots=True)
class InterfaceDescription:
    """One interface of a file: `link` is a LINKTYPE_, `resolution` an if_tsresol byte, `offset_s` an if_tsoffset."""

    link: int
    snaplen: int = 0
    name: str = ""
    resolution: int = DEFAULT_RESOLUTION
    offset_s: int = 0
    options: tuple[tuple[int, bytes], ...] = ()
    """The other options in their order, at most OPTIONS_MAX bytes; numbers are in this machine's byte order."""


@dataclass(frozen=True, slots=True)
class SectionDescription:
    """What a section's header says about the machine and the program; it is not trusted, and not shown."""

    hardware: str = ""
    os: str = ""
    application: str = ""
    comments: tuple[str, ...] = ()


class Description(Protocol):
    """The interfaces and names that have been read so far; numbers of interfaces are indices."""

    @property
    def interfaces(self) -> Sequence[InterfaceDescription]: ...

    @property
    def names(self) -> Mapping[IPv4Address | IPv6Address, str]: ...

    @property
    def section(self) -> SectionDescription:
        """Description of the first section."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The counts of the capturing program for an interface; a count is None if the file does not have it."""

    interface: int
    received: int | None = None
    dropped: int | None = None
    accepted: int | None = None
    dropped_by_os: int | None = None
    delivered: int | None = None
    comment: str = ""


def options(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the options of a block as (code, value), without opt_endofopt. `order` is "<" or ">"."""
    at = 0
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0 or at + 4 + length > len(body):
            return
        yield code, body[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)


def interface(body: bytes, order: str) -> InterfaceDescription:
    """Return the interface that the body of an Interface Description Block describes; it has at least 8 bytes."""
    link, _, snaplen = struct.unpack_from(order + "HHI", body)
    first: dict[int, bytes] = {}
    for code, value in options(body[8:], order):
        first.setdefault(code, value)
    resolution, offset = first.get(9, b""), first.get(14, b"")
    return InterfaceDescription(
        link=link,
        snaplen=snaplen,
        name=_name(first.get(2, b"")),
        resolution=resolution[0] if len(resolution) == 1 else DEFAULT_RESOLUTION,
        offset_s=struct.unpack(order + "q", offset)[0] if len(offset) == 8 else 0,
        options=tuple(_kept(options(body[8:], order), order)),
    )


def _kept(found: Iterable[tuple[int, bytes]], order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the options of an interface to keep beside its name and times."""
    left = OPTIONS_MAX
    for code, value in found:
        left -= 4 + len(value)
        if left < 0:
            return
        if code in _NAME_AND_TIMES or (order != BYTE_ORDER and code >= _CUSTOM):
            continue
        yield code, value[::-1] if order != BYTE_ORDER and code in _NUMBERS else value


def section(body: bytes, order: str) -> SectionDescription:
    """Return what the body of a Section Header Block says; it has at least 16 bytes."""
    found = list(options(body[16:], order))
    first = {code: _text(value) for code, value in reversed(found)}
    comments = tuple(_text(value) for code, value in found if code == 1)
    return SectionDescription(first.get(2, ""), first.get(3, ""), first.get(4, ""), comments)


def statistics(body: bytes, order: str) -> Statistics:
    """Return the counts in the body of an Interface Statistics Block, which has at least 12 bytes."""
    values = dict(options(body[12:], order))
    counts = {
        name: struct.unpack(order + "Q", values[code])[0]
        for code, name in ((4, "received"), (5, "dropped"), (6, "accepted"), (7, "dropped_by_os"), (8, "delivered"))
        if len(values.get(code, b"")) == 8
    }
    (number,) = struct.unpack_from(order + "I", body)
    return Statistics(number, **counts, comment=_text(values.get(1, b"")))


def names(body: bytes, order: str) -> Iterator[tuple[IPv4Address | IPv6Address, str]]:
    """Yield the address and the first name of each record in a Name Resolution Block."""
    sizes = {1: 4, 2: 16}
    for kind, value in options(body, order):
        size = sizes.get(kind, 0)
        if size and len(value) > size:
            yield ip_address(value[:size]), _name(value[size:])


def _text(value: bytes) -> str:
    return value.split(b"\0", 1)[0].decode("utf-8", "replace")


def _name(value: bytes) -> str:
    text = _text(value)[:NAME_MAX]
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
