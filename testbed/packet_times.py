"""Whole blocks of pcapng in this machine's byte order -> the times of their packets."""

from capture.pcapng import blocks


def packet_times(data: bytes) -> list[int]:
    """Return them in the order of the blocks."""
    times, at = [], 0
    while at < len(data):
        kind, length = blocks.HEAD.unpack_from(data, at)
        if kind == blocks.ENHANCED_PACKET:
            _, _, _, high, low = blocks.PACKET_HEAD.unpack_from(data, at)
            times.append(blocks.time_of(high, low))
        at += length
    return times
