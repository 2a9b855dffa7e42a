"""Fields -> pcapng blocks and files, in either byte order, as strangers write them."""

import struct


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str, minor: int = 0) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, minor, -1))


def interface(order: str, options: bytes = b"", link: int = 1, snaplen: int = 0) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snaplen) + options)


def enhanced(
    order: str, data: bytes, ticks: int, number: int = 0, original: int = 0, flags: int | None = None
) -> bytes:
    options = b"" if flags is None else option(order, 2, struct.pack(order + "I", flags)) + bytes(4)
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), original or len(data))
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def capture_file(frames: list[bytes], interfaces: list[int]) -> bytes:
    """A little-endian file of two interfaces, with the number of one for each frame."""
    caught = enumerate(zip(frames, interfaces, strict=True))
    blocks = [enhanced("<", frame, 1000 + at, number) for at, (frame, number) in caught]
    return section("<") + interface("<") * 2 + b"".join(blocks)
