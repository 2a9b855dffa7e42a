"""`python -m bench.many_cpus`: what the reader costs with more CPUs than this machine has.

The rings are made up in memory, as full as --buffer lets them be; the loop that merges and frames them is the
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
from capture.abi import BATCH_STATE, PACKET_RECORD, PERF_HEADERS
from capture.benchmark.tools import machine
from capture.run.drain import WRITE_BYTES
from capture.stream.compiled import merge

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

    def drain(self) -> float:
        """Merge all of it; seconds."""
        longs, cursors = self.words.view(np.int64), np.zeros((len(self.end), 2), np.int64)
        longs.reshape(len(self.end), -1)[:, 1032 // 8] = 0
        out = np.empty(WRITE_BYTES // 4 + merge.LARGEST_BLOCK_WORDS, np.uint32)
        pieces = np.zeros((merge.PIECES_MOST, merge.PIECE_COLUMNS), np.int64)
        state, tallies = np.zeros(merge.STATE_SLOTS, np.int64), np.zeros((1, merge.FLAG_SETS, 3), np.int64)
        state[[merge.LEFT, merge.LEFT_FORWARD, merge.LEFT_REVERSE, merge.BYTES_LEFT, merge.FILE_LEFT]] = 1 << 62
        heads = np.zeros(len(self.end), np.int64)
        began = time.perf_counter()
        written = 1
        while written:
            merge.snapshot(longs, self.stride, heads)
            written = merge.merge(
                self.words, longs, self.stride, PAGE, heads, cursors, merge.NEVER, 0, out, pieces, state, tallies
            )
            merge.release(longs, self.stride, cursors)
        seconds = time.perf_counter() - began
        assert int(tallies[0, :, 0].sum()) == self.packets
        assert state[merge.LATE] == 0
        return seconds


def fill(cpus: int, size: int, shape: str, memory: int) -> FilledRings:
    """Rings with records that are in order of time in each ring, and mixed over the rings as the shape says."""
    ring_bytes = 1 << (memory // cpus).bit_length() - 1
    record = PACKET_RECORD.itemsize + (size + 7 & ~7)
    per_sample = max(BATCH // record, 1)
    sample = PERF_HEADERS + per_sample * record + 4
    samples = ring_bytes // sample
    stride = PAGE + ring_bytes
    memory_words = np.zeros(cpus * stride // 4, np.uint32)
    content = np.zeros((samples, sample // 4), np.uint32)
    content[:, 0], content[:, 1], content[:, 2] = SAMPLE, sample << 16, sample - PERF_HEADERS
    records = np.zeros((samples, per_sample), PACKET_RECORD)
    records["captured"] = records["original"] = size
    records["flags"] = 1
    number = np.arange(samples * per_sample).reshape(samples, per_sample)
    ends = []
    for cpu in range(cpus):
        used = samples if shape != "one busy" or cpu == 0 else max(samples // 100, 1)
        records["timestamp_ns"] = 1 + (
            number // per_sample * per_sample * cpus + cpu * per_sample + number % per_sample
            if shape == "bursts"
            else number * cpus + cpu
        )
        body = content[:, 3 : 3 + per_sample * record // 4].reshape(samples, per_sample, record // 4)
        body[:, :, : PACKET_RECORD.itemsize // 4] = records.view(np.uint32).reshape(samples, per_sample, -1)
        start = (cpu * stride + PAGE) // 4
        memory_words[start : start + used * sample // 4] = content[:used].reshape(-1)
        memory_words.view(np.int64)[cpu * stride // 8 + 1024 // 8] = used * sample
        ends.append(used * sample)
    end = np.array(ends, np.int64)
    return FilledRings(memory_words, stride, int(end.sum()) // sample * per_sample, end)


def idle(rings: FilledRings) -> float:
    """Nanoseconds of a round in which no ring and no batch has anything new."""
    cpus = len(rings.end)
    longs, heads = rings.words.view(np.int64), np.zeros(cpus, np.int64)
    states = np.zeros((cpus, BATCH_STATE.itemsize // 8), np.int64)
    states.flags.writeable = False
    cursors = np.stack([rings.end, rings.end], axis=1)
    out = np.empty(merge.LARGEST_BLOCK_WORDS + 1, np.uint32)
    pieces = np.zeros((merge.PIECES_MOST, merge.PIECE_COLUMNS), np.int64)
    state, tallies = np.zeros(merge.STATE_SLOTS, np.int64), np.zeros((1, merge.FLAG_SETS, 3), np.int64)
    began = time.perf_counter()
    for _ in range(IDLE_ROUNDS):
        merge.oldest_waiting(states)
        merge.snapshot(longs, rings.stride, heads)
        merge.merge(
            rings.words, longs, rings.stride, PAGE, heads, cursors, merge.NEVER, 0, out, pieces, state, tallies
        )
        merge.release(longs, rings.stride, cursors)
    return (time.perf_counter() - began) * 1e9 / IDLE_ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many_cpus", description=__doc__)
    parser.add_argument("--memory", type=int, default=64, help="MiB of all rings together")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    merge.compiled()
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
