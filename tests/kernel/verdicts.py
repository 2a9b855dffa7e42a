"""Many packets through one program: the directions in which each matched, read from the program's counters."""

from collections.abc import Iterator, Sequence

from capture.filters.filter_h import FilterProgram
from capture.kernel import syscall
from tests.kernel.harness import Programs

NEITHER, FORWARD, REVERSE = "neither", "forward", "reverse"


def runnable(packet: bytes) -> bool:
    """True if BPF_PROG_TEST_RUN accepts the packet: it needs whole IP headers behind an untagged EtherType."""
    return len(packet) >= 14 + {b"\x08\x00": 20, b"\x86\xdd": 40}.get(packet[12:14], 0)


def verdicts(program: FilterProgram, packets: Sequence[bytes], entry: str = "from_pod") -> Iterator[str]:
    """Yield neither, forward or reverse for each packet. The program must let every packet pass."""
    with Programs(program) as programs:
        for packet in packets:
            yield verdict(programs, packet, entry)


def verdict(programs: Programs, packet: bytes, entry: str = "from_pod") -> str:
    """Return the direction in which one packet matched."""
    before = programs.counters(entry)
    run = syscall.prog_test_run(programs.descriptors[entry], packet)
    assert run.verdict == programs.passes, f"the program decided the packet's fate: {run.verdict}"
    after = programs.counters(entry)
    matched = {way: int(after[way]["matched"] - before[way]["matched"]) for way in (FORWARD, REVERSE)}
    assert sum(matched.values()) + after["unmatched"] - before["unmatched"] == 1
    return next((way for way, count in matched.items() if count), NEITHER)


def verdict_of(forward: bool, reverse: bool, entry: str = "from_pod") -> str:
    """Return the verdict on a packet that matches so; if it matches in both directions, from the pod is forward."""
    if forward and reverse:
        return FORWARD if entry == "from_pod" else REVERSE
    return FORWARD if forward else REVERSE if reverse else NEITHER
