"""System calls that Python does not offer: bpf(2), perf_event_open(2), membarrier(2), setns(2), unshare(2), mmap(2),
capset(2), prctl(2).

Each function takes plain values and raises OSError with the kernel's errno. Constants have the names, values and
order of the kernel's include/uapi/linux/bpf.h and perf_event.h.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.syscall.restype = ctypes.c_long

# arch/x86/entry/syscalls/syscall_64.tbl, and include/uapi/asm-generic/unistd.h for the others.
_X86_64 = platform.machine() == "x86_64"
_NR_BPF = 321 if _X86_64 else 280
_NR_PERF_EVENT_OPEN = 298 if _X86_64 else 241
_NR_MEMBARRIER = 324 if _X86_64 else 283

BPF_MAP_CREATE = 0
BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM = 1, 2, 3
BPF_PROG_LOAD, BPF_PROG_TEST_RUN, BPF_OBJ_GET_INFO_BY_FD = 5, 10, 15
BPF_RAW_TRACEPOINT_OPEN = 17
BPF_LINK_CREATE, BPF_ENABLE_STATS = 28, 32
BPF_MAP_GET_NEXT_KEY = 4
BPF_XDP, BPF_TCX_INGRESS, BPF_TCX_EGRESS = 37, 46, 47
BPF_F_BEFORE = 1 << 3
BPF_MAP_TYPE_ARRAY = 2
BPF_MAP_TYPE_RINGBUF = 27
BPF_F_MMAPABLE = 1 << 10
BPF_F_XDP_HAS_FRAGS = 1 << 5
XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE = 1 << 1, 1 << 2  # include/uapi/linux/if_link.h
BPF_STATS_RUN_TIME = 0
BPF_LOG_LEVEL1, BPF_LOG_STATS = 1, 4  # include/linux/bpf_verifier.h


class ProgramType(NamedTuple):
    """The type of a program: BPF_PROG_TYPE_*, the type of its later attachment (0: not given), BPF_F_*."""

    number: int
    attach_type: int = 0
    flags: int = 0


SCHED_CLS = ProgramType(3)
RAW_TRACEPOINT = ProgramType(17)
XDP = ProgramType(6, BPF_XDP)
XDP_IN_PAGES = ProgramType(6, BPF_XDP, BPF_F_XDP_HAS_FRAGS)
"""XDP for frames that may lie in several pages, as with a large MTU (Linux 5.18)."""


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _bpf(command: int, attributes: bytes) -> int:
    # A zero tail of any length is a valid attribute of every command (bpf_check_uarg_tail_zero).
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 144))
    return _checked(_libc.syscall(_NR_BPF, command, buffer, ctypes.c_uint(len(buffer))))


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def prog_load(
    instructions: bytes,
    name: str,
    kind: ProgramType = SCHED_CLS,
    *,
    log: ctypes.Array[ctypes.c_char] | None = None,
    log_level: int = BPF_LOG_LEVEL1,
) -> int:
    """Load a program and return its descriptor. The verifier writes into `log`, also if it rejects the program."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQIIQII16sII",
        kind.number,
        len(instructions) // 8,
        _address(code),
        _address(license_text),
        0 if log is None else log_level,
        0 if log is None else len(log),
        0 if log is None else _address(log),
        0,  # kern_version
        kind.flags,
        name.encode()[:15],
        0,  # prog_ifindex
        kind.attach_type,
    )
    return _bpf(BPF_PROG_LOAD, attributes)


def tcx_attach(program: int, ifindex: int, attach_type: int) -> int:
    """Link a program at the head of an interface's tcx chain. Returns the link's descriptor, which keeps it there."""
    return _bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, ifindex, attach_type, BPF_F_BEFORE))


def raw_tracepoint_open(name: str, program: int) -> int:
    """Attach a program to a tracepoint. Returns a descriptor; closing it detaches the program."""
    text = ctypes.create_string_buffer(name.encode())
    return _bpf(BPF_RAW_TRACEPOINT_OPEN, struct.pack("=QII", _address(text), program, 0))


def xdp_attach(program: int, ifindex: int, mode: int) -> int:
    """Link a program to the packets that an interface receives, in the driver or for skbs (XDP_FLAGS_*_MODE).

    Returns the link's descriptor.
    """
    return _bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, ifindex, BPF_XDP, mode))


def map_create(kind: int, key_bytes: int, value_bytes: int, entries: int, flags: int = 0) -> int:
    """Make a map and return its descriptor."""
    return _bpf(BPF_MAP_CREATE, struct.pack("=IIIII", kind, key_bytes, value_bytes, entries, flags))


def map_lookup(map_fd: int, key: int, value: ctypes.Array[ctypes.c_char]) -> None:
    """Copy the value of a 32-bit key into `value`; a per-CPU map has one value per possible CPU."""
    key_buffer = ctypes.create_string_buffer(struct.pack("=I", key), 4)
    _bpf(BPF_MAP_LOOKUP_ELEM, struct.pack("=IIQQQ", map_fd, 0, _address(key_buffer), _address(value), 0))


def map_entries(map_fd: int, key_bytes: int, value_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a hash; with a per-CPU map `value_bytes` are those of all possible CPUs."""
    key, following = ctypes.create_string_buffer(key_bytes), ctypes.create_string_buffer(key_bytes)
    value = ctypes.create_string_buffer(value_bytes)
    before = 0
    while True:
        try:
            _bpf(BPF_MAP_GET_NEXT_KEY, struct.pack("=IIQQQ", map_fd, 0, before, _address(following), 0))
            _bpf(BPF_MAP_LOOKUP_ELEM, struct.pack("=IIQQQ", map_fd, 0, _address(following), _address(value), 0))
        except FileNotFoundError:
            return
        yield following.raw, value.raw
        ctypes.memmove(key, following, key_bytes)
        before = _address(key)


def map_update(map_fd: int, key: bytes, value: bytes) -> None:
    """Set the value of a key."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    buffer = ctypes.create_string_buffer(value, len(value))
    _bpf(BPF_MAP_UPDATE_ELEM, struct.pack("=IIQQQ", map_fd, 0, _address(key_buffer), _address(buffer), 0))


def map_delete(map_fd: int, key: bytes) -> None:
    """Delete a key and its value."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    _bpf(BPF_MAP_DELETE_ELEM, struct.pack("=IIQQQ", map_fd, 0, _address(key_buffer), 0, 0))


def enable_run_time_stats() -> int:
    """Make the kernel time all programs while the returned descriptor is open (since Linux 5.8)."""
    return _bpf(BPF_ENABLE_STATS, struct.pack("=I", BPF_STATS_RUN_TIME))


class ProgramStats(NamedTuple):
    """Time and runs that the kernel counted while run-time statistics were on, and verified instructions."""

    run_time_ns: int
    runs: int
    instructions: int


def prog_stats(program: int) -> ProgramStats:
    """Return the statistics of a loaded program (struct bpf_prog_info)."""
    info = ctypes.create_string_buffer(256)
    _bpf(BPF_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, len(info), _address(info)))
    run_time, runs = struct.unpack_from("=QQ", info, 192)
    (verified,) = struct.unpack_from("=I", info, 216)
    return ProgramStats(run_time, runs, verified)


class TestRun(NamedTuple):
    """The result of BPF_PROG_TEST_RUN."""

    verdict: int
    duration_ns: int


def prog_test_run(program: int, packet: bytes, repeat: int = 1) -> TestRun:
    """Run a tc program on one packet (at least 14 bytes). Returns the verdict and the mean time of a run."""
    data = ctypes.create_string_buffer(packet, len(packet))
    attributes = bytearray(struct.pack("=IIIIQQII", program, 0, len(packet), 0, _address(data), 0, repeat, 0))
    buffer = ctypes.create_string_buffer(bytes(attributes), 144)
    _checked(_libc.syscall(_NR_BPF, BPF_PROG_TEST_RUN, buffer, ctypes.c_uint(len(buffer))))
    verdict, _, _, _, _, _, duration = struct.unpack_from("=IIIQQII", buffer, 4)
    return TestRun(verdict, duration)


def open_output_event(cpu: int, watermark: int) -> int:
    """Open a perf event that collects bpf_perf_event_output of one CPU, and wakes its reader at `watermark` bytes."""
    kind_software, config_bpf_output, sample_raw = 1, 10, 1 << 10
    flag_watermark = 1 << 14
    attributes = struct.pack(
        "=IIQQQQQII", kind_software, 128, config_bpf_output, 1, sample_raw, 0, flag_watermark, watermark, 0
    )
    buffer = ctypes.create_string_buffer(attributes, 128)
    flag_cloexec = 8
    return _checked(_libc.syscall(_NR_PERF_EVENT_OPEN, buffer, -1, cpu, -1, flag_cloexec))


def wait_for_programs() -> None:
    """Return when every running program has ended: MEMBARRIER_CMD_GLOBAL is synchronize_rcu()."""
    membarrier_cmd_global = 1
    _checked(_libc.syscall(_NR_MEMBARRIER, membarrier_cmd_global, 0, 0))


CLONE_NEWNET = 0x40000000


def setns(descriptor: int) -> None:
    """Move the calling thread into a network namespace."""
    _checked(_libc.setns(descriptor, CLONE_NEWNET))


def unshare_network() -> None:
    """Move the calling thread into a new network namespace."""
    _checked(_libc.unshare(CLONE_NEWNET))


PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000


def mmap(address: int, length: int, protection: int, flags: int, descriptor: int, offset: int = 0) -> int:
    """Map memory at `address` if MAP_FIXED is set, and return its address. Python's mmap module cannot choose one."""
    result = _libc.mmap(address, length, protection, flags, descriptor, offset)
    if result is None or result == ctypes.c_void_p(-1).value:
        _checked(-1)
    return int(result)


def munmap(address: int, length: int) -> None:
    """Unmap a mapping."""
    _checked(_libc.munmap(address, length))


_PR_SET_PDEATHSIG = 1


def end_with_parent(number: int) -> None:
    """Send this process a signal when the thread that made it ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0))


def trim_heap() -> None:
    """Give free memory of the C heap back to the kernel, where the C library can (glibc)."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def set_capabilities(effective: int, permitted: int) -> None:
    """Set the calling thread's effective and permitted capabilities, as masks; the inheritable ones become empty."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    words = [(mask & 0xFFFFFFFF, mask >> 32) for mask in (effective, permitted, 0)]
    data = b"".join(struct.pack("=III", *(word[half] for word in words)) for half in (0, 1))
    _checked(_libc.capset(header, data))


def clear_ambient_capabilities() -> None:
    """Clear the capabilities that programs started by this thread would inherit by default."""
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
