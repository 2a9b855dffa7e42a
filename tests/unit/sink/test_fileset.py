"""Files of a set have names that Wireshark recognises as one set."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sink.fileset import numbered

BEGAN = 1_795_561_551 * 10**9
LOCAL = time.strftime("%Y%m%d%H%M%S", time.localtime(BEGAN // 10**9))

NAMES = [
    ("out.pcapng", f"out_00001_{LOCAL}.pcapng"),
    ("/d.x/out.pcapng", f"/d.x/out_00001_{LOCAL}.pcapng"),
    ("out.pcapng.zst", f"out_00001_{LOCAL}.pcapng.zst"),
    ("/d.x/out", f"/d.x/out_00001_{LOCAL}"),
    (".hidden", f".hidden_00001_{LOCAL}"),
    ("node.eth0.pcapng", f"node.eth0_00001_{LOCAL}.pcapng"),
    ("out.zst", f"out_00001_{LOCAL}.zst"),
]


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_the_first_file_of_a_set(path: str, name: str) -> None:
    assert numbered(path, 1, BEGAN) == name


def test_the_number_always_has_five_digits() -> None:
    assert numbered("f", 99_999, BEGAN).startswith("f_99999_")
    assert numbered("f", 100_000, BEGAN).startswith("f_00000_")


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.integers(0, 10**7))
def test_two_files_never_share_a_name_unless_100000_begin_in_a_second(one: int, more: int, seconds: int) -> None:
    assume_apart = seconds if more % 100_000 else max(seconds, 1)
    first = numbered("f.pcapng", one, BEGAN)
    later = numbered("f.pcapng", one + more, BEGAN + assume_apart * 10**9)
    assert re.fullmatch(r"f_\d{5}_\d{14}\.pcapng", first)
    assert first != later
