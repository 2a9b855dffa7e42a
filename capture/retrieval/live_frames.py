"""What a node says in a live view -> frames in a stream, and back.

u32 little-endian length of the header, header in JSON, u32 length of the payload, payload.
"""

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

LENGTH = struct.Struct("<I")
HEADER_MOST, PAYLOAD_MOST = 1 << 16, 4 << 20
"""Longest header, and payload: a peer that says more is not one of ours."""
BLOCKS, WATERMARK, LOST, CLOCK, GONE, ENDED = "blocks", "watermark", "lost", "clock", "gone", "ended"


def frame(kind: str, node: str, payload: bytes = b"", **said: Any) -> bytes:
    """Return a frame of a node."""
    header = msgspec.json.encode({"node": node, "kind": kind, **said})
    return b"".join((LENGTH.pack(len(header)), header, LENGTH.pack(len(payload)), payload))


def frame_length(data: bytes | bytearray, at: int = 0) -> int:
    """Return the length of the frame that begins at `at`; 0 if too little is there. Raises ValueError."""
    if len(data) < at + LENGTH.size:
        return 0
    (header,) = LENGTH.unpack_from(data, at)
    if header > HEADER_MOST:
        raise ValueError(f"not a live frame: its header has {header} bytes")
    payload_at = at + LENGTH.size + header + LENGTH.size
    if len(data) < payload_at:
        return 0
    (payload,) = LENGTH.unpack_from(data, payload_at - LENGTH.size)
    if payload > PAYLOAD_MOST:
        raise ValueError(f"not a live frame: its payload has {payload} bytes")
    length: int = payload_at + payload - at
    return length


class WholeFrames:
    """Bytes as they come -> as many whole frames as there are. Raises ValueError for what is not a frame."""

    def __init__(self) -> None:
        self._held = bytearray()

    def add(self, data: bytes) -> bytes:
        """Return the bytes of the frames that are whole now."""
        self._held += data
        end = 0
        while (length := frame_length(self._held, end)) and end + length <= len(self._held):
            end += length
        whole = bytes(self._held[:end])
        del self._held[:end]
        return whole


def frames(data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield header and payload of whole frames."""
    at = 0
    while at < len(data):
        (header,) = LENGTH.unpack_from(data, at)
        text = data[at + LENGTH.size : at + LENGTH.size + header]
        end = at + frame_length(data, at)
        yield msgspec.json.decode(text, type=dict[str, Any]), data[at + 2 * LENGTH.size + header : end]
        at = end
