"""The programs of a recorder: packets in its memory, as the wire had them, over and over."""

import os

import pytest

from capture.abi import OUTBOUND
from capture.kernel import syscall
from capture.kernel.chunk_memory import ChunkMemory
from capture.kernel.counters import online_cpus
from capture.kernel.program import module_of
from capture.plan import Interface, make_plan, place_of
from capture.recording import RecordingSpec
from capture.spec import CaptureSpec, Hook
from capture.stream.remembered import Remembered, packets_so_far, reaches_since
from testbed import packets
from testbed.foreign_blocks import enhanced


@pytest.mark.parametrize("hook", [Hook.TCX, Hook.XDP])
def test_packets_are_remembered_whole_and_the_oldest_are_overwritten(hook: Hook) -> None:
    recording = RecordingSpec(memory_bytes=16 << 20)
    spec = CaptureSpec(interfaces=("va",), recording=recording, hook=hook)
    plan = make_plan(spec, [place_of(Interface("va", 1, 2))], hook, online_cpus(), batching=True)
    assert plan.memory is not None
    module = module_of(plan)
    home = os.sched_getaffinity(0)
    try:
        memory = ChunkMemory(plan, module)
        program = module.load("from_pod", xdp=hook is Hook.XDP)
        os.sched_setaffinity(0, {plan.cpus[0]})
        sizes = (0, 1, 2, 3, 600, 3000) if hook is Hook.XDP else (0, 1, 2, 3, 600, 3000, 3500)
        frames = [packets.udp("10.0.0.1", 1, "10.0.0.2", 2, bytes(range(256)) * 15)[: 60 + size] for size in sizes]
        for frame in frames:
            syscall.prog_test_run(program, frame)
        reader = Remembered(memory.arrays, 0, 1)
        raw, at = reader.take(1 << 62, 0).tobytes(), 0
        for frame in frames:
            mine = enhanced("<", frame, 0, flags=OUTBOUND)
            found = raw[at : at + len(mine)]
            assert found[:12] + found[20:] == mine[:12] + mine[20:]  # but for the time
            at += len(mine)
        assert at == len(raw)
        syscall.prog_test_run(program, frames[0], 300_000)
        assert reaches_since(memory.arrays) > 0
        while len(reader.take(1 << 62, 0)):
            pass
        assert reader.overwritten > 0
        assert reader.packets + reader.overwritten == packets_so_far(memory.arrays) == 300_000 + len(frames)
        memory.close()
        os.close(program)
    finally:
        os.sched_setaffinity(0, home)
        module.close()
