"""`bicap capture --store` as a user runs it: files reach the store while packets are caught."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capture.benchmark.senders import XdpSender
from capture.benchmark.veth_pair import VethPair
from testbed import packets
from testbed.patience import wait_until
from testbed.rclone_store import RcloneServer
from testbed.sftp_server import SftpServer
from testbed.tool import CaptureProcess, assert_adds_up, bicap, read_pcapng

FRAME = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(1000))


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def send(link: VethPair, rounds: int, until: Callable[[], bool] = lambda: False) -> None:
    """Send some thousand packets a second."""

    def inside() -> None:
        fast = XdpSender(link.va, FRAME)
        for _ in range(rounds):
            if until():
                break
            fast.send(400)
            time.sleep(0.2)
        fast.close()

    link.namespace.run(inside)


def test_files_reach_s3_while_the_capture_runs_and_the_store_is_killed(
    link: VethPair, rclone: RcloneServer, tmp_path: Path
) -> None:
    credentials = rclone.credentials(tmp_path)
    output = tmp_path / "here" / "web.pcapng"
    words = ["-i", "vb", "--netns", link.netns, "-C", "2MB", "--store", "s3://captures/prod", "--store-delete"]
    output.parent.mkdir()
    uploaded: list[int] = []

    def stored() -> list[str]:
        return [name for name in rclone.bucket.names() if name.endswith(".pcapng")]

    def break_it() -> None:
        wait_until(lambda: len(stored()) >= 2)
        uploaded.append(len(stored()))
        rclone.kill()
        time.sleep(2)
        rclone.start()

    with CaptureProcess(output, *words, "--store-credentials", str(credentials)) as capture:
        breaking = threading.Thread(target=break_it)
        breaking.start()
        send(link, 200, lambda: bool(uploaded) and not breaking.is_alive())
        breaking.join()
        assert not rclone.bucket.names()[-1].endswith("manifest.json")
    assert capture.process.returncode == 0, capture.log()
    assert uploaded
    assert uploaded[0] >= 2

    names = rclone.bucket.names()
    folder = next(name for name in names if name.endswith("manifest.json")).rpartition("/")[0]
    manifest = json.loads(rclone.bucket.get(f"{folder}/manifest.json"))
    assert sorted(f"{folder}/{entry['name']}" for entry in manifest["files"]) == sorted(
        set(names) - {f"{folder}/manifest.json"}
    )
    summary = json.loads(rclone.bucket.get(f"{folder}/web.pcapng.json"))
    assert summary == capture.summary
    assert_adds_up(summary["account"])
    assert all(file["state"] == "confirmed" and file["deleted"] for file in summary["store"]["files"])
    assert not list(output.parent.glob("*_0*.pcapng"))
    count = 0
    for entry in manifest["files"]:
        if entry["name"].endswith(".pcapng"):
            fetched = tmp_path / entry["name"]
            fetched.write_bytes(rclone.bucket.get(f"{folder}/{entry['name']}"))
            count += len(read_pcapng(fetched).times)
    assert count == summary["account"]["written"] > 0
    assert f"uploaded to s3://captures/{folder}: " in capture.log()


def test_a_single_file_reaches_sftp(link: VethPair, sftp: SftpServer, tmp_path: Path) -> None:
    words = ["-i", "vb", "--netns", link.netns, "--store", sftp.url, "--store-credentials", str(sftp.key)]
    with CaptureProcess(tmp_path / "a.pcapng", *words, "--store-known-hosts", str(sftp.known_hosts())) as capture:
        send(link, 1)
    assert capture.process.returncode == 0, capture.log()
    stored = next(sftp.files.rglob("a.pcapng"))
    assert stored.read_bytes() == capture.file.read_bytes()
    assert sorted(path.name for path in stored.parent.iterdir()) == ["a.pcapng", "a.pcapng.json", "manifest.json"]


def test_a_store_that_is_gone_at_the_end_is_exit_code_9_and_the_files_are_here(
    link: VethPair, rclone: RcloneServer, tmp_path: Path
) -> None:
    words = ["-i", "vb", "--netns", link.netns, "--store", "s3://captures/p", "--store-retry", "3s", "--store-delete"]
    words += ["--store-credentials", str(rclone.credentials(tmp_path))]
    with CaptureProcess(tmp_path / "a.pcapng", *words) as capture:
        rclone.kill()
        send(link, 1)
    assert capture.process.returncode == 9, capture.log()
    assert "bicap: NOT uploaded to s3://captures/p/" in capture.log()
    assert capture.file.exists()
    (file,) = capture.summary["store"]["files"]
    assert (file["state"], file["deleted"]) == ("waiting", False)
    assert file["reason"]
    assert_adds_up(capture.summary["account"])


REFUSED = [
    (["--store", "s3://captures", "-w", "-"], {}, 2, "--store is for files, and -w - is a stream"),
    (["--store", "s3://captures", "-w", "f", "-C", "1MB", "-W", "3"], {}, 2, "give --store-delete"),
    (["--store", "ftp://captures", "-w", "f"], {}, 2, "begins with none of s3://"),
    (["--store-delete", "-w", "f"], {}, 2, "name one with --store"),
    (
        ["--store", "s3://captures", "-w", "f"],
        {"AWS_SECRET_ACCESS_KEY": "x"},
        2,
        "AWS_SECRET_ACCESS_KEY is in the env",
    ),
    (["--store", "s3://c-d", "-w", "f", "--store-credentials", "/no"], {}, 9, "/no cannot be opened"),
]


@pytest.mark.parametrize(("words", "env", "code", "says"), REFUSED)
def test_what_cannot_be_uploaded_is_refused_in_one_line(
    words: list[str], env: dict[str, str], code: int, says: str
) -> None:
    done = bicap("capture", "-i", "lo", *words, env=env)
    assert (done.code, done.stderr.count("\n")) == (code, 1), done.stderr
    assert says in done.stderr
    assert "secret" not in done.stderr
