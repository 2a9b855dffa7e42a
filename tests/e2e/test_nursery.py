"""Captures in forked processes: real packets, ends of all kinds, and what a child has of its own."""

import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from capture.benchmark.veth_pair import VethPair
from capture.errors import KernelError
from capture.kernel.features import capabilities_in
from capture.nursery.nursery import CaptureChild, Nursery, Outcome
from capture.request.document import Document, LimitsPart, StoragePart, TargetPart
from testbed.patience import PATIENCE, wait_until
from testbed.tool import assert_adds_up, bicap, check_with_readers, read_pcapng
from tests.e2e.veth_load import receive, transmit

PRIVATE_MIB = 40
"""Most memory that a child may have of its own, besides its rings."""
START_CPU_SECONDS = 0.25
"""Most CPU time from the fork until packets are caught."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def asked(link: VethPair, path: Path | str, count: int | None = None, start_at: datetime | None = None) -> Document:
    """All packets of vb, from `start_at` until `count`."""
    return Document(
        target=TargetPart(interfaces=["vb"], netns=link.netns),
        limits=LimitsPart(packets=count, buffer="8Mi", start_at=start_at),
        storage=StoragePart(path=str(path)),
    )


def running(nursery: Nursery, document: Document) -> CaptureChild:
    child = nursery.start(document)
    assert child.wait_ready(PATIENCE), child.wait(PATIENCE)
    return child


def ended(child: CaptureChild) -> Outcome:
    outcome = child.wait(PATIENCE)
    child.close()
    assert outcome is not None, "the child did not end"
    return outcome


def descriptors(pid: int) -> list[str]:
    """What a process has open, without the numbers in names."""
    names = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    return sorted(re.sub(r":\[\d+\]|#\d+|\d+(?=\.pcapng)", "", name) for name in names)


def test_a_child_captures_real_packets_and_its_summary_is_known(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    file = tmp_path / "f.pcapng"
    child = running(nursery, asked(link, file))
    assert child.interfaces == ["vb"]
    assert child.pid != nursery.pid
    receive(link, 1024)
    transmit(link, 500)
    child.stop()
    outcome = ended(child)
    assert (outcome.code, outcome.error) == (0, None)
    assert outcome.summary is not None
    assert outcome.summary["end_reason"] == "ended by SIGTERM"
    assert outcome.summary["account"]["written"] == 1524
    assert_adds_up(outcome.summary["account"])
    assert json.loads(Path(f"{file}.json").read_text()) == outcome.summary
    check_with_readers(file, 1524)


def test_a_child_ends_by_its_limit(nursery: Nursery, link: VethPair, tmp_path: Path) -> None:
    child = running(nursery, asked(link, tmp_path / "f.pcapng", count=16))
    receive(link, 64)
    outcome = ended(child)
    assert outcome.code == 0
    assert outcome.summary is not None
    assert outcome.summary["account"]["written"] == 16


def test_children_capture_side_by_side_each_into_its_own_file(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.pcapng" for number in range(4)]
    children = [running(nursery, asked(link, file)) for file in files]
    receive(link, 512)
    for child in children:
        child.stop()
    for file, child in zip(files, children, strict=True):
        assert ended(child).code == 0
        check_with_readers(file, 512)


def test_a_killed_child_is_reported_and_leaves_nothing_and_others_go_on(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    killed = running(nursery, asked(link, tmp_path / "killed.pcapng"))
    other = running(nursery, asked(link, tmp_path / "other.pcapng"))
    killed.kill()
    assert ended(killed) == Outcome(-signal.SIGKILL, None, None)
    receive(link, 64)
    other.stop()
    assert ended(other).code == 0
    assert len(read_pcapng(tmp_path / "other.pcapng").data) == 64
    after = running(nursery, asked(link, tmp_path / "after.pcapng"))
    after.stop()
    assert ended(after).code == 0


REFUSED = {
    "an interface that does not exist": Document(
        target=TargetPart(interfaces=["nosuch0"]), storage=StoragePart(path="/dev/shm/never")
    ),
    "a folder that does not exist": Document(
        target=TargetPart(interfaces=["lo"]), storage=StoragePart(path="/no/such/folder/f.pcapng")
    ),
    "an expression that is none": Document(
        target=TargetPart(interfaces=["lo"]), expression="tcp prt 80", storage=StoragePart(path="/dev/shm/never")
    ),
}
WORDS = {
    "an interface that does not exist": ["-i", "nosuch0", "-w", "/dev/shm/never"],
    "a folder that does not exist": ["-i", "lo", "-w", "/no/such/folder/f.pcapng"],
    "an expression that is none": ["-i", "lo", "-w", "/dev/shm/never", "tcp prt 80"],
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_start_is_refused_with_the_line_and_the_code_of_the_command_line(nursery: Nursery, what: str) -> None:
    child = nursery.start(REFUSED[what])
    assert not child.wait_ready(PATIENCE)
    outcome, done = ended(child), bicap("capture", *WORDS[what])
    assert outcome.summary is None
    assert outcome.error is not None
    assert done.stderr.count("\n") == 1
    # The command line names an option where a document has a field.
    assert outcome.error.partition(" ")[2] in done.stderr.replace("bicap: ", "")
    assert outcome.code == done.code > 0


def test_a_document_without_an_output_is_refused(nursery: Nursery) -> None:
    assert ended(nursery.start(Document(target=TargetPart(interfaces=["lo"])))) == Outcome(
        2, "no output given; the document needs storage.path", None
    )


def test_a_child_stopped_at_once_ends_without_an_error(nursery: Nursery, link: VethPair, tmp_path: Path) -> None:
    child = nursery.start(asked(link, tmp_path / "f.pcapng"))
    child.stop()
    outcome = ended(child)
    assert (outcome.code, outcome.error) == (0, None)
    assert outcome.summary is not None
    assert outcome.summary["complete"]


def test_a_child_that_waits_for_its_start_time_can_be_stopped(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    child = nursery.start(asked(link, tmp_path / "f.pcapng", start_at=in_an_hour))
    assert not child.wait_ready(1)
    child.stop()
    assert ended(child).code == 0


def test_a_child_streams_to_the_descriptor_that_it_is_given(nursery: Nursery, link: VethPair, tmp_path: Path) -> None:
    file = tmp_path / "stream.pcapng"
    with file.open("wb") as stdout, (tmp_path / "log").open("wb") as stderr:
        child = nursery.start(asked(link, "-"), stdout.fileno(), stderr.fileno())
        assert child.wait_ready(PATIENCE)
    receive(link, 32)
    child.stop()
    assert ended(child).code == 0
    check_with_readers(file, 32)
    assert (tmp_path / "log").read_text() == ""


def test_a_child_has_its_own_output_and_no_descriptor_of_the_server_or_of_another(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    first = running(nursery, asked(link, tmp_path / "1.pcapng"))
    alone = descriptors(first.pid)
    second = running(nursery, asked(link, tmp_path / "2.pcapng"))
    assert descriptors(second.pid) == alone
    assert alone.count("socket") <= 2, "its line to the caller, and the one for deleted interfaces"
    for child in (first, second):
        child.stop()
        ended(child)


def test_the_server_has_one_thread_and_keeps_nothing_of_children_that_ended(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    before = descriptors(nursery.pid)
    children = [running(nursery, asked(link, tmp_path / f"{number}.pcapng")) for number in range(3)]
    for child in children:
        child.stop()
        ended(child)
    wait_until(lambda: descriptors(nursery.pid) == before, lambda: descriptors(nursery.pid))
    assert len(os.listdir(f"/proc/{nursery.pid}/task")) == 1
    assert not Path(f"/proc/{children[0].pid}").exists()


def test_a_child_gives_up_its_privileges_and_the_server_keeps_its_own(
    nursery: Nursery, link: VethPair, tmp_path: Path
) -> None:
    child = running(nursery, asked(link, tmp_path / "f.pcapng"))
    status = {pid: Path(f"/proc/{pid}/status").read_text() for pid in (child.pid, nursery.pid)}
    assert capabilities_in(status[child.pid]) == {"CAP_SYS_ADMIN"}  # for the namespace
    assert "CAP_BPF" in capabilities_in(status[nursery.pid])
    child.stop()
    ended(child)


def test_a_child_shares_most_of_its_memory_and_starts_fast(nursery: Nursery, link: VethPair, tmp_path: Path) -> None:
    for number in range(2):  # the first compiles its program
        child = running(nursery, asked(link, tmp_path / f"{number}.pcapng"))
        cpu_seconds = int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[0]) / 1e9
        receive(link, 1024)
        private = sum(
            int(line.split()[1])
            for line in Path(f"/proc/{child.pid}/smaps_rollup").read_text().splitlines()
            if line.startswith("Private")
        )
        child.stop()
        ended(child)
    assert private / 1024 < PRIVATE_MIB
    assert cpu_seconds < START_CPU_SECONDS


def test_captures_end_with_complete_files_when_the_caller_leaves(link: VethPair, tmp_path: Path) -> None:
    with Nursery() as nursery:
        child = running(nursery, asked(link, tmp_path / "f.pcapng"))
        receive(link, 64)
    outcome = ended(child)
    assert outcome.code == 0
    assert outcome.summary is not None
    assert outcome.summary["end_reason"] == "ended by SIGTERM"
    check_with_readers(tmp_path / "f.pcapng", 64)


def test_captures_end_with_complete_files_when_the_server_is_killed(link: VethPair, tmp_path: Path) -> None:
    with Nursery() as nursery:
        child = running(nursery, asked(link, tmp_path / "f.pcapng"))
        receive(link, 64)
        os.kill(nursery.pid, signal.SIGKILL)
        with pytest.raises(KernelError, match=f"how the capture with pid {child.pid} ended is unknown"):
            child.wait(PATIENCE)
        child.close()
        wait_until(lambda: Path(f"{tmp_path}/f.pcapng.json").exists())
        check_with_readers(tmp_path / "f.pcapng", 64)
        with pytest.raises(KernelError, match="the nursery has ended"):
            nursery.start(asked(link, tmp_path / "g.pcapng"))


def test_a_child_goes_on_when_its_caller_does_not_listen(nursery: Nursery, link: VethPair, tmp_path: Path) -> None:
    child = running(nursery, asked(link, tmp_path / "f.pcapng", count=64))
    child.close()
    receive(link, 64)
    wait_until(lambda: Path(f"{tmp_path}/f.pcapng.json").exists())
    assert json.loads(Path(f"{tmp_path}/f.pcapng.json").read_text())["account"]["written"] == 64
