"""Compiled instructions -> the same with other constants and maps in their 64-bit loads (BPF_LD_IMM64).

struct bpf_insn (include/uapi/linux/bpf.h): code u8, registers u8, offset s16, immediate s32. A load of 64 bits is two
of these, with the halves of the value in their immediates. Its source register says if the value is a map's
descriptor.
"""

import sys
from collections.abc import Iterator, Mapping

from capture.errors import CompileError

_LD_IMM64, _PSEUDO_MAP_FD = 0x18, 1
_SIZE = 8


def with_constant(instructions: bytes, placeholder: int, value: int, needed: bool) -> bytes:
    """Return the instructions with a 32-bit value in place of a placeholder, in every 64-bit load of it.

    Raises CompileError if there is no such load and it is `needed`.
    """
    code, halves = bytearray(instructions), (placeholder & 0xFFFFFFFF, placeholder >> 32)
    loads = [at for at in _loads(code) if (_immediate(code, at), _immediate(code, at + _SIZE)) == halves]
    if needed and not loads:
        raise CompileError(f"bug: the compiled program does not load {placeholder:#x}")
    for at in loads:
        _set_immediate(code, at, value)
        _set_immediate(code, at + _SIZE, 0)
    return bytes(code)


def with_maps(instructions: bytes, fds: Mapping[int, int]) -> bytes:
    """Return the instructions with other maps: `fds` has the new descriptor of each old one."""
    code = bytearray(instructions)
    for at in _loads(code):
        if code[at + 1] >> 4 == _PSEUDO_MAP_FD:
            _set_immediate(code, at, fds[_immediate(code, at)])
    return bytes(code)


def _loads(code: bytearray) -> Iterator[int]:
    return (at for at in range(0, len(code) - _SIZE, _SIZE) if code[at] == _LD_IMM64)


def _immediate(code: bytearray, at: int) -> int:
    return int.from_bytes(code[at + 4 : at + 8], sys.byteorder)


def _set_immediate(code: bytearray, at: int, value: int) -> None:
    code[at + 4 : at + 8] = value.to_bytes(4, sys.byteorder)
