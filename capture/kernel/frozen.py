"""Programs compiled by bcc -> a value that can be written to a file, and loaded by another process or kernel.

The instructions name maps by descriptors of the process that compiled them. Beside them stands what those maps are,
so that the other side makes the same and puts its own descriptors in their place.
"""

import contextlib
import ctypes
import dataclasses
import errno
import os
import resource
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from capture.errors import KernelError, PrivilegeError
from capture.kernel import syscall
from capture.kernel.compiler import Compiled
from capture.kernel.features import lacking, missing_capabilities, not_permitted
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
    """Make the maps in this kernel. Raises KernelError that names the map that the kernel refuses, PrivilegeError."""
    with contextlib.ExitStack() as stack:
        maps: dict[str, int] = {}
        for name, shape in frozen.shapes.items():
            maps[name] = _make(name, shape)
            stack.callback(os.close, maps[name])
        fds = {fd: maps[name] for name, fd in frozen.maps.items()}
        code = {function: with_maps(text, fds) for function, text in frozen.code.items()}
        return Compiled(code, frozen.xdp and with_maps(frozen.xdp, fds), maps, stack.pop_all().close)


def with_entries(compiled: Compiled, name: str, entries: int) -> Compiled:
    """Return the same programs with another map of that name, which has `entries`; `compiled` is closed.

    Raises KernelError, PrivilegeError.
    """
    try:
        frozen = freeze(compiled)
    finally:
        compiled.close()
    shape = dataclasses.replace(frozen.shapes[name], entries=entries)
    return thaw(dataclasses.replace(frozen, shapes={**frozen.shapes, name: shape}))


def makes_ring(size: int) -> bool:
    """True if the kernel makes a BPF ring buffer of this size (since Linux 5.8, and if there is memory), or if we may
    not ask it."""
    try:
        os.close(_make("overflow", MapShape(syscall.BPF_MAP_TYPE_RINGBUF, 0, 0, size, 0)))
    except PrivilegeError:
        return bool(missing_capabilities())
    except KernelError:
        return False
    return True


def _make(name: str, shape: MapShape) -> int:
    attributes = dataclasses.astuple(shape)
    try:
        try:
            return syscall.map_create(*attributes)
        except PermissionError:
            # Before Linux 5.11 maps are locked memory, whose limit is small.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return syscall.map_create(*attributes)
    except OSError as error:
        if error.errno == errno.EPERM or missing_capabilities():
            raise not_permitted("making maps") from None
        raise KernelError(lacking() or f"the kernel refuses the map {name}: {error.strerror}") from None


def _shape(descriptor: int) -> MapShape:
    """Return the shape of a map from struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags."""
    info = ctypes.create_string_buffer(80)
    attributes = struct.pack("=IIQ", descriptor, len(info), ctypes.addressof(info))
    syscall._bpf(syscall.BPF_OBJ_GET_INFO_BY_FD, attributes)
    kind, _, key, value, entries, flags = struct.unpack_from("=6I", info)
    return MapShape(kind, key, value, entries, flags)
