"""An output that fails: what it took is complete, the rest is counted, one line says why, and the exit code is 6."""

import contextlib
import errno
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zstandard

from capture.benchmark.senders import FlowSender
from capture.benchmark.veth_pair import VethPair
from capture.stream.compiled.merge import PORTION
from testbed import packets
from testbed.patience import wait_until
from testbed.tool import assert_adds_up, check_with_readers
from testbed.traffic import Traffic
from testbed.two_pods import run
from tests.e2e.disks import Ext4, Recording, await_size, refusing, tmpfs
from tests.e2e.filesets import files_of, is_compressed, packets_in, read_file
from tests.e2e.veth_load import FROM_VB, TO_VB, BothWays, receive, transmit

assert len(FROM_VB) == len(TO_VB)
BLOCK = 28 + len(TO_VB) + 16
FIRST, LATER = 2048, 500
PIPE = 1 << 20
MIB = 1 << 20


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def failed(recording: Recording, reason: str) -> None:
    """It said once why it ended, last, and in the summary, which adds up."""
    log = recording.log
    assert "Traceback" not in log
    assert re.fullmatch(f"bicap: {reason}", log.splitlines()[-1]), log
    assert re.fullmatch(reason, recording.summary["end_reason"])
    assert_adds_up(recording.summary["account"])


def first_then_later(link: VethPair, recording: Recording, file: Path, fail: Callable[[], None]) -> None:
    """Packets of which all are in the file; then it fails; then packets more, of which none can be."""
    size = file.stat().st_size
    receive(link, FIRST)
    await_size(file, size + FIRST * BLOCK)
    fail()
    transmit(link, LATER)
    assert recording.ends() == 6


def has_the_first(recording: Recording) -> None:
    account = recording.summary["account"]
    assert (account["seen"], account["written"]) == (FIRST + LATER, FIRST)
    assert account["lost_by"] == {"ring_full": 0, "other": 0, "writing": LATER}


FULL = {
    "file": [],
    "ring, larger than the disk": ["-C", "400KiB", "-W", "9"],
    "compressed set": ["-C", "2MiB", "--compress", "zstd"],
}


@pytest.mark.parametrize("words", FULL.values(), ids=FULL)
def test_the_disk_is_full(link: VethPair, tmp_path: Path, words: list[str]) -> None:
    with tmpfs(tmp_path / "disk", "640k" if "zstd" in words else "1m") as disk:
        with Recording(link, tmp_path, disk / "f.pcapng", *words) as recording, BothWays(link):
            assert recording.ends() == 6
        failed(recording, rf"cannot write {disk}/f\S*\.pcapng: the disk is full")
        summary = recording.summary
        assert summary["complete"]
        assert summary["account"]["lost_by"]["writing"] > 0
        files = files_of(disk)
        assert [file["path"] for file in summary["files"]] == [str(file) for file in files]
        assert [file["bytes"] for file in summary["files"]] == [file.stat().st_size for file in files]
        assert len(files) > 1 or "-C" not in words
        check_files(files, summary["account"])


def fill(disk: Path) -> None:
    """Take all that is free."""
    with (disk / "other").open("wb", buffering=0) as other, contextlib.suppress(OSError):
        while True:
            other.write(bytes(4096))


def test_the_end_of_the_file_has_room_after_another_program_filled_the_disk(link: VethPair, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "1m") as disk:
        file = disk / "f.pcapng"
        with Recording(link, tmp_path, file) as recording:
            first_then_later(link, recording, file, lambda: fill(disk))
        failed(recording, f"cannot write {file}: the disk is full")
        summary = recording.summary
        assert summary["complete"]
        assert json.loads(Path(f"{file}.json").read_text()) == summary
        assert FIRST <= summary["account"]["written"] < FIRST + 4096 // BLOCK + 1  # what a page has room for
        check_files([file], summary["account"])


def check_files(files: list[Path], account: dict) -> None:
    """Everybody reads them all; what they hold, and say that they hold, is what was written."""
    read = [read_file(file) for file in files]
    assert packets_in(files) == [len(one.times) for one in read]
    assert sum(len(one.times) for one in read) == account["written"]
    assert sum(one.statistics[0]["delivered"] for one in read) == account["written"]
    assert sum(one.statistics[0]["received"] for one in read) == account["seen"]
    assert sum(one.statistics[0]["dropped"] for one in read) == account["lost"]
    assert {frame.tobytes() for one in read for frame in one.frames[::100]} <= {TO_VB, FROM_VB}
    if not is_compressed(files[-1]):
        check_with_readers(files[-1])


def test_the_file_system_becomes_read_only(link: VethPair, tmp_path: Path) -> None:
    with Ext4(tmp_path / "disk") as disk:
        file = disk.folder / "f.pcapng"
        with Recording(link, tmp_path, file) as recording:
            first_then_later(link, recording, file, disk.fails)
        failed(recording, f"cannot write {file}: the file system is read-only; choose another place")
        has_the_first(recording)
        assert not recording.summary["complete"]  # not even statistics could be written
        check_with_readers(file, FIRST)


def test_a_file_at_its_size_limit_ends_the_capture(link: VethPair, tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    with Recording(link, tmp_path, file) as recording:

        def limit() -> None:  # what is left has room for the statistics, or for the first of the later packets
            run("prlimit", f"--pid={recording.process.pid}", f"--fsize={file.stat().st_size + 4 * BLOCK}")

        first_then_later(link, recording, file, limit)
    reason = "the file is as large as it may be; begin another before that with -C"
    failed(recording, f"cannot write {file}: {reason}")
    assert recording.summary["complete"]
    assert FIRST <= recording.summary["account"]["written"] <= FIRST + 4
    check_files([file], recording.summary["account"])


@pytest.mark.parametrize("words", [[], ["--compress", "zstd"]], ids=["file", "compressed"])
def test_the_quota_is_used_up(link: VethPair, tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "f.pcapng"
    quota = refusing(errno.EDQUOT, beyond=MIB // 4)
    with Recording(link, tmp_path, file, *words, within=quota) as recording, BothWays(link):
        assert recording.ends() == 6
    failed(recording, f"cannot write {file}: the quota is used up")
    assert recording.summary["complete"]
    account = recording.summary["account"]
    assert account["lost"] == account["lost_by"]["writing"] > 0
    check_files([file], account)
    assert MIB // 4 < file.stat().st_size < MIB // 4 + 2 * PORTION


def test_the_directory_is_removed(link: VethPair, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    file = tmp_path / "made" / "f.pcapng"
    with Recording(link, tmp_path, file) as recording:
        first_then_later(link, recording, file, lambda: shutil.rmtree(file.parent))
    failed(recording, f"{file} was removed while it was written; its content is lost")
    has_the_first(recording)
    assert not recording.summary["complete"]
    assert not file.parent.exists()


def test_a_removed_file_is_noticed_without_a_packet(link: VethPair, tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    with Recording(link, tmp_path, file) as recording:
        file.unlink()
        assert recording.ends() == 6
    failed(recording, f"{file} was removed while it was written; its content is lost")


def test_the_directory_is_gone_when_the_next_file_begins(link: VethPair, tmp_path: Path) -> None:
    made, moved = tmp_path / "made", tmp_path / "moved"
    made.mkdir()
    with Recording(link, tmp_path, made / "f.pcapng", "-C", "100kB", "-W", "3") as recording:
        made.rename(moved)
        receive(link, FIRST)
        assert recording.ends() == 6
    failed(recording, rf"cannot write {made}/f_00002_\d{{14}}\.pcapng: the directory does not exist")
    files = files_of(moved)
    assert len(files) == 1
    assert recording.summary["complete"]
    check_files(files, recording.summary["account"])
    size = read_file(files[0]).size
    assert size <= 100_000
    assert 0 < recording.summary["account"]["written"] < FIRST


MORE_THAN_HELD = 20_000
"""Packets of a kilobyte: more than what the pipes and the rings have room for."""
ACCOUNT = re.compile(
    r"([\d,]+) (seen|matched|written|lost|ring full \(raise --buffer\)|not written)(?= [=+]|$|,)", re.M
)
STALLED = {
    "pipe": ("-", [], "ended by SIGINT"),
    "named pipe": ("fifo", ["--duration", "1500ms"], "duration reached"),
    "compressed": ("fifo", ["--compress", "zstd"], "ended by SIGINT"),
}


def test_readers_stop_reading(link: VethPair, tmp_path: Path) -> None:
    """All at once, because each may wait some seconds for its reader at the end."""
    with ExitStack() as stack:
        running = {}
        for name, (output, words, _) in STALLED.items():
            folder = tmp_path / name
            folder.mkdir()
            reader = -1
            if output != "-":
                os.mkfifo(folder / output)
                reader = os.open(folder / output, os.O_RDONLY | os.O_NONBLOCK)
                stack.callback(os.close, reader)
            shown = output if output == "-" else folder / output
            recording = stack.enter_context(Recording(link, folder, shown, "--buffer", "1MiB", *words, ready=False))
            if isinstance(recording.process, subprocess.Popen) and recording.process.stdout is not None:
                reader = recording.process.stdout.fileno()
            running[name] = recording, reader
        # More different bytes than what zstd looks back at: the pipes fill up also where they are compressed.
        chance = random.Random(1)
        payloads = [chance.randbytes(1000) for _ in range(1024)]
        frame = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, payloads[0])
        sender = FlowSender(link.va, frame, contents=payloads)
        stack.callback(sender.close)
        with Traffic(link, sender, 20_000):
            for recording, _ in running.values():
                recording.await_ready()
            enough = link.counters("vb")[0] + MORE_THAN_HELD
            wait_until(lambda: link.counters("vb")[0] > enough)
            for name, (_, _, reason) in STALLED.items():
                if "SIGINT" in reason:
                    running[name][0].process.send_signal(signal.SIGINT)
            codes = {name: recording.ends() for name, (recording, _) in running.items()}
        assert codes == dict.fromkeys(STALLED, 6)
        for name, (recording, reader) in running.items():
            stalled(name, recording, everything_in(reader), tmp_path / name)


def stalled(name: str, recording: Recording, stream: bytes, folder: Path) -> None:
    """It ended as asked, and the reader finds in the pipe what is accounted for, and a batch cut off at most."""
    output, words, reason = STALLED[name]
    log = recording.log
    shown = "the reader of standard output" if output == "-" else str(folder / output)
    said = f"bicap: {shown} stopped reading; the rest was not written"
    assert log.splitlines()[-1] == said, log
    assert "Traceback" not in log
    assert log.splitlines()[1].endswith(f": {reason}")
    account = {what: int(count.replace(",", "")) for count, what in ACCOUNT.findall(log)}
    assert account["seen"] == account["matched"] == account["written"] + account["lost"]
    assert account["ring full (raise --buffer)"] + account["not written"] == account["lost"]
    assert account["ring full (raise --buffer)"] > 0
    if output != "-":
        assert_adds_up(recording.summary["account"])
    if "zstd" in words:
        stream = zstandard.ZstdDecompressor().decompressobj().decompress(stream)
    arrived = whole_packets(stream)
    assert account["written"] <= arrived <= account["written"] + PORTION // 1000 + 1
    assert account["written"] > 0


def everything_in(reader: int) -> bytes:
    """Return the bytes that a reader finds when it reads again."""
    return b"".join(iter(lambda: os.read(reader, PIPE), b""))


def whole_packets(stream: bytes) -> int:
    """How many packets there are before a pcapng stream is cut off."""
    at = packets = 0
    while at + 8 <= len(stream):
        kind, total = struct.unpack_from("<II", stream, at)
        at += total
        packets += kind == 6 and at <= len(stream)
    return packets
