"""One file after another, at the full speed of the sender: no packet lost, none twice, and each file complete."""

import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from capture.benchmark.senders import BATCH, FLOWS_MAX, FlowSender
from capture.benchmark.veth_pair import VethPair
from capture.run.section import closing_bytes
from testbed.tool import assert_adds_up, check_with_readers
from tests.e2e.disks import Recording
from tests.e2e.filesets import NAME, Read, files_of, packets_in, packets_shown, read_file
from tests.e2e.veth_load import TO_VB, settled

SENT = 1 << 21
RING = 1 << 17
BLOCK = 28 + len(TO_VB) + 16
MOST = 40_000_000
TICK_NS = 50_000_000
SLACK_NS = 1_000_000


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """One that is made by the capture; a quarter of a gigabyte does not outlive the test."""
    folder = tmp_path / "made"
    yield folder
    shutil.rmtree(folder)


def record(link: VethPair, folder: Path, count: int, *words: str) -> tuple[Recording, list[Path], list[Read]]:
    """Numbered packets, as fast as they can be sent; a buffer that holds them if nobody drains it at all.

    At least `count` arrive: a veth has no room for some where CPUs are busy, and then more are sent.
    """
    sender = FlowSender(link.va, TO_VB, flows=FLOWS_MAX)
    with Recording(link, folder.parent, folder / "f.pcapng", "--buffer", "512MiB", *words) as recording:
        left = count
        while left > 0:
            batches = max(2, -(-left // BATCH))
            link.namespace.run(lambda batches=batches: sender.send(batches * BATCH))
            left = count - settled(link)
        sender.close()
        assert recording.interrupt() == 0, recording.log
    files = files_of(folder)
    return recording, files, [read_file(file) for file in files]


def numbers(files: Sequence[Read]) -> np.ndarray:
    """Those of all packets, in the order of the files."""
    return np.concatenate([file.sequence() for file in files])


HOW = {
    "by size": ["-C", "40MB"],
    "by time, compressed": ["-G", "50ms", "--compress", "zstd"],
}


@pytest.mark.parametrize("words", HOW.values(), ids=HOW)
def test_every_packet_is_in_one_file_in_its_place(link: VethPair, folder: Path, words: list[str]) -> None:
    recording, files, read = record(link, folder, SENT, *words)
    received = link.counters("vb")[0]
    summary = recording.summary
    account = summary["account"]
    assert_adds_up(account)
    assert account["seen"] == account["written"] == received
    assert account["lost"] == 0

    found = numbers(read)
    assert len(found) == received >= SENT
    assert (np.diff(found) > 0).all()
    assert all((np.diff(file.times) >= 0).all() for file in read)
    assert (np.diff(np.concatenate([file.times for file in read])) >= -SLACK_NS).all()

    counts = [len(file.times) for file in read]
    assert min(counts[:-1]) > 0  # the last one may have begun after the last packet
    assert packets_in(files) == counts
    assert [packets_shown(file) for file in files] == counts

    check_statistics(read, account)
    check_names(files, summary)
    if "-C" in words:
        assert len(files) > 4
        assert all(file.size <= MOST for file in read)
    else:
        assert len(files) > 1  # how many depends on how fast they came
        check_times(read)


def check_statistics(read: Sequence[Read], account: dict) -> None:
    """Each is of its file's own span; together they are the account."""
    spans = [file.statistics[0] for file in read]
    for name, of_all in (
        ("received", "seen"),
        ("accepted", "matched"),
        ("dropped", "lost"),
        ("delivered", "written"),
    ):
        assert sum(span[name] for span in spans) == account[of_all], name
    assert [span["delivered"] for span in spans] == [len(file.times) for file in read]
    for before, after in itertools.pairwise(spans):
        assert abs(after["start_ns"] - before["end_ns"]) <= SLACK_NS
        assert before["start_ns"] < before["end_ns"]


def check_names(files: Sequence[Path], summary: dict) -> None:
    """A set to Wireshark; the number, and the local time at which the file began."""
    assert [file["path"] for file in summary["files"]] == [str(file) for file in files]
    for number, (file, told) in enumerate(zip(files, summary["files"], strict=True), start=1):
        name = NAME.fullmatch(file.name)
        assert name, file.name
        assert int(name[1]) == number
        assert name[2] == time.strftime("%Y%m%d%H%M%S", time.localtime(told["began_ns"] // 10**9))
        assert told["bytes"] == file.stat().st_size


def check_times(read: Sequence[Read]) -> None:
    """A file ends with the tick in which its first packet came: without a packet it goes on for another.

    Where the reader was late, a file begins later than the packets that it has from before.
    """
    for file, following in itertools.pairwise(read):
        begins = file.statistics[0]["start_ns"]
        ends = begins + (max(file.times[0] - begins, 0) // TICK_NS + 1) * TICK_NS
        assert file.times[-1] < ends
        assert (following.times >= ends - SLACK_NS).all()


@pytest.mark.parametrize("compress", [[], ["--compress", "zstd"]], ids=["plain", "compressed"])
def test_a_ring_keeps_the_last_files(link: VethPair, folder: Path, compress: list[str]) -> None:
    recording, files, read = record(link, folder, RING, "-C", "1MB", "-W", "3", *compress)
    summary = recording.summary
    assert summary["account"]["written"] == link.counters("vb")[0]
    assert len(files) == 3
    last = summary["files_removed"] + 3
    assert [int(NAME.sub(r"\1", file.name)) for file in files] == [last - 2, last - 1, last]
    assert last > 10
    found, counts = numbers(read), [len(file.times) for file in read]
    assert found[0] > RING // 2
    assert (np.diff(found) > 0).all()
    # Room for the longest statistics is held back; one block more has none.
    assert all(1_000_000 - closing_bytes(1) - BLOCK < file.size <= 1_000_000 for file in read[:2])
    assert [file.statistics[0]["delivered"] for file in read] == counts
    assert packets_in(files) == counts
    if not compress:
        check_with_readers(files[-1], counts[-1])


def test_without_a_packet_there_is_one_file(link: VethPair, folder: Path) -> None:
    with Recording(link, folder.parent, folder / "f.pcapng", "-G", "50ms") as recording:
        time.sleep(0.3)
        assert recording.interrupt() == 0
    files = files_of(folder)
    assert len(files) == 1
    check_with_readers(files[0], 0)
    assert recording.summary["files_removed"] == 0
