"""The kernel's type information (BTF) -> offsets of fields, names of constants, arguments of tracepoints.

Layouts differ between kernels, so programs get offsets as constants when they are compiled. The format is that of
Documentation/bpf/btf.rst: a header, types, each a struct btf_type with what its kind has behind it, and strings.
"""

import struct
import sys
from collections.abc import Iterator, Mapping

from capture.errors import KernelError

VMLINUX = "/sys/kernel/btf/vmlinux"
_MAGIC = 0xEB9F
_PTR, _STRUCT, _UNION, _ENUM, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC_PROTO, _ENUM64 = (
    2, 4, 5, 6, 8, 9, 10, 11, 13, 19,
)  # fmt: skip
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""Bytes behind a type for each of its members, by kind; others have a fixed number of bytes behind them."""
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
_WANTED = frozenset({_STRUCT, _ENUM, _TYPEDEF, _ENUM64})
_SAME = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT)


class Btf:
    """The types of a kernel. Raises KernelError if it has no BTF, or one in another form."""

    def __init__(self, path: str = VMLINUX) -> None:
        try:
            with open(path, "rb") as file:
                self._data = file.read()
        except OSError as error:
            raise KernelError(f"the kernel's types cannot be read from {path}: {error.strerror}") from None
        order = "<" if sys.byteorder == "little" else ">"
        head = struct.unpack_from(order + "HBBIIIII", self._data)
        magic, _, _, header, type_at, type_bytes, text_at, text_bytes = head
        if magic != _MAGIC:
            raise KernelError(f"{path} is not BTF of this machine")
        self._order = order
        self._text = self._data[header + text_at :][:text_bytes]
        self._at, self._named = self._index(header + type_at, header + type_at + type_bytes)

    def _index(self, at: int, end: int) -> tuple[list[int], dict[int, int]]:
        """Return where each type begins, and the numbers of named types by kind and place of the name in the text."""
        places, named, data = [0], {}, self._data
        heads = struct.Struct(self._order + "II").unpack_from
        more = [_EACH.get(kind, 0) for kind in range(32)]
        fixed = [12 + _FIXED.get(kind, 0) for kind in range(32)]
        while at < end:
            name, info = heads(data, at)
            kind = info >> 24 & 0x1F
            if name and kind in _WANTED:
                named[name << 5 | kind] = len(places)
            places.append(at)
            at += fixed[kind] + more[kind] * (info & 0xFFFF)
        return places, named

    def _number(self, kind: int, name: str) -> int | None:
        """Return the number of a type; each name stands once in the text."""
        at = self._text.find(b"\0" + name.encode() + b"\0") + 1
        return self._named.get(at << 5 | kind) if at else None

    def _type(self, number: int) -> tuple[int, int, int]:
        """Return kind, number of members, and size or type of a type."""
        _, info, size = struct.unpack_from(self._order + "III", self._data, self._at[number])
        return info >> 24 & 0x1F, info & 0xFFFF, size

    def _name(self, offset: int) -> str:
        return self._text[offset : self._text.index(b"\0", offset)].decode()

    def _bare(self, number: int) -> int:
        kind, _, inner = self._type(number)
        return self._bare(inner) if kind in _SAME else number

    def _members(self, number: int) -> Iterator[tuple[str, int, int]]:
        """Yield name, type and offset in bytes of the members of a struct or union."""
        _, count, _ = self._type(number)
        for member in range(count):
            name, kind, bits = struct.unpack_from(
                self._order + "III", self._data, self._at[number] + 12 + 12 * member
            )
            # With bit fields, the upper byte is the field's size in bits.
            yield self._name(name), kind, (bits & 0xFFFFFF) // 8

    def offset(self, name: str, field: str) -> int | None:
        """Return the offset of a field in a struct, or of one in it, like ns.inum; None: there is no such field."""
        number = self._number(_STRUCT, name)
        return None if number is None else self._offset(number, field.split("."))

    def _offset(self, number: int, path: list[str]) -> int | None:
        for name, kind, at in self._members(number):
            inner = self._bare(kind)
            nested = self._type(inner)[0] in (_STRUCT, _UNION)
            if name == path[0]:
                if len(path) == 1:
                    return at
                found = self._offset(inner, path[1:]) if nested else None
            elif not name and nested:  # the members of an unnamed struct are those of the outer one
                found = self._offset(inner, path)
            else:
                continue
            if found is not None:
                return at + found
        return None

    def constants(self, name: str) -> Mapping[int, str]:
        """Return the names of an enum's constants by value; empty if there is no such enum."""
        for kind, size in ((_ENUM, 8), (_ENUM64, 12)):
            number = self._number(kind, name)
            if number is not None:
                start = self._at[number] + 12
                each = (
                    struct.unpack_from(self._order + "II", self._data, start + size * member)
                    for member in range(self._type(number)[1])
                )
                return {value: self._name(text) for text, value in each}
        return {}

    def arguments(self, tracepoint: str) -> int | None:
        """Return the number of arguments of a tracepoint; None if the kernel does not have it."""
        number = self._number(_TYPEDEF, f"btf_trace_{tracepoint}")
        if number is None:
            return None
        kind, count, inner = self._type(self._bare(number))
        if kind == _PTR:
            kind, count, inner = self._type(self._bare(inner))
        return count - 1 if kind == _FUNC_PROTO else None  # the first is the tracepoint's own
