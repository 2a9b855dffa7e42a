"""Damaged files -> every view shows them as far as they can be read, without another error."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import generate
from testbed.every_answer import ask_everything
from testbed.foreign_blocks import capture_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1 << 32), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12), st.floats(0.3, 1)
)
def test_a_file_with_flipped_bits_and_cut_anywhere_is_read_or_refused(
    folder: Path, seed: int, flips: list[tuple[float, int]], kept: float
) -> None:
    chance = random.Random(seed)
    frames = [generate.packet(chance, number) for number in range(chance.randrange(1, 120))]
    content = bytearray(capture_file(frames, [chance.randrange(2) for _ in frames]))
    for where, value in flips:  # behind the section's header: the file stays a capture file
        content[28 + int(where * (len(content) - 29))] ^= value
    path = folder / "file"
    path.write_bytes(content[: max(28, int(kept * len(content)))])
    ask_everything(path)
