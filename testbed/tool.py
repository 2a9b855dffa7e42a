"""The installed `bicap` command, run as a user runs it, and captures read back by other people's tools."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from capture.benchmark.process import BICAP as BICAP
from testbed.patience import PATIENCE, wait_until
from testbed.warm import WarmProcess


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def bicap(*words: str, within: Sequence[str] = (), env: dict[str, str] | None = None) -> Finished:
    """Run bicap to its end; from a shell's start on where `within` or `env` ask for what only that has."""
    longest = 5 * PATIENCE  # a calibration
    if env or not WarmProcess.can_run(within):
        environment = os.environ | (env or {})
        command = [*within, BICAP, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=longest, check=False, env=environment)
        return Finished(done.returncode, done.stdout, done.stderr)
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = WarmProcess(words, within, stdout, stderr)
        try:
            code = process.wait(longest)
        finally:
            process.kill()
        for output in (stdout, stderr):
            output.seek(0)
        return Finished(code, stdout.read(), stderr.read())


class BackgroundProcess:
    """A command of bicap that was started and is ready: leaves the `with` block stopped by SIGINT and finished.

    Its log and ready file are called as the `output` that the words name.
    """

    def __init__(self, output: Path, words: Sequence[str], within: Sequence[str], stop: bool = True) -> None:
        self._output, self._ready, self._stop = output, output.with_suffix(".ready"), stop
        self._ready.unlink(missing_ok=True)
        command = [words[0], "--ready-file", str(self._ready), *words[1:]]
        self._log = output.with_suffix(".log").open("w+")
        self.process: WarmProcess | subprocess.Popen[bytes] = (
            WarmProcess(command, within, subprocess.DEVNULL, self._log)
            if WarmProcess.can_run(within)
            else subprocess.Popen([*within, BICAP, *command], stdout=subprocess.DEVNULL, stderr=self._log)
        )

        def ready() -> bool:
            assert self.process.poll() is None, f"bicap ended before it was ready: {self.log()}"
            return self._ready.exists()

        try:
            wait_until(ready, lambda: "bicap is not ready")
        except BaseException:  # no `with` block will end it
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._stop and self.process.poll() is None:
                time.sleep(0.1)
                self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)
        finally:
            self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def log(self) -> str:
        """What it said on stderr."""
        return self._output.with_suffix(".log").read_text()


class CaptureProcess(BackgroundProcess):
    """`bicap capture` running in the background."""

    def __init__(self, file: Path, *words: str, within: Sequence[str] = (), stop: bool = True) -> None:
        self.file = file
        super().__init__(file, ["capture", "-w", str(file), *words], within, stop)

    @property
    def summary(self) -> Any:
        """FILE.json."""
        assert Path(f"{self.file}.json").exists(), f"bicap ended with {self.process.returncode}: {self.log()}"
        return json.loads(Path(f"{self.file}.json").read_text())


@dataclass(frozen=True)
class Packets:
    """The packets of a capture: times in ns, captured bytes, original lengths, direction flags (pcapng only)."""

    times: np.ndarray[Any, Any]
    data: list[bytes]
    lengths: list[int]
    flags: list[int]


def read_pcapng(file: Path) -> Packets:
    """Enhanced Packet Blocks of a little-endian file with nanosecond times; strict about their form."""
    raw = file.read_bytes()
    at, times, data, lengths, flags = 0, [], [], [], []
    while at < len(raw):
        kind, total = np.frombuffer(raw, "<u4", 2, at).tolist()
        assert raw[at + total - 4 : at + total] == raw[at + 4 : at + 8], f"block at {at}: trailer is not the length"
        if kind == 6:
            _, high, low, captured, original = np.frombuffer(raw, "<u4", 5, at + 8).tolist()
            options = at + 28 + (captured + 3 & ~3)
            assert raw[at + 28 + captured : options] == bytes(-captured % 4), f"block at {at}: padding is not zero"
            assert raw[options : options + 4] == b"\2\0\4\0", f"block at {at}: no epb_flags"
            times.append(high << 32 | low)
            data.append(raw[at + 28 : at + 28 + captured])
            lengths.append(original)
            flags.append(raw[options + 4])
        at += total
    return Packets(np.array(times, np.int64), data, lengths, flags)


def read_pcap(file: Path) -> Packets:
    """A little-endian pcap file with nanosecond times, as tcpdump writes it."""
    raw = file.read_bytes()
    assert raw[:4] == b"\x4d\x3c\xb2\xa1"
    at, times, data, lengths = 24, [], [], []
    while at < len(raw):
        seconds, nanoseconds, captured, original = np.frombuffer(raw, "<u4", 4, at).tolist()
        times.append(seconds * 10**9 + nanoseconds)
        data.append(raw[at + 16 : at + 16 + captured])
        lengths.append(original)
        at += 16 + captured
    return Packets(np.array(times, np.int64), data, lengths, [])


def check_with_readers(file: Path, packets: int | None = None) -> None:
    """tshark's dissector of the format itself, capinfos (Wireshark's reader) and tcpdump must all accept the file."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, check=False)

    oracle = run("tshark", "-n", "-X", "read_format:MIME Files Format", "-r", str(file), "-q", "-z", "expert")
    assert not oracle.stdout.strip(), oracle.stdout
    assert oracle.returncode == 0, oracle.stderr
    counted = run("capinfos", "-Mrc", "-T", str(file))
    assert counted.returncode == 0, counted.stderr
    # As root, or /dev/null would be the user tcpdump's from then on.
    dumped = run("tcpdump", "-Z", "root", "-n", "-r", str(file), "-w", "/dev/null")
    assert dumped.returncode == 0, dumped.stderr
    if packets is not None:
        assert int(counted.stdout.split()[-1]) == packets


def assert_adds_up(account: dict[str, Any]) -> None:
    """The sums that every account must keep."""
    assert account["seen"] == account["unmatched"] + account["matched"]
    forward, reverse = account["forward"], account["reverse"]
    for one in (account, forward, reverse):
        assert one["matched"] == one["written"] + one["sampled_out"] + one["over_limit"] + one["lost"]
        assert one["sampled_out"] == sum(one["sampled_by"].values())
        assert one["lost"] == sum(one["lost_by"].values())
        assert all(count >= 0 for count in [*one["sampled_by"].values(), *one["lost_by"].values(), one["over_limit"]])
        assert one["cut"] <= one["matched"]
    for name in set(forward) - {"sampled_by", "lost_by"}:
        assert account[name] == forward[name] + reverse[name]
    for by in ("sampled_by", "lost_by"):
        assert account[by] == {name: forward[by][name] + reverse[by][name] for name in forward[by]}
