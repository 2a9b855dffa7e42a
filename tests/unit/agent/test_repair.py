"""A file of a killed capture -> whole blocks, each packet counted, wherever the file was cut."""

import struct
from pathlib import Path

from capture.agent.repair import repair
from capture.pcapng.blocks import InterfaceBlock, interfaces, section_header

HEADER = section_header(hardware="", os="", application="", comment="") + interfaces([InterfaceBlock("eth0")])


def packet(at_ns: int, size: int) -> bytes:
    """Return an Enhanced Packet Block."""
    length = 32 + (size + 3 & ~3)
    fixed = struct.pack("<IIIIIII", 6, length, 0, at_ns >> 32, at_ns & 0xFFFFFFFF, size, size)
    return fixed + bytes(length - 32) + struct.pack("<I", length)


def test_a_file_that_was_cut_anywhere_has_its_whole_packets(tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    blocks = [packet((1 << 32) + number, 60 + number) for number in range(5)]
    whole = HEADER + b"".join(blocks)
    for size in range(len(HEADER), len(whole) + 1):
        file.write_bytes(whole[:size])
        kept = [block for number, block in enumerate(blocks) if len(HEADER + b"".join(blocks[: number + 1])) <= size]
        found = repair(str(file))
        assert found.packets == len(kept)
        assert file.read_bytes() == HEADER + b"".join(kept)
        assert found.last_ns == ((1 << 32) + len(kept) - 1 if kept else 0)
        assert found.cut == size - found.bytes


def test_zeros_after_the_last_block_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    file.write_bytes(HEADER + packet(1, 60) + bytes(4096))
    assert repair(str(file)).packets == 1
    assert file.read_bytes() == HEADER + packet(1, 60)


def test_a_file_larger_than_a_piece_is_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    block = packet(7, 1500)
    file.write_bytes(HEADER + block * 6000)
    assert repair(str(file)).packets == 6000


def test_what_is_no_pcapng_file_is_left_as_it_is(tmp_path: Path) -> None:
    for content in (b"", b"\x28\xb5\x2f\xfd" + bytes(100)):
        file = tmp_path / "f.pcapng.zst"
        file.write_bytes(content)
        assert repair(str(file)).packets == 0
        assert file.read_bytes() == content
