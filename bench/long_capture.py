"""`python -m bench.long_capture FOLDER`: a long capture into a ring of files on a disk, second by second.

Does memory stay flat, how much of the page cache do the files take, what does compression cost, what is lost: bicap
plain, bicap with zstd, and tcpdump, one after another with the same packets. bench/README.md defines the columns.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import zstandard

from bench.lines import as_line
from capture.benchmark import frames
from capture.benchmark.process import BICAP, Process
from capture.benchmark.senders import FlowSender
from capture.benchmark.tools import RING_MIB, machine
from capture.benchmark.veth_pair import VethPair
from testbed.traffic import Traffic, contents

SETTLED_SECONDS = 10
"""Memory is compared from here on: buffers have their size by then."""
NAMES = ("bicap", "bicap zstd", "tcpdump")


@dataclass(frozen=True)
class FileRing:
    """Files kept, and the size of each."""

    file_mib: int
    files: int

    def command(self, name: str, file: str) -> list[str]:
        if name == "tcpdump":
            size = round(self.file_mib * 1.048576)
            return f"tcpdump -i vb -p -n -B {RING_MIB * 1024} -Z root -C {size} -W {self.files} -w {file}".split()
        compress = "--compress zstd" if "zstd" in name else ""
        ours = f"--buffer {RING_MIB}MiB -C {self.file_mib}MiB -W {self.files} --ready-file {file}.ready {compress}"
        return f"{BICAP} capture -i vb {ours} -w {file}".split()


@dataclass(frozen=True)
class Second:
    """One second: the process, the machine's page cache, and what of it is of our files."""

    seconds: float
    rss_bytes: int
    cached_bytes: int
    dirty_bytes: int
    files_bytes: int
    files_cached_bytes: int


@dataclass(frozen=True)
class LongRun:
    """A contestant's whole run."""

    seconds: float
    sent: int
    written: int
    cpu_seconds: float
    ratio: float
    samples: Sequence[Second]


def sample(process: Process, began: float, folder: Path) -> Second:
    """Now."""
    memory = dict(re.findall(r"^(Cached|Dirty): +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE))
    files = [str(file) for file in folder.glob("capture*")]
    asked = ["fincore", "--bytes", "--noheadings", "--output", "RES,SIZE", *files]
    # A file of the ring may be removed before fincore comes to it, which then says so and goes on.
    answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout if files else ""
    sizes = [tuple(map(int, line.split())) for line in answer.splitlines()]
    return Second(
        seconds=time.monotonic() - began,
        rss_bytes=process.rss_bytes(),
        cached_bytes=int(memory["Cached"]) << 10,
        dirty_bytes=int(memory["Dirty"]) << 10,
        files_bytes=sum(size for _, size in sizes),
        files_cached_bytes=sum(resident for resident, _ in sizes),
    )


def measure(
    link: VethPair, name: str, ring: FileRing, sender: FlowSender, pps: int, seconds: int, folder: Path
) -> LongRun:
    """One contestant from start to end; its files are removed."""
    file = folder / ("capture.pcapng.zst" if "zstd" in name else "capture.pcapng")
    ready = Path(f"{file}.ready")
    words = ring.command(name, str(file))
    received = link.counters("vb")[0]
    samples = []
    process = Process(link.netns, words, str(folder / "log"), lambda log: ready.exists() or "listening on" in log)
    with process, Traffic(link, sender, pps):
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(1)
            samples.append(sample(process, began, folder))
        cpu = process.cpu_seconds()
    sent = link.counters("vb")[0] - received
    found = re.search(r"([\d,]+) packets (written|captured)", process.log())
    assert found, f"{name} does not say how many packets it wrote: {process.log()}"
    written = int(found[1].replace(",", ""))
    ratio = compression(sorted(folder.glob("capture*.zst")))
    for file in folder.iterdir():
        file.unlink()
    return LongRun(samples[-1].seconds, sent, written, cpu, ratio, samples)


def compression(files: Sequence[Path]) -> float:
    """Bytes before compression for one byte after, of all files kept; 1 if there are none."""
    before = 0
    for path in files:
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            before += sum(len(chunk) for chunk in iter(lambda: reader.read(1 << 20), b""))  # noqa: B023
    return before / sum(path.stat().st_size for path in files) if files else 1.0


def table(runs: dict[str, LongRun]) -> Iterator[str]:
    """Lines for a person."""
    yield (
        f"{'':12}{'Mpps':>7}{'lost':>8}{'CPU':>7}{'CPU ns':>8}{'ratio':>7}"
        f"{'RSS MiB: first':>16}{'min':>6}{'max':>6}{'last':>6}"
        f"{'cache MiB: mean':>17}{'max':>7}{'last':>7}{'all':>7}{'dirty':>7}"
    )
    for name, run in runs.items():
        settled = [one for one in run.samples if one.seconds > SETTLED_SECONDS]
        rss = [one.rss_bytes >> 20 for one in settled]
        cache = [one.files_cached_bytes >> 20 for one in settled]
        growth = max(one.cached_bytes for one in run.samples) - run.samples[0].cached_bytes
        dirty = max(one.dirty_bytes >> 20 for one in settled)
        yield (
            f"{name:12}{run.sent / run.seconds / 1e6:7.2f}{1 - run.written / run.sent:8.2%}"
            f"{run.cpu_seconds / run.seconds:7.0%}{run.cpu_seconds * 1e9 / run.written:8.0f}{run.ratio:7.2f}"
            f"{rss[0]:16}{min(rss):6}{max(rss):6}{rss[-1]:6}"
            f"{statistics.mean(cache):17.0f}{max(cache):7}{cache[-1]:7}{growth >> 20:7}{dirty:7}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.long_capture", description=__doc__)
    parser.add_argument("folder", nargs="?", default=".", help="on the disk to write to")
    parser.add_argument("--seconds", type=int, default=600, help="for each contestant")
    parser.add_argument("--size", type=int, default=512, help="frame length in bytes")
    parser.add_argument("--pps", type=int, default=0, help="packets per second; 0: as many as can be sent")
    parser.add_argument("--content", choices=["random", "text"], default="random")
    parser.add_argument("--file-mib", type=int, default=256)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--results", help="append JSON lines to this file")
    asked = parser.parse_args()
    frame = frames.udp(asked.size)
    ring = FileRing(asked.file_mib, asked.files)
    runs = {}
    with VethPair() as link, tempfile.TemporaryDirectory(dir=asked.folder, prefix="bench-") as folder:
        sender = FlowSender(link.va, frame, 1_000, contents(asked.content, asked.size - 42))
        for name in asked.only:
            runs[name] = measure(link, name, ring, sender, asked.pps, asked.seconds, Path(folder))
        sender.close()
    rate = f"{asked.pps:,} packets a second" if asked.pps else "full rate"
    print(f"{asked.seconds} s each, {asked.size} bytes, {asked.content}, {rate}; {ring.files} x {ring.file_mib} MiB")
    print("\n".join(table(runs)))
    if asked.results:
        facts = {"size": asked.size, "pps": asked.pps, "content": asked.content, **asdict(ring), **machine()}
        with open(asked.results, "a") as file:
            file.writelines(as_line(tool=name, **facts, **asdict(run)) + "\n" for name, run in runs.items())


if __name__ == "__main__":
    main()
