"""`python -m bench.recorder_programs`: ns that the programs of a recorder and of a capture take for a packet, alone.

The kernel runs each on the same frame (BPF_PROG_TEST_RUN), a short round of one after one of the other. Such a run
counts only the program's own time on its CPU, so the least of many rounds holds on a busy machine, too. A recorder
passes through its memory several times: the first pass is printed beside the later ones.
"""

import argparse
import os
from contextlib import ExitStack, closing

import numpy as np

from bench.recorder_cost import SIZES
from capture.benchmark import frames
from capture.kernel import syscall
from capture.kernel.chunk_memory import ChunkMemory
from capture.kernel.program import module_of
from capture.kernel.records import Records
from capture.recording import RecordingSpec
from capture.run.planning import plan_capture
from capture.spec import CaptureSpec
from capture.stream.compiled.cursors import release, snapshot
from capture.stream.compiled.merge import STATE_SLOTS
from capture.stream.compiled.portions import loop_over

ROUND_PACKETS = 500
MEMORY = 64 << 20
_READ_AT = 0


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench.recorder_programs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    recording = plan_capture(CaptureSpec(interfaces=("lo",), recording=RecordingSpec(memory_bytes=MEMORY)))
    capturing = plan_capture(CaptureSpec(interfaces=("lo",)))
    with ExitStack() as stack:
        recorder = stack.enter_context(closing(module_of(recording)))
        stack.enter_context(closing(ChunkMemory(recording, recorder)))
        capture = stack.enter_context(closing(module_of(capturing)))
        records = stack.enter_context(closing(Records(capturing, capture)))
        records.stamp_with(0)
        programs = {"record": recorder.load("from_pod", 0), "capture": capture.load("from_pod", 0)}
        for descriptor in programs.values():
            stack.callback(os.close, descriptor)
        rings = loop_over(records.memory, np.zeros(STATE_SLOTS, np.int64)).rings
        for size in SIZES:
            frame, found = bytes(frames.udp(size, "10.0.0.1", 1000)), {name: list[int]() for name in programs}
            for _ in range(rounds):
                for name, descriptor in programs.items():
                    found[name].append(syscall.prog_test_run(descriptor, frame, ROUND_PACKETS).duration_ns)
                snapshot(rings)
                rings.cursors[:, _READ_AT] = rings.heads
                release(rings)
            first = max(1, MEMORY // len(recording.cpus) // (ROUND_PACKETS * (size + 44)))
            least = {name: min(values) for name, values in found.items()}
            print(
                f"{size:5} B  record {least['record']} ns (first pass {min(found['record'][:first])}), capture "
                f"{least['capture']} ns; medians {np.median(found['record']):.0f}, {np.median(found['capture']):.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
