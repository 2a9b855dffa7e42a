"""Drops and resets of the kernel -> records of those of the conversations asked for, and counts of all.

Programs at raw tracepoints (bpf/programs/drops.c) write records into a mapped array, which is read here when
somebody looks; nobody is woken. Names of reasons come from the kernel's BTF, names of places from /proc/kallsyms,
which is read before privileges are dropped.
"""

import bisect
import contextlib
import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capture.abi import (
    PLACE_COUNTS,
    REASON_DROP,
    REASON_PLACE,
    REASON_RECORD,
    REASON_RECORDS,
    REASON_RESET_RECEIVED,
    REASON_RESET_SENT,
    REASON_STATE,
)
from capture.arrays.aliases import Table
from capture.errors import KernelError
from capture.kernel import syscall
from capture.kernel.btf import Btf
from capture.kernel.compiler import compile_functions
from capture.kernel.counters import possible_cpus
from capture.kernel.instructions import with_constant, with_maps
from capture.kernel.program import SHARED_PLACEHOLDER, Module, load_program
from capture.plan import CapturePlan

SHARED_MAPS = ("conversations", "groups", "datagrams")
"""Maps of the capture that these programs use, too."""
_FIELDS = {
    "SKB_DEV": ("sk_buff", "dev"),
    "SKB_SK": ("sk_buff", "sk"),
    "SKB_REFDST": ("sk_buff", "_skb_refdst"),
    "SKB_LEN": ("sk_buff", "len"),
    "SKB_DATA_LEN": ("sk_buff", "data_len"),
    "SKB_PROTOCOL": ("sk_buff", "protocol"),
    "SKB_NETWORK_HEADER": ("sk_buff", "network_header"),
    "SKB_MAC_HEADER": ("sk_buff", "mac_header"),
    "SKB_HEAD": ("sk_buff", "head"),
    "SKB_DATA": ("sk_buff", "data"),
    "DEVICE_NET": ("net_device", "nd_net.net"),
    "NET_INUM": ("net", "ns.inum"),
    "DST_DEV": ("dst_entry", "dev"),
    "SOCK_NET": ("sock", "__sk_common.skc_net.net"),
    "SOCK_FAMILY": ("sock_common", "skc_family"),
    "SOCK_DPORT": ("sock_common", "skc_dport"),
    "SOCK_SOURCE": ("sock_common", "skc_rcv_saddr"),
    "SOCK_DESTINATION": ("sock_common", "skc_daddr"),
    "SOCK_V6_SOURCE": ("sock_common", "skc_v6_rcv_saddr"),
    "SOCK_V6_DESTINATION": ("sock_common", "skc_v6_daddr"),
    "INET_SPORT": ("inet_sock", "inet_sport"),
}
"""Macros of bpf/lib/dropped.h: the offset of a field in a struct."""
_SKB_MOST = 400
"""Most bytes of an skb that are read at once."""
_TRACEPOINTS = {"packet_dropped": "kfree_skb", "reset_sent": "tcp_send_reset", "reset_received": "tcp_receive_reset"}
_PREFIXES = ("SKB_DROP_REASON_", "SK_RST_REASON_", "SKB_")


@dataclass(frozen=True, slots=True)
class ReasonFeatures:
    """What this kernel can say: arguments of its tracepoints, names of reasons by number, offsets."""

    arguments: Mapping[str, int]
    drops: Mapping[int, str]
    resets: Mapping[int, str]
    macros: Mapping[str, int]


def reason_features(btf: Btf) -> ReasonFeatures:
    """Return what a kernel can say. Raises KernelError if it cannot say why it drops a packet."""
    macros: dict[str, int] = {}
    for macro, (name, field) in _FIELDS.items():
        at = btf.offset(name, field)
        if at is None:
            raise KernelError(
                f"this kernel's {name} has no {field}, so reasons cannot be recorded; leave --reasons out"
            )
        macros[macro] = at
    of_skb = [at for macro, at in macros.items() if macro.startswith("SKB_")]
    macros["SKB_FIRST"], last = min(of_skb), max(of_skb) + 8
    macros["SKB_BYTES"] = last - macros["SKB_FIRST"] + 7 & ~7
    if macros["SKB_BYTES"] > _SKB_MOST:
        raise KernelError("the fields of this kernel's packets lie too far apart, so reasons cannot be recorded")
    arguments = {name: count for name in _TRACEPOINTS.values() if (count := btf.arguments(name)) is not None}
    if "kfree_skb" not in arguments:
        raise KernelError("this kernel has no tracepoint kfree_skb, so reasons cannot be recorded")
    macros["DROP_ARGUMENTS"] = arguments["kfree_skb"]
    macros["RESET_ARGUMENTS"] = arguments.get("tcp_send_reset", 0)
    return ReasonFeatures(
        arguments, _names(btf.constants("skb_drop_reason")), _names(btf.constants("sk_rst_reason")), macros
    )


def _names(constants: Mapping[int, str]) -> dict[int, str]:
    names = {}
    for number, name in constants.items():
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
        names[number] = name.removeprefix(prefix)
    return names


class Symbols:
    """The kernel's functions by address; none are known if /proc/kallsyms hides the addresses."""

    def __init__(self, path: str = "/proc/kallsyms") -> None:
        found: list[tuple[int, str]] = []
        with contextlib.suppress(OSError), open(path) as file:
            for line in file:
                address, kind, name, *_ = line.split()
                if kind in "tTwW" and address.strip("0"):
                    found.append((int(address, 16), name))
        found.sort()
        self._addresses, self._names = [address for address, _ in found], [name for _, name in found]

    @property
    def known(self) -> bool:
        """True if addresses have names."""
        return bool(self._names)

    def span(self, name: str) -> tuple[int, int]:
        """Return the first address of a function, and that of the next one; 0 and 0 if it is not known."""
        if name not in self._names:
            return 0, 0
        at = self._names.index(name)
        return self._addresses[at], self._addresses[min(at + 1, len(self._addresses) - 1)]

    def name(self, address: int) -> str:
        """Return the function that an address is in; "" if that is not known."""
        at = bisect.bisect_right(self._addresses, address) - 1
        return self._names[at] if at >= 0 and address else ""


@dataclass(frozen=True, slots=True)
class PlaceCount:
    """All events of one reason at one place."""

    kind: int
    reason: str
    place: str
    count: int
    recorded: int
    over: int
    other: int
    busy: int


class Reasons:
    """Attached programs and their records. Raises KernelError, PrivilegeError, OSError."""

    def __init__(self, plan: CapturePlan, module: Module) -> None:
        self._features = reason_features(Btf())
        self._symbols = Symbols()
        self._cpus = possible_cpus()
        self._read = np.zeros(self._cpus, np.int64)
        self.missed = 0
        """Records that were overwritten before they were read."""
        macros = dict((*plan.filter.switches, *plan.sampling.switches)) | dict(self._features.macros)
        macros |= {"XDP": 0, "DROPPED": 1, "CPUS": self._cpus, "SNAPLEN": 65535, "COARSE_CLOCK": 0}
        first, last = self._symbols.span("bpf_prog_test_run_skb")
        macros |= {"OWN_FIRST": first, "OWN_LAST": last}
        generated = {"filter.h": plan.filter.header, "sampling.h": plan.sampling.header}
        compiled = compile_functions("programs/drops.c", generated, macros, *_TRACEPOINTS)
        with contextlib.ExitStack() as stack:
            stack.callback(compiled.close)
            fds = {fd: fd for fd in compiled.maps.values()}
            for name in SHARED_MAPS:
                if name in compiled.maps:
                    fds[compiled.maps[name]] = module.map_fd(name)
            programs: dict[str, int] = {}
            for function, tracepoint in _TRACEPOINTS.items():
                if tracepoint in self._features.arguments:
                    code = with_maps(compiled.code[function], fds)
                    code = with_constant(code, SHARED_PLACEHOLDER, 0, needed=False)
                    programs[function] = load_program(code, function, syscall.RAW_TRACEPOINT)
                    stack.callback(os.close, programs[function])
            self._places_fd = compiled.maps["places"]
            self._mapped: list[tuple[int, int]] = []
            stack.callback(self._unmap)
            self._states = self._map(compiled.maps["reason_states"], REASON_STATE, self._cpus)
            self._records = self._map(compiled.maps["reason_records"], REASON_RECORD, self._cpus * REASON_RECORDS)
            self._links = contextlib.ExitStack()
            stack.callback(self._links.close)
            for function, program in programs.items():
                link = syscall.raw_tracepoint_open(_TRACEPOINTS[function], program)
                self._links.callback(os.close, link)
            self._close = stack.pop_all().close

    @property
    def arguments(self) -> dict[str, int]:
        """Tracepoints with programs, and the number of arguments that each has on this kernel."""
        return dict(self._features.arguments)

    @property
    def named(self) -> dict[str, bool]:
        """True where this kernel gives reasons: of drops, of resets."""
        arguments = self._features.arguments
        return {"drops": arguments.get("kfree_skb", 0) > 2, "resets": arguments.get("tcp_send_reset", 0) > 2}

    def _map(self, descriptor: int, dtype: np.dtype[Any], entries: int) -> Table:
        size = entries * dtype.itemsize
        address = syscall.mmap(0, size, syscall.PROT_READ, syscall.MAP_SHARED, descriptor)
        self._mapped.append((address, size))
        return np.frombuffer(memoryview((ctypes.c_uint8 * size).from_address(address)), dtype)

    def _unmap(self) -> None:
        for address, size in self._mapped:
            syscall.munmap(address, size)
        self._mapped.clear()

    def take(self) -> Table:
        """Return copies of the records since the last call, in order of time: [records] of REASON_RECORD."""
        found = []
        for cpu in range(self._cpus):
            written, read = int(self._states["written"][cpu]), int(self._read[cpu])
            if written == read:
                continue
            first = max(read, written - REASON_RECORDS + 1)
            places = cpu * REASON_RECORDS + np.arange(first, written) % REASON_RECORDS
            copies = self._records[places]
            # Those that may have been overwritten while they were copied are left out.
            safe = max(first, int(self._states["written"][cpu]) - REASON_RECORDS + 1)
            self.missed += safe - read
            found.append(copies[safe - first :])
            self._read[cpu] = written
        if not found:
            return np.zeros(0, REASON_RECORD)
        table = np.concatenate(found)
        return table[np.argsort(table["time_ns"], kind="stable")]

    def reason(self, kind: int, number: int) -> str:
        """Return the name of a reason, as the kernel's source has it."""
        if kind == REASON_RESET_RECEIVED:
            return "PEER_RESET"
        names = self._features.drops if kind == REASON_DROP else self._features.resets
        if not names:
            return "NOT_SPECIFIED"
        return names.get(number) or f"SUBSYSTEM_{number >> 16}_REASON_{number & 0xFFFF}"

    def place(self, location: int) -> str:
        """Return the function of the kernel; "" if it is not known."""
        return self._symbols.name(location)

    def counts(self) -> Sequence[PlaceCount]:
        """Return the counts of all reasons and places, the largest first."""
        size = PLACE_COUNTS.itemsize * self._cpus
        found = []
        for key, value in syscall.map_entries(self._places_fd, REASON_PLACE.itemsize, size):
            (place,) = np.frombuffer(key, REASON_PLACE)
            rows = np.frombuffer(value, PLACE_COUNTS)
            kind = int(place["kind"])
            sums = {name: int(rows[name].sum()) for name in ("count", "recorded", "over", "other", "busy")}
            name, where = self.reason(kind, int(place["reason"])), self.place(int(place["location"]))
            found.append(PlaceCount(kind, name, where, **sums))
        return sorted(found, key=lambda one: -one.count)

    def detach(self) -> None:
        """Detach the programs."""
        self._links.close()

    def close(self) -> None:
        """Detach, unmap and close everything."""
        self._close()


KINDS = {REASON_DROP: "dropped", REASON_RESET_SENT: "reset", REASON_RESET_RECEIVED: "reset by the peer"}
"""Words for what happened."""
