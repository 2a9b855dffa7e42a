"""`python -m bench.many_cpus`: what the reader costs with more CPUs than this machine has.

The rings are made up in memory, as full as --buffer lets them be; the loop that merges them is the
real one. Traffic comes to every CPU in turn, in bursts as NICs and batches make them, or nearly all to one CPU.
Cases take turns in each round; medians. Also what a round costs in which nothing arrived.
"""

import argparse
import resource
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.lines import as_line
from capture.abi import BATCH_STATE, INBOUND, PACKET_BLOCK, PACKET_BLOCK_END, PACKET_RUN, PERF_HEADERS
from capture.benchmark.tools import machine
from capture.stream.compiled import merge
from capture.stream.compiled.cursors import BLOCK_AT, NEVER, RUN_END, SAMPLE_END, oldest_waiting, release, snapshot
from capture.stream.compiled.merge import Loop
from capture.stream.compiled.portions import NO_FILE, compiled, loop_over, write_portions
from capture.stream.source import RingMemory

CPUS = (2, 16, 64, 128)
SIZES = (64, 1500)
PAGE = 4096
BATCH = 16 << 10
SAMPLE = 9
SHAPES = ("in turn", "bursts", "one busy")
IDLE_ROUNDS = 2_000


@dataclass
class FilledRings:
    """Rings of one size full of packets of one size, which can be drained again and again."""

    words: npt.NDArray[np.uint32]
    stride: int
    packets: int
    end: npt.NDArray[np.int64]

    def loop(self) -> Loop:
        """Return a loop over the rings from their beginning."""
        state = np.zeros(merge.STATE_SLOTS, np.int64)
        state[[merge.LEFT, merge.LEFT_FORWARD, merge.LEFT_REVERSE, merge.BYTES_LEFT, merge.FILE_LEFT]] = 1 << 62
        return loop_over(RingMemory(self.words, self.words.view(np.int64), self.stride, PAGE), state)

    def drain(self) -> float:
        """Merge all of it; seconds."""
        self.words.view(np.int64).reshape(len(self.end), -1)[:, 1032 // 8] = 0
        loop, tallies = self.loop(), np.zeros((1, merge.FLAG_SETS, merge.TALLY_COLUMNS), np.int64)
        before = tallies.copy()
        began = time.perf_counter()
        waiting = 1
        while waiting:
            snapshot(loop.rings)
            waiting = write_portions(loop, NEVER, 0, tallies, before, NO_FILE, 1)[2]
            release(loop.rings)
        seconds = time.perf_counter() - began
        assert int(tallies[0, :, merge.PACKETS].sum()) == self.packets
        assert loop.state[merge.LATE] == 0
        return seconds


def fill(cpus: int, size: int, shape: str, memory: int) -> FilledRings:
    """Rings with runs that are in order of time in each ring, and mixed over the rings as the shape says."""
    ring_bytes = 1 << (memory // cpus).bit_length() - 1
    block = PACKET_BLOCK.itemsize + (size + 3 & ~3) + PACKET_BLOCK_END.itemsize
    per_run = max(BATCH // block, 1)
    run_bytes = PACKET_RUN.itemsize + per_run * block
    sample = PERF_HEADERS + run_bytes + 7 & ~7
    samples = ring_bytes // sample
    stride = PAGE + ring_bytes
    memory_words = np.zeros(cpus * stride // 4, np.uint32)
    content = np.zeros((samples, sample // 4), np.uint32)
    content[:, 0], content[:, 1], content[:, 2] = SAMPLE, sample << 16, sample - PERF_HEADERS
    runs = np.zeros((samples, 1), PACKET_RUN)
    runs["bytes"] = per_run * block
    first = PERF_HEADERS // 4
    content[:, first : first + PACKET_RUN.itemsize // 4] = runs.view(np.uint32)
    blocks = np.zeros((samples, per_run), PACKET_BLOCK)
    ends = np.zeros((samples, per_run), PACKET_BLOCK_END)
    blocks["type"], blocks["total"], blocks["captured"], blocks["original"] = 6, block, size, size
    ends["flags_option"], ends["flags"], ends["total"] = 4 << 16 | 2, INBOUND, block
    number = np.arange(samples * per_run).reshape(samples, per_run)
    filled = []
    for cpu in range(cpus):
        used = samples if shape != "one busy" or cpu == 0 else max(samples // 100, 1)
        blocks["time_low"] = 1 + (
            number // per_run * per_run * cpus + cpu * per_run + number % per_run
            if shape == "bursts"
            else number * cpus + cpu
        )
        body = content[:, first + PACKET_RUN.itemsize // 4 :][:, : per_run * block // 4]
        body = body.reshape(samples, per_run, block // 4)
        body[:, :, : PACKET_BLOCK.itemsize // 4] = blocks.view(np.uint32).reshape(samples, per_run, -1)
        body[:, :, -PACKET_BLOCK_END.itemsize // 4 :] = ends.view(np.uint32).reshape(samples, per_run, -1)
        content[:, first + PACKET_RUN.itemsize // 4 :][:, : per_run * block // 4] = body.reshape(samples, -1)
        start = (cpu * stride + PAGE) // 4
        memory_words[start : start + used * sample // 4] = content[:used].reshape(-1)
        memory_words.view(np.int64)[cpu * stride // 8 + 1024 // 8] = used * sample
        filled.append(used * sample)
    end = np.array(filled, np.int64)
    return FilledRings(memory_words, stride, int(end.sum()) // sample * per_run, end)


def idle(rings: FilledRings) -> float:
    """Nanoseconds of a round in which no ring and no batch has anything new."""
    cpus = len(rings.end)
    states = np.zeros((cpus, BATCH_STATE.itemsize // 8), np.int64)
    states.flags.writeable = False
    loop = rings.loop()
    for column in (BLOCK_AT, RUN_END, SAMPLE_END):
        loop.rings.cursors[:, column] = rings.end
    tallies = np.zeros((1, merge.FLAG_SETS, merge.TALLY_COLUMNS), np.int64)
    before = tallies.copy()
    began = time.perf_counter()
    for _ in range(IDLE_ROUNDS):
        oldest_waiting(states)
        snapshot(loop.rings)
        write_portions(loop, NEVER, 0, tallies, before, NO_FILE, 1)
    return (time.perf_counter() - began) * 1e9 / IDLE_ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many_cpus", description=__doc__)
    parser.add_argument("--memory", type=int, default=64, help="MiB of all rings together")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    compiled()
    lines = []
    print(f"{asked.memory} MiB of rings, {asked.repeat} runs each, interleaved; medians")
    for size in SIZES:
        times: dict[tuple[int, str], list[float]] = defaultdict(list)
        quiet: dict[int, list[float]] = defaultdict(list)
        for _ in range(asked.repeat):
            for cpus in CPUS:
                for shape in SHAPES:
                    rings = fill(cpus, size, shape, asked.memory << 20)
                    rings.drain()  # the memory is touched, and as warm as it gets
                    times[cpus, shape].append(rings.drain() * 1e9 / rings.packets)
                quiet[cpus].append(idle(rings))
        print(f"\n{size} bytes: ns per packet, by how they are spread")
        print(f"{'CPUs':>6}" + "".join(f"{shape:>12}" for shape in SHAPES) + f"{'idle round':>14}")
        for cpus in CPUS:
            row = [statistics.median(times[cpus, shape]) for shape in SHAPES]
            print(f"{cpus:6}" + "".join(f"{ns:12.1f}" for ns in row) + f"{statistics.median(quiet[cpus]):11.0f} ns")
            lines += [
                as_line(cpus=cpus, shape=shape, size=size, ns=times[cpus, shape], **machine()) for shape in SHAPES
            ]
    print(f"\npeak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    if asked.results:
        with open(asked.results, "a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
