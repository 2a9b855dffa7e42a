"""A recorder on disk between two pods: what is around a trigger stays when the ring goes on, and ends exactly."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture.analysis.packets.capture_parts import files_of
from capture.analysis.packets.merged import open_captures
from testbed.patience import PATIENCE, wait_until
from testbed.recorder_process import RecorderProcess
from testbed.tool import BackgroundProcess, bicap, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode
from tests.e2e.disks import tmpfs

STEADY = """
import itertools, socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in itertools.count():
    out.sendto(b"%-300d" % number, (sys.argv[1], 9))
    time.sleep(0.004)
"""
FLOOD = """
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    out.sendto(bytes(1400), (sys.argv[1], 9))
"""
REFUSED = "import socket, sys; s = socket.socket(); s.settimeout(5); s.connect_ex((sys.argv[1], 8181))"
UDP = ("-i", "veth-client", "--protocol", "udp", "--destination", ":9", "--no-icmp-errors")
UDP_AND_REFUSED = ("-i", "veth-client", "--protocol", "udp", "--destination", ":9", "--protocol", "tcp",
                   "--destination", ":8181")  # fmt: skip
"""A port of its own: the kernel's reasons are those of the whole node, where other tests run as well."""
SMALL = ("-C", "64KiB", "-W", "4")


def run(node: PlainNode, code: str, *words: str) -> None:
    subprocess.run(node.client.exec(sys.executable, "-c", code, node.server.ip4, *words), check=True)


@contextmanager
def steady(node: PlainNode) -> Iterator[None]:
    """A numbered datagram each 4 ms."""
    sender = subprocess.Popen(node.client.exec(sys.executable, "-c", STEADY, node.server.ip4))
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


class RingProcess(RecorderProcess):
    """A recorder that keeps its packets in a ring of files beside the folder of incidents."""

    def __init__(self, tmp_path: Path, *words: str, node: PlainNode) -> None:
        self.ring = tmp_path / "ring" / "ring.pcapng"
        super().__init__(tmp_path / "incidents", "-w", str(self.ring), *words, within=node.exec())

    @property
    def ring_files(self) -> list[Path]:
        """The files of the ring, oldest first."""
        return sorted(self.ring.parent.glob("ring_*.pcapng"), key=lambda file: file.stem.split("_")[::-1])


def links(incident: Path) -> list[Path]:
    """The files of an incident, in order."""
    return sorted(incident.parent.glob(f"{incident.stem}_*.pcapng"))


def moment(file: Path) -> list[str]:
    """The number and the time in the name of a file of a set."""
    return file.stem.split("_")[-2:]


def times_in(files: list[Path]) -> Any:
    return np.concatenate([read_pcapng(file).times for file in files])


def packets_so_far(files: list[Path]) -> int:
    """The packets in files, -1 at a moment when one is being written or removed."""
    with suppress(AssertionError, ValueError, OSError):
        return len(times_in(files))
    return -1


def adds_up(incident: Any) -> None:
    account = incident["account"]
    assert account["seen"] == account["unmatched"] + account["matched"]
    assert account["matched"] == sum(
        account[name] for name in ("written", "sampled_out", "over_limit", "lost", "overwritten", "outside")
    )
    assert account["written"] == incident["packets"]


def test_an_incident_is_links_to_files_that_stay_and_ends_at_the_packet(node: PlainNode, tmp_path: Path) -> None:
    words = (*UDP, "-C", "64KiB", "-W", "8", "--before", "200ms", "--after", "500ms", "--cooldown", "0")
    with RingProcess(tmp_path, *words, node=node) as recorder, steady(node):
        wait_until(lambda: len(recorder.ring_files) >= 3, recorder.log)
        done = bicap("trigger", str(recorder.folder), "--reason", "checkout is slow")
        assert (done.code, done.stderr) == (0, "")
        assert done.stdout == f"{recorder.files[0]}\n"
        (incident,) = recorder.await_complete(1)
        ring = recorder.ring_files
        (last,) = (at for at, file in enumerate(ring) if moment(file) == moment(links(recorder.files[0])[-1]))
        following = ring[last + 1]
        wait_until(lambda: recorder.ring_files[-1] != following, recorder.log)
        next_ns = int(read_pcapng(following).times[0])
        run(node, FLOOD, "600")
        wait_until(lambda: following not in recorder.ring_files, recorder.log)
    files = links(recorder.files[0])
    assert not {file.stat().st_ino for file in files} & {file.stat().st_ino for file in recorder.ring_files}
    assert [Path(one["path"]) for one in incident["files"]] == files
    assert [one["bytes"] for one in incident["files"]] == [file.stat().st_size for file in files]
    numbers = [int(data[42:].split()[0]) for file in files for data in read_pcapng(file).data]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    times, end_ns = times_in(files), incident["fired_ns"] + incident["after_asked_ns"]
    assert times[0] < incident["fired_ns"] - incident["before_asked_ns"] or incident["before_short"]
    assert times[-1] < end_ns <= next_ns
    assert abs(incident["ended_ns"] - end_ns) < 1000
    assert (incident["rule"], incident["reason"]) == ("socket", "checkout is slow")
    assert incident["end_reason"] == "time after the trigger over"
    assert incident["packets"] == len(times)
    adds_up(incident)
    for file in files:
        check_with_readers(file)
    # The incident's name is that of its set, for every command.
    (line,) = bicap("incidents", str(recorder.folder)).stdout.splitlines()
    assert f"{recorder.files[0]}  socket (checkout is slow): {len(times):,} packets" in line
    assert "the capture lost nothing" in bicap("diagnose", str(recorder.files[0])).stdout
    sessions = bicap("sessions", "--json", str(recorder.files[0])).stdout
    assert json.loads(sessions)["client_packets"] == len(times)
    assert bicap("read", "-c", "1", str(recorder.folder)).code == 0
    summary = json.loads(Path(f"{recorder.ring}.json").read_text())
    assert summary["account"]["lost"] == 0
    assert len(summary["files"]) <= 8


def test_rules_see_the_files_and_name_the_packet_that_fired(node: PlainNode, tmp_path: Path) -> None:
    # The files reach back for so long that the rules see them whatever else the machine does.
    words = [*UDP_AND_REFUSED, "-C", "64KiB", "-W", "400", "--after", "1h"]
    words += ["--trigger", "handshake=refused", "--trigger", "reset-reason=NO_SOCKET"]
    with RingProcess(tmp_path, *words, node=node) as recorder:
        run(node, FLOOD, "300")
        assert recorder.files == []
        run(node, REFUSED)
        fired = {"handshake=refused", "reset-reason=NO_SOCKET"}

        def rules() -> set[str]:
            run(node, FLOOD, "50")  # another file begins, and with it the JSON is written anew
            return {one["rule"] for summary in recorder.summaries for one in summary["triggers"]}

        wait_until(lambda: rules() == fired, recorder.log)
    (incident,) = recorder.summaries
    assert {one["rule"] for one in incident["triggers"]} == fired
    with open_captures([str(recorder.files[0])]) as capture:
        times = [time_ns for batch in capture for time_ns in batch.packets["time_ns"].tolist()]
    assert times[incident["packet"] - 1] == incident["packet_ns"]
    assert len(times) == incident["packets"] + incident["events"]
    assert incident["session"].startswith(f"tcp {node.client.ip4}:")
    assert incident["session"].endswith(f" > {node.server.ip4}:8181")
    assert incident["events"] >= 1
    adds_up(incident)
    tried = bicap("trigger", "--try", "reset-reason=NO_SOCKET", "--json", str(recorder.files[0]))
    assert json.loads(tried.stdout.splitlines()[0])["session"].endswith(":8181"), tried


def test_rules_that_stand_still_or_die_delay_no_packet_and_come_again(node: PlainNode, tmp_path: Path) -> None:
    words = [*UDP_AND_REFUSED, *SMALL, "--after", "0s", "--trigger", "handshake=refused"]
    with RingProcess(tmp_path, *words, node=node) as recorder:

        def rules() -> int:
            children = Path(f"/proc/{recorder.process.pid}/task/{recorder.process.pid}/children").read_text()
            return int(children.split()[0])

        first = rules()
        os.kill(first, signal.SIGSTOP)
        run(node, FLOOD, "2000")
        os.kill(first, signal.SIGCONT)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: "the process of the rules ended" in recorder.log(), recorder.log)
        run(node, REFUSED)
        (incident,) = recorder.await_complete(1)
        assert rules() != first
    assert incident["rule"] == "handshake=refused"
    account = json.loads(Path(f"{recorder.ring}.json").read_text())["account"]
    assert account["lost"] == 0
    assert account["matched"] == account["written"]


def test_a_recorder_that_is_killed_leaves_valid_files_and_the_next_one_takes_its_ring_over(
    node: PlainNode, tmp_path: Path
) -> None:
    with RingProcess(tmp_path, *UDP, *SMALL, "--after", "1h", node=node) as recorder:
        run(node, FLOOD, "150")
        wait_until(lambda: packets_so_far(recorder.ring_files) == 150, recorder.log)
        assert len(recorder.ring_files) == 4
        bicap("trigger", str(recorder.folder))
        run(node, FLOOD, "60")
        wait_until(lambda: packets_so_far(links(recorder.files[0])) == 210, recorder.log)
        recorder.process.kill()
        recorder.process.wait()
    for file in links(recorder.files[0]):
        check_with_readers(file)
    assert recorder.summaries[0]["complete"] is False
    assert bicap("incidents", str(recorder.folder)).stdout.rstrip().endswith("unfinished")
    assert bicap("sessions", str(recorder.files[0])).code == 0
    left = set(recorder.ring_files)
    with RingProcess(tmp_path, *UDP, *SMALL, node=node) as recorder:
        run(node, FLOOD, "300")
        wait_until(lambda: not left & set(recorder.ring_files), recorder.log)
        wait_until(lambda: len(recorder.ring_files) <= 4, recorder.log)
    assert len(links(recorder.files[0])) >= 3


def test_an_incident_ends_at_its_bound_and_makes_room_for_the_next(node: PlainNode, tmp_path: Path) -> None:
    bounds = ("--incidents-size", "4MiB", "--cooldown", "0", "--before", "1h")
    with RingProcess(tmp_path, *UDP, "-C", "256KiB", "-W", "40", "--after", "1h", *bounds, node=node) as recorder:
        bicap("trigger", str(recorder.folder))
        run(node, FLOOD, "4000")
        (incident,) = recorder.await_complete(1)
        assert incident["end_reason"] == "size reached"
        assert 3 << 20 < sum(file.stat().st_size for file in links(recorder.files[0])) <= 4 << 20
        # A file that begins behind the trigger would have no room in an incident that is full from the start.
        wait_until(lambda: packets_so_far(recorder.ring_files) == 4000, recorder.log)
        bicap("trigger", str(recorder.folder))
        wait_until(lambda: not Path(f"{incident['file']}.json").exists(), recorder.log)
    (ended,) = recorder.summaries
    assert (ended["end_reason"], ended["before_short"]) == ("ended by SIGINT", "--incidents-size was full")
    assert ended["complete"] is True
    adds_up(ended)


REFUSALS = [
    (("-w", "RING"), 2, "needs -C, the size of a file, and -W"),
    (("-w", "RING", "-C", "1MiB"), 2, "needs -C, the size of a file, and -W"),
    (("-C", "1MiB", "-W", "3"), 2, "-C is for a ring of files, which -w names"),
    (("-w", "RING", *SMALL, "--memory", "64MiB"), 2, "--memory is for a recorder in memory"),
    (("-w", "RING", "-C", "3GiB", "-W", "3"), 2, "has no room for two files of 3.0 GiB (-C)"),
    (("-w", "RING", *SMALL, "--compress", "zstd"), 2, "No such option"),
    (("-w", "-", *SMALL), 2, "is for files, and -w - is a stream"),
    (("-w", "ELSEWHERE", *SMALL), 6, "so give --incidents on the file system of -w"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSALS, ids=[" ".join(case[0]) for case in REFUSALS])
def test_what_a_ring_cannot_be_is_said_at_the_start(
    node: PlainNode, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    with tmpfs(tmp_path / "elsewhere", "16m") as elsewhere:
        places = {"RING": str(tmp_path / "ring.pcapng"), "ELSEWHERE": str(elsewhere / "ring.pcapng")}
        given = [places.get(word, word) for word in words]
        folder = str(tmp_path / "incidents")
        done = bicap("record", "-i", "veth-client", "--incidents", folder, *given, within=node.exec())
        assert (done.code, said in done.stderr) == (code, True), done.stderr
        assert done.stderr.startswith("Usage") or len(done.stderr.splitlines()) == 1
        assert list(elsewhere.iterdir()) == []
    assert list(tmp_path.glob("ring*")) == []


def test_a_full_disk_ends_the_recorder_with_complete_files(node: PlainNode, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "8m") as disk:
        folder, ring = disk / "incidents", disk / "ring.pcapng"
        words = [
            "record",
            "-w",
            str(ring),
            "--incidents",
            str(folder),
            *UDP,
            "-C",
            "1MiB",
            "-W",
            "20",
            "--after",
            "1h",
        ]
        with BackgroundProcess(tmp_path / "recorder", words, node.exec()) as recorder:
            path = bicap("trigger", str(folder)).stdout.strip()
            run(node, FLOOD, "7000")
            assert recorder.process.wait(PATIENCE) == 6
        incident = json.loads(Path(f"{path}.json").read_text())
        assert "the disk is full" in incident["end_reason"]
        found = files_of([path])
        assert len(found) >= 6
        assert incident["packets"] == len(times_in([Path(file) for file in found]))
        adds_up(incident)
        for file in found:
            check_with_readers(Path(file))
