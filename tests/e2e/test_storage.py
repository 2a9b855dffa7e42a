"""Where files lie and whose they are, how much is written and until when: exactly as the options say."""

import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from capture.benchmark.veth_pair import VethPair
from capture.run.section import closing_bytes
from capture.sink.files import BALLAST
from capture.stream.compiled import portions
from capture.stream.compiled.merge import PORTION
from testbed.patience import PATIENCE
from testbed.tool import assert_adds_up, bicap, check_with_readers
from tests.e2e.disks import Recording, tmpfs
from tests.e2e.filesets import Read, files_of, is_compressed, packets_in, read_file
from tests.e2e.users import nobody
from tests.e2e.veth_load import FROM_VB, TO_VB, BothWays, receive, transmit

BLOCK = 28 + len(TO_VB) + 16
MIB = 1 << 20
UNMASKED = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
FORWARD = ["--source", "10.0.0.1"]
"""Options by which packets that vb receives are forward, and those that it sends reverse."""


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


OWNED = {
    "file": ([], None),
    "file for a user": ([], "nobody"),
    "set for a user": (["-C", "300kB", "--compress", "zstd"], "nobody"),
}


@pytest.mark.parametrize(("words", "user"), OWNED.values(), ids=OWNED)
def test_files_are_for_their_owner_only(link: VethPair, tmp_path: Path, words: list[str], user: str | None) -> None:
    folder = tmp_path / "made"
    asked = ["--user", user] if user else []
    with Recording(link, tmp_path, folder / "f.pcapng", *words, *asked, within=UNMASKED) as recording:
        receive(link, 8192)
        assert recording.interrupt() == 0, recording.log
    files, everything = files_of(folder), [*folder.iterdir()]
    assert (len(files) > 2) == ("-C" in words)
    assert {path.name for path in everything} == {*(file.name for file in files), "f.pcapng.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    owner = pwd.getpwnam(user or "root")
    assert {(path.stat().st_uid, path.stat().st_gid) for path in [folder, *everything]} == {
        (owner.pw_uid, owner.pw_gid)
    }


def names_of(name: str, number: int, seconds: int) -> list[str]:
    """Return the possible names of a file with this number that begins in the next seconds."""
    stem, now = name.removesuffix(".pcapng"), time.time()
    begins = [time.strftime("%Y%m%d%H%M%S", time.localtime(now + ahead)) for ahead in range(seconds)]
    return [f"{stem}_{number:05d}_{at}.pcapng" for at in begins]


def links_to(victim: Path, folder: Path, names: Sequence[str]) -> None:
    victim.write_text("somebody's")
    for name in names:
        (folder / name).symlink_to(victim)


@pytest.mark.parametrize("words", [[], ["-C", "100kB"]], ids=["file", "set"])
def test_no_symbolic_link_is_followed(link: VethPair, tmp_path: Path, words: list[str]) -> None:
    links_to(tmp_path / "victim", tmp_path, names_of("f.pcapng", 1, int(PATIENCE)) if words else ["f.pcapng"])
    done = bicap("capture", "-i", "vb", "--netns", link.netns, "-w", str(tmp_path / "f.pcapng"), *words)
    assert done.code == 6
    assert "it is a symbolic link, which is not followed; name the file itself" in done.stderr
    assert (tmp_path / "victim").read_text() == "somebody's"


def test_no_symbolic_link_at_the_next_file_or_the_summary_is_followed(link: VethPair, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    links_to(tmp_path / "victim", folder, [*names_of("f.pcapng", 2, 60), "f.pcapng.json"])
    with Recording(link, tmp_path, folder / "f.pcapng", "-C", "100kB") as recording:
        receive(link, 2048)
        assert recording.ends() == 6
    assert "it is a symbolic link, which is not followed; name the file itself" in recording.log.splitlines()[-1]
    assert_adds_up(recording.summary["account"])
    (file,) = [file for file in files_of(folder) if not file.is_symlink()]
    check_with_readers(file, recording.summary["account"]["written"])
    assert not (folder / "f.pcapng.json").is_symlink()
    assert (tmp_path / "victim").read_text() == "somebody's"


def test_compressed_packets_are_the_same(link: VethPair, tmp_path: Path) -> None:
    """Two captures of one load: the names given do not matter to readers."""
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    with (
        Recording(link, plain, plain / "f.pcapng") as one,
        Recording(link, packed, packed / "f.pcapng", "--compress", "zstd") as other,
    ):
        with BothWays(link):
            time.sleep(0.1)
        codes = [one.interrupt(), other.interrupt()]
    assert codes == [0, 0]
    assert not is_compressed(plain / "f.pcapng")
    assert is_compressed(packed / "f.pcapng")
    first, second = read_file(plain / "f.pcapng"), read_file(packed / "f.pcapng")
    assert packets_in([plain / "f.pcapng"]) == packets_in([packed / "f.pcapng"]) == [len(second.times)]
    assert len(first.times) == one.summary["account"]["seen"] > 1024
    for data in (TO_VB, FROM_VB):
        counts = [int((read.frames == np.frombuffer(data, np.uint8)).all(axis=1).sum()) for read in (first, second)]
        assert counts[0] == counts[1] > 0
    assert other.summary["file_bytes"] == second.size
    assert (packed / "f.pcapng").stat().st_size < second.size // 4


def test_the_space_of_min_free_stays_free(link: VethPair, tmp_path: Path) -> None:
    """Also when the rings hold more than there is room for."""
    least = MIB // 2
    with tmpfs(tmp_path / "disk", "1m") as disk:
        with Recording(link, tmp_path, disk / "f.pcapng", "--min-free", "50%") as recording:
            recording.process.send_signal(signal.SIGSTOP)
            receive(link, 1 << 14)
            recording.process.send_signal(signal.SIGCONT)
            assert recording.ends() == 0, recording.log
        found = os.statvfs(disk)
        assert abs(found.f_bavail * found.f_frsize - least) < PORTION + 4 * BALLAST // 3
        summary = recording.summary
        assert summary["end_reason"].endswith("are free on its disk, and 50% must stay free (--min-free)")
        assert summary["end_reason"] in recording.log
        assert summary["complete"]
        account = summary["account"]
        assert_adds_up(account)
        assert account["over_limit"] == (1 << 14) - account["written"] > 0
        check_with_readers(disk / "f.pcapng", account["written"])


def directions(read: Sequence[Read]) -> tuple[int, int]:
    """How many packets are forward and reverse."""
    frames = np.concatenate([one.frames for one in read])
    forward, reverse = ((frames == np.frombuffer(data, np.uint8)).all(axis=1).sum() for data in (TO_VB, FROM_VB))
    assert forward + reverse == len(frames)
    return int(forward), int(reverse)


LIMITED = {
    "reverse": ["--count-reverse", "333"],
    "both, over files": ["-c", "12345", "-C", "200kB"],
    "forward, compressed": ["--count-forward", "4321", "--compress", "zstd"],
    "the first of three": ["-c", "5000", "--count-forward", "9000", "--count-reverse", "1"],
}
REASONS = {
    "-c": "count reached",
    "--count-forward": "count of forward packets reached",
    "--count-reverse": "count of reverse packets reached",
}


@pytest.mark.parametrize("words", LIMITED.values(), ids=LIMITED)
def test_a_count_is_exact(link: VethPair, tmp_path: Path, words: list[str]) -> None:
    folder = tmp_path / "made"
    with Recording(link, tmp_path, folder / "f.pcapng", *FORWARD, *words) as recording, BothWays(link):
        assert recording.ends() == 0, recording.log
    files = files_of(folder)
    forward, reverse = directions([read_file(file) for file in files])
    limits = {option: int(limit) for option, limit in zip(words[::2], words[1::2], strict=True) if option in REASONS}
    written = {"-c": forward + reverse, "--count-forward": forward, "--count-reverse": reverse}
    reached = [option for option, limit in limits.items() if written[option] == limit]
    assert len(reached) == 1
    assert all(written[option] <= limit for option, limit in limits.items())
    assert recording.summary["end_reason"] == REASONS[reached[0]]
    account = recording.summary["account"]
    assert_adds_up(account)
    assert (account["forward"]["written"], account["reverse"]["written"]) == (forward, reverse)
    assert account["lost"] == 0
    assert sum(packets_in(files)) == forward + reverse


@pytest.mark.parametrize("words", [[], ["-C", "123456", "--compress", "zstd"]], ids=["file", "compressed set"])
def test_bytes_stay_within_the_limit_and_one_more_packet_would_exceed_it(
    link: VethPair, tmp_path: Path, words: list[str]
) -> None:
    most, folder = 1_000_000, tmp_path / "made"
    limit = ["--max-bytes", str(most)]
    with Recording(link, tmp_path, folder / "f.pcapng", *limit, *words) as recording, BothWays(link):
        assert recording.ends() == 0, recording.log
    summary, files = recording.summary, files_of(folder)
    assert summary["end_reason"] == "size reached"
    assert_adds_up(summary["account"])
    assert summary["account"]["over_limit"] > 0
    read = [read_file(file) for file in files]
    assert summary["file_bytes"] == sum(file.size for file in read) <= most
    # In each file room is held back for the longest statistics. Where this one is full, the next needs its own.
    taken = sum(file.size - file.statistics_size + closing_bytes(1) for file in read)
    opening = read[0].size - read[0].statistics_size - len(read[0].times) * BLOCK
    assert taken <= most < taken + BLOCK + (opening + closing_bytes(1) if words else 0)
    assert sum(packets_in(files)) == sum(len(file.times) for file in read) == summary["account"]["written"]


def at(seconds: float) -> tuple[str, int]:
    """A time so many seconds from now, as an option has it, and in nanoseconds."""
    moment = datetime.now().astimezone() + timedelta(seconds=seconds)
    return moment.isoformat(), int(moment.timestamp() * 1e6) * 1000


def test_nothing_is_captured_before_its_time_and_it_ends_at_its_time(link: VethPair, tmp_path: Path) -> None:
    file = tmp_path / "f.pcapng"
    for begin, end in ((3.5, 4), (20, 22), (60, 66)):  # where CPUs are busy, a start takes longer than the first
        (start, start_ns), (stop, stop_ns) = at(begin), at(end)
        times = ["--start-at", start, "--stop-at", stop]
        with BothWays(link), Recording(link, tmp_path, file, *times, ready=False) as recording:
            code = recording.ends()
        if "-at is in the past" not in recording.log:
            break
    assert code == 0, recording.log
    assert time.time_ns() >= stop_ns
    summary = recording.summary
    assert summary["end_reason"] == "time to stop reached"
    times = read_file(file).times
    assert len(times) == summary["account"]["seen"] > 1024
    assert start_ns <= summary["started_ns"] <= times[0]
    assert times[-1] <= summary["ended_ns"]
    assert stop_ns <= summary["ended_ns"]
    assert "begins at " + datetime.fromtimestamp(start_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S") in recording.log
    assert packets_in([file]) == [len(times)]


def test_a_capture_that_waits_for_its_time_can_be_ended(link: VethPair, tmp_path: Path) -> None:
    with Recording(link, tmp_path, tmp_path / "f.pcapng", "--start-at", at(3600)[0], ready=False) as recording:
        status = Path(f"/proc/{recording.process.pid}/status")
        deadline = time.monotonic() + PATIENCE
        while not caught(status.read_text()) >> signal.SIGTERM - 1 & 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        transmit(link, 100)
        recording.process.send_signal(signal.SIGTERM)
        assert recording.ends() == 0, recording.log
    assert recording.summary["end_reason"] == "ended by SIGTERM"
    assert recording.summary["account"]["seen"] == 0
    check_with_readers(tmp_path / "f.pcapng", 0)


def caught(status: str) -> int:
    """The signals that a process handles itself."""
    return int(status.split("SigCgt:")[1].split()[0], 16)


READ_ONLY = """
mount --make-rprivate / && mount -t tmpfs out /mnt
for folder in /tmp /var/tmp /dev/shm /; do
    mount --bind $folder $folder && mount -o remount,ro,bind $folder || exit 1
done
cd /
! python3 -c 'import tempfile; tempfile.gettempdir()' 2>/dev/null || exit 1
exec "$@"
"""


def test_a_capture_needs_no_writable_folder_but_that_of_its_output(link: VethPair) -> None:
    # A length of its own, so that no kept program serves.
    words = ["-i", "vb", "--netns", link.netns, "-w", "/mnt/f.pcapng", "--duration", "100ms", "--snaplen", "77"]
    done = bicap("capture", *words, within=["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"])
    assert done.code == 0, done.stderr
    assert "0 packets written to /mnt/f.pcapng" in done.stderr


LOADED = """
from capture.stream.compiled import portions
portions.compiled()
print(*(sum(found.values()) for found in portions.write_portions.stats[1:]))
"""


def test_who_may_not_write_beside_the_source_takes_what_was_compiled_at_the_installation() -> None:
    portions.compiled()
    words = [*nobody(), sys.executable, "-c", LOADED]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "1 0\n"
