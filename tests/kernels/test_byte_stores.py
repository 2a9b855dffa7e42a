"""Compiled programs -> no value is written byte by byte: clang does that where it does not know the alignment.

A copy of the record as 24 single bytes, each with its shift, was a quarter of all instructions of a capture.
"""

import struct
from collections import defaultdict
from itertools import pairwise

import pytest

from capture.kernel.counters import possible_cpus
from capture.kernel.kept import compiled_once
from tests.kernel.harness import KEPT
from tests.kernels.variants import variants

# include/uapi/linux/bpf.h: BPF_ST and BPF_STX with BPF_MEM and BPF_B; then the classes of jumps, and of those that
# change the destination register.
_BYTE_STORES, _JUMPS, _LOADS_AND_SUMS = (0x72, 0x73), (5, 6), (0, 1, 4, 7)
CASES = ("everything", "rules: ports and networks", "rules: inner", "rules, sampled by all", "XDP: rules")


def longest_run_of_byte_stores(code: bytes) -> int:
    """Return the most bytes in a row that one stretch of instructions without a jump writes one by one."""
    longest = 0
    written: defaultdict[int, set[int]] = defaultdict(set)
    for operation, registers, offset, _ in struct.iter_unpack("=BBhi", code):
        target, kind = registers & 15, operation & 7
        if operation in _BYTE_STORES:
            written[target].add(offset)
            run = length = 1
            for before, after in pairwise(sorted(written[target])):
                length = length + 1 if after == before + 1 else 1
                run = max(run, length)
            longest = max(longest, run)
        elif kind in _JUMPS:
            written.clear()
        elif kind in _LOADS_AND_SUMS:
            written.pop(target, None)
    return longest


def test_bytes_written_one_by_one_are_found() -> None:
    stores = b"".join(struct.pack("=BBhi", 0x73, 0x2A, offset, 0) for offset in (-8, -6, -7, 3))
    assert longest_run_of_byte_stores(stores) == 3


@pytest.mark.parametrize("name", CASES)
def test_programs_do_not_write_byte_by_byte(name: str) -> None:
    variant = variants()[name]
    sizes = {
        "SNAPLEN": 262144,
        "ROWS": 2,
        "CPUS": possible_cpus(),
        "RING_BYTES": 1 << 20,
        "OVERFLOW_BYTES": 0,
        "BATCHING": 1,
    }
    defines = {**sizes, "COARSE_CLOCK": 1, **variant.defines}
    compiled = compiled_once(variant.wanted, variant.sampling, defines, variant.xdp, KEPT)
    try:
        for function, code in {**compiled.code, "xdp": compiled.xdp or b""}.items():
            assert longest_run_of_byte_stores(code) < 4, function
    finally:
        compiled.close()
