"""Compiled variants on the kernel that runs this -> the verifier's result for each, and their effect on packets."""

import ctypes
import os
import re
import time
from itertools import islice
from random import Random
from typing import Any

from capture.errors import BicapError
from capture.kernel import syscall
from capture.kernel.frozen import Frozen, thaw
from capture.kernel.program import Module
from testbed import generate, packets
from tests.kernel.harness import ENTRIES, Programs
from tests.kernels.variants import Variant

PACKETS = 60
"""Random packets besides the ordinary ones."""
_PROCESSED = re.compile(r"processed (\d+) insns")


def cases() -> list[bytes]:
    """Return the packets for every variant: ordinary ones of the conversation in the rules, and random ones."""
    a, b = "10.0.0.1", "10.0.0.2"
    pair = [packets.tcp(a, 1000, b, 80), packets.tcp(b, 80, a, 1000)]
    plain = [*pair, packets.udp(a, 5, b, 53), packets.icmp(a, b), packets.icmp(b, a, 0), packets.arp()]
    nested = [packets.vlan(pair[0], (0x8100, 42)), packets.icmp_error(b, pair[0]), packets.vxlan((a, b), pair[1])]
    random = Random(5)
    any_of_them = (generate.packet(random, number) for number in range(10 * PACKETS))
    return [*plain, *nested, *islice(filter(_runnable, any_of_them), PACKETS)]


def _runnable(packet: bytes) -> bool:
    # Newer kernels need whole IP headers in BPF_PROG_TEST_RUN, and XDP needs a whole Ethernet header.
    return len(packet) >= 14 + {b"\x08\x00": 20, b"\x86\xdd": 40}.get(packet[12:14], 0)


def load(variant: Variant, frozen: Frozen) -> dict[str, Any]:
    """Load a variant, and run it on the packets if it is one of those that run.

    `programs` has, for each, the instructions that the verifier went through and the milliseconds that it took, or
    why the kernel refuses it; `packets` what all packets left behind, in a form that can be compared as it is.
    """
    try:
        compiled = thaw(frozen)
    except OSError as error:
        return {"programs": {"maps": {"refused": str(error.strerror)}}, "packets": None}
    module = Module(compiled)
    descriptors: dict[str, int] = {}
    # The two programs of an interface differ in one constant; one that is only loaded stands for both.
    entries = ENTRIES if variant.runs else ENTRIES[:1]
    answers = {entry: _load(module, variant, entry, descriptors) for entry in (*entries, "flush_waiting")}
    if variant.runs and len(descriptors) == len(answers):
        with Programs(variant.wanted, slot=variant.slot, xdp=variant.xdp, loaded=(module, descriptors)) as programs:
            traces = {entry: _trace(programs, entry, variant.steady) for entry in ENTRIES}
        return {"programs": answers, "packets": traces}
    for descriptor in descriptors.values():
        os.close(descriptor)
    module.close()
    return {"programs": answers, "packets": None}


def _load(module: Module, variant: Variant, entry: str, descriptors: dict[str, int]) -> dict[str, Any]:
    xdp = variant.xdp and entry in ENTRIES
    code, kind = module.program(entry, variant.slot, shared=variant.shared, xdp=xdp)
    log = ctypes.create_string_buffer(1 << 16)
    began = time.monotonic()
    try:
        descriptors[entry] = syscall.prog_load(code, entry, kind, log=log, log_level=syscall.BPF_LOG_STATS)
    except OSError:
        return {"refused": _refusal(module, variant, entry, xdp)}
    took = time.monotonic() - began
    found = _PROCESSED.search(log.value.decode())
    assert found, log.value
    return {"instructions": int(found[1]), "milliseconds": round(took * 1000)}


def _refusal(module: Module, variant: Variant, entry: str, xdp: bool) -> str:
    """Return the error that a user gets for a program that the kernel rejects."""
    try:
        os.close(module.load(entry, variant.slot, shared=variant.shared, xdp=xdp))
    except BicapError as error:
        return str(error)
    return "refused once, and taken when it was loaded again"


def _trace(programs: Programs, entry: str, steady: bool) -> dict[str, Any]:
    for packet in cases():
        verdict = syscall.prog_test_run(programs.descriptors[entry], packet).verdict
        assert verdict == programs.passes, f"the program decided the fate of {packet.hex()}: {verdict}"
    counters = programs.counters(entry)
    counted = {way: int(counters[way]["matched"]) for way in ("forward", "reverse")}
    records = programs.records()
    return {
        "matched": counted | {"neither": int(counters["unmatched"])},
        "records": [[r.original, r.flags, r.packet.hex()] for r in records] if steady else None,
    }
