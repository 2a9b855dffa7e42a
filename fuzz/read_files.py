"""Bytes -> all that can be asked of a capture file that consists of them. Run by `make fuzz` (fuzz/README.md)."""

import argparse
import contextlib
import os
import random
import sys
from pathlib import Path

argparse.ArgumentParser(prog="python fuzz/read_files.py", description=__doc__).parse_args()  # needs no fuzzer

import atheris  # noqa: E402

# Modules that numba compiles must stay as they are: the fuzzer's marks are no code that it knows.
_COMPILED = [".".join(file.with_suffix("").parts) for file in Path("capture").rglob("compiled/*.py")]
with atheris.instrument_imports(include=["capture"], exclude=["capture.arrays.jit", *_COMPILED]):
    from capture.analysis.application import messages
    from capture.analysis.sessions.tracker import compiled
    from capture.errors import FormatError
    from testbed import generate
    from testbed.every_answer import ask_everything
    from testbed.foreign_blocks import capture_file

PCAP = b"\xd4\xc3\xb2\xa1\2\0\4\0\0\0\0\0\0\0\0\0\xff\xff\0\0\1\0\0\0"


def seeds(folder: Path) -> None:
    """Small files with packets of every kind, so that the fuzzer need not invent the format."""
    for seed in range(40):
        chance = random.Random(seed)
        frames = [generate.packet(chance, number) for number in range(chance.randrange(1, 12))]
        content = capture_file(frames, [chance.randrange(2) for _ in frames])
        if seed % 4 == 0:
            sizes = [len(frame).to_bytes(4, "little") for frame in frames]
            content = PCAP + b"".join(bytes(8) + size * 2 + frame for size, frame in zip(sizes, frames, strict=True))
        (folder / f"seed-{seed}").write_bytes(content)


def main() -> None:
    corpus, found = Path("fuzz/corpus"), Path("fuzz/found")
    for folder in (corpus, found):
        folder.mkdir(exist_ok=True)
    seeds(corpus)
    compiled()
    messages.compiled()
    path = Path(f"/proc/self/fd/{os.memfd_create('file')}")  # the fuzzer ends the process: nobody would remove a file

    def once(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(FormatError):
            ask_everything(path)

    options = ["-max_len=20000", "-timeout=30", "-rss_limit_mb=4096", "-print_final_stats=1"]
    seconds = os.environ.get("FUZZ_SECONDS", "3600")
    atheris.Setup(
        [sys.argv[0], *options, f"-max_total_time={seconds}", f"-artifact_prefix={found}/", str(corpus)], once
    )
    atheris.Fuzz()


main()
