"""What a capture tells whoever reads its files while it runs: a message, as JSON in one packet of a socket."""

import msgspec

MESSAGE_MOST = 1 << 16
FILES_MOST = 200
"""Files that one message names, the latest."""


class WrittenFiles(msgspec.Struct, frozen=True):
    """How far files are written: whole blocks, up to a size; and how many packets they have together."""

    files: list[tuple[str, int]]
    packets: int
    over: bool = False
    until_ns: int = 0
    """Wall-clock time before which all packets are in these files or those before; 0 if that is not told."""


def packed(written: WrittenFiles) -> bytes:
    """Return the bytes of a message."""
    return msgspec.json.encode(written)


def written_files_of(message: bytes) -> WrittenFiles:
    """Return the message of these bytes."""
    return msgspec.json.decode(message, type=WrittenFiles)
