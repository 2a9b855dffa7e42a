"""Programs compiled by bcc -> a value that can be written to a file, and loaded into another kernel on this machine.

The instructions name maps by descriptors of the process that compiled them. Beside them stands what those maps are,
so that the other side makes the same and puts its own descriptors in their place.
"""

import ctypes
import dataclasses
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from capture.kernel import syscall
from capture.kernel.compiler import Compiled
from capture.kernel.instructions import with_maps


@dataclass(frozen=True)
class MapShape:
    """The attributes of BPF_MAP_CREATE."""

    kind: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


@dataclass(frozen=True)
class Frozen:
    """Compiled programs and the shapes of their maps; `maps` are the descriptors that the code has."""

    code: Mapping[str, bytes]
    xdp: bytes | None
    maps: Mapping[str, int]
    shapes: Mapping[str, MapShape]


def freeze(compiled: Compiled) -> Frozen:
    """Return a copy of everything; the caller closes `compiled`."""
    return Frozen(
        dict(compiled.code),
        compiled.xdp,
        dict(compiled.maps),
        {name: _shape(fd) for name, fd in compiled.maps.items()},
    )


def thaw(frozen: Frozen) -> Compiled:
    """Make the maps in this kernel. Raises OSError that names the map that the kernel refuses."""
    maps: dict[str, int] = {}

    def close() -> None:
        for descriptor in maps.values():
            os.close(descriptor)

    for name, shape in frozen.shapes.items():
        try:
            maps[name] = syscall.map_create(*dataclasses.astuple(shape))
        except OSError as error:
            close()
            raise OSError(error.errno, f"map {name}: {error.strerror}") from None
    fds = {fd: maps[name] for name, fd in frozen.maps.items()}
    code = {function: with_maps(text, fds) for function, text in frozen.code.items()}
    return Compiled(code, frozen.xdp and with_maps(frozen.xdp, fds), maps, close)


def _shape(descriptor: int) -> MapShape:
    """Return the shape of a map from struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags."""
    info = ctypes.create_string_buffer(80)
    attributes = struct.pack("=IIQ", descriptor, len(info), ctypes.addressof(info))
    syscall._bpf(syscall.BPF_OBJ_GET_INFO_BY_FD, attributes)
    kind, _, key, value, entries, flags = struct.unpack_from("=6I", info)
    return MapShape(kind, key, value, entries, flags)
