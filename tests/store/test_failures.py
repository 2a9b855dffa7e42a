"""Whatever a store does, the status is true, no file is lost, and half an object is never taken for a whole one."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capture.errors import StoreError
from testbed.lying_proxy import Lie, LyingProxy
from testbed.patience import wait_until
from testbed.rclone_store import BUCKET, RcloneServer
from testbed.seaweedfs import Bucket, SeaweedServer
from testbed.sftp_server import SftpServer
from tests.store.ended_capture import EndedCapture

Ended = Callable[..., EndedCapture]
MIB = 1 << 20
URL = f"s3://{BUCKET}/week 1"
PREFIX = "week 1"


def below(bucket: Bucket) -> Callable[[str], bytes]:
    return lambda name: bucket.get(f"{PREFIX}/{name}")


def test_files_of_any_size_reach_s3(seaweed: SeaweedServer, ended: Ended, tmp_path: Path) -> None:
    """One request, several parts, and nothing at all."""
    credentials = written(seaweed, tmp_path)
    done = ended(0, 1, 5 * MIB, 21 * MIB).into(URL, credentials).run()
    bucket = Bucket(seaweed.settings, "captures")
    done.check_whole(below(bucket))
    assert [name for name in bucket.names() if done.upload.folder in name] == [
        f"{PREFIX}/{name}" for name in done.names
    ]


def test_files_of_any_size_reach_sftp(sftp: SftpServer, ended: Ended) -> None:
    done = ended(0, 1, 21 * MIB).into(sftp.url, sftp.key, sftp.known_hosts()).run()
    done.check_whole(lambda name: (sftp.files / name).read_bytes())
    found = sorted(str(path.relative_to(sftp.files)) for path in sftp.files.rglob("*") if path.is_file())
    assert found == done.names


def test_files_are_deleted_here_only_when_confirmed(rclone: RcloneServer, ended: Ended, tmp_path: Path) -> None:
    done = ended(MIB, MIB).into(URL, rclone.credentials(tmp_path), delete=True).run()
    done.check_whole(below(rclone.bucket))
    assert not any(file.exists() for file in done.files)
    assert Path(f"{done.output}.json").exists()


@pytest.mark.parametrize("changed", [{"secret_access_key": "wrong"}, {"access_key_id": "nobody"}])
def test_a_wrong_key_is_told_before_the_capture_begins(
    seaweed: SeaweedServer, ended: Ended, tmp_path: Path, changed: dict[str, str]
) -> None:
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch|InvalidAccessKeyId"):
        ended(1).into(URL, written(seaweed, tmp_path, **changed)).run()


def test_a_key_of_a_stranger_is_told(sftp: SftpServer, ended: Ended) -> None:
    with pytest.raises(StoreError, match=f"does not take the key of {sftp.user}"):
        ended(1).into(sftp.url, sftp.other_key, sftp.known_hosts()).run()


def test_another_host_key_is_told_and_nothing_is_sent(sftp: SftpServer, ended: Ended) -> None:
    with pytest.raises(StoreError, match=r"the host key of 127\.0\.0\.1 is not the known one"):
        ended(1).into(sftp.url, sftp.key, sftp.known_hosts(sftp.other_key)).run()
    assert not list(sftp.files.iterdir())


@pytest.mark.parametrize("text", ["", "\n", "# none yet\n"])
def test_a_host_without_a_key_is_refused(sftp: SftpServer, ended: Ended, tmp_path: Path, text: str) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(text)
    with pytest.raises(StoreError, match="host key"):
        ended(1).into(sftp.url, sftp.key, hosts).run()
    assert not list(sftp.files.iterdir())


def test_a_bucket_that_is_not_there_is_told(rclone: RcloneServer, ended: Ended, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket"):
        ended(1).into("s3://gone/x", rclone.credentials(tmp_path)).run()


def test_a_bucket_that_goes_is_told_and_files_stay(rclone: RcloneServer, ended: Ended, tmp_path: Path) -> None:
    done = ended(MIB, 9 * MIB).into(URL, rclone.credentials(tmp_path), retry=3)
    assert done.upload.start() is None
    rclone.bucket_folder.rmdir()
    assert "NoSuchBucket" in done.complete().check_kept()["files"][0]["reason"]


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_a_store_that_is_killed_and_comes_back_gets_all(
    request: pytest.FixtureRequest, ended: Ended, tmp_path: Path, kind: str
) -> None:
    server, start = _killable(request, ended, tmp_path, kind)
    done = start(3 * MIB, 40 * MIB, 5, delete=True)
    killed = False

    def kill_once() -> None:
        nonlocal killed
        if not killed and done.troubles == []:
            server.kill()
            killed = True
        elif killed and done.troubles:
            server.start() if server._process is None else None

    done.run(kill_once)
    assert killed
    assert done.troubles
    done.check_whole(_reader(server))


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_a_store_that_stays_away_is_told_and_files_stay(
    request: pytest.FixtureRequest, ended: Ended, tmp_path: Path, kind: str
) -> None:
    server, start = _killable(request, ended, tmp_path, kind)
    done = start(3 * MIB, 40 * MIB, delete=True, retry=4)
    done.upload.start()
    server.kill()
    began = time.monotonic()
    told = done.complete().check_kept()
    assert time.monotonic() - began < 60
    assert all(file["state"] == "waiting" and file["tries"] >= 1 and file["reason"] for file in told["files"])
    assert all(file.exists() for file in done.files)


def _killable(  # type: ignore[no-untyped-def]
    request: pytest.FixtureRequest, ended: Ended, tmp_path: Path, kind: str
):
    if kind == "s3":
        rclone: RcloneServer = request.getfixturevalue("rclone")
        return rclone, lambda *sizes, **how: ended(*sizes).into(URL, rclone.credentials(tmp_path), **how)
    sftp: SftpServer = request.getfixturevalue("sftp")
    return sftp, lambda *sizes, **how: ended(*sizes).into(sftp.url, sftp.key, sftp.known_hosts(), **how)


def _reader(server: RcloneServer | SftpServer) -> Callable[[str], bytes]:
    if isinstance(server, RcloneServer):
        return below(server.bucket)
    return lambda name: (server.files / name).read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_of_sftp_is_told_and_room_helps(ended: Ended, small_disk: Path, sftp: SftpServer) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(6 * MIB))
    url = sftp.url.removesuffix(str(sftp.files)) + str(small_disk)
    done = ended(MIB // 2, 4 * MIB).into(url, sftp.key, sftp.known_hosts(), delete=True)

    def make_room() -> None:
        if any(file.reason for file in done.upload.uploads.files.values()) and ballast.exists():
            assert not list(small_disk.rglob("*00002*.pcapng")), "half of a file has the name of the whole"
            assert done.files[1].exists()
            ballast.unlink()

    done.run(make_room)
    assert not ballast.exists()
    done.check_whole(lambda name: (small_disk / name).read_bytes())
    assert not list(small_disk.rglob("*.part"))


def test_a_full_disk_of_s3_is_told_and_files_stay(
    ended: Ended, small_disk: Path, rclone: RcloneServer, tmp_path: Path
) -> None:
    subprocess.run(["mount", "--bind", str(small_disk), str(rclone.bucket_folder)], check=True)
    try:
        done = ended(9 * MIB).into(URL, rclone.credentials(tmp_path), delete=True, retry=5).run()
        assert done.check_kept()["files"][0]["state"] == "waiting"
        assert done.files[0].exists()
    finally:
        subprocess.run(["umount", "-l", str(rclone.bucket_folder)], check=True)


LIES = [Lie.SWALLOWED, Lie.SHORTER, Lie.HALF, Lie.OTHER_BYTE]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("size", [100_000, 20 * MIB])
def test_a_store_that_lies_is_not_believed(
    seaweed: SeaweedServer, ended: Ended, tmp_path: Path, lie: Lie, size: int
) -> None:
    with LyingProxy(seaweed.port) as proxy:
        credentials = written(seaweed, tmp_path, endpoint=f"http://127.0.0.1:{proxy.port}")
        done = ended(size).into(URL, credentials, retry=4, delete=True)
        assert done.upload.start() is None
        proxy.lie = lie
        told = done.complete().check_kept()
    assert told["files"][0]["state"] == "waiting"
    assert done.files[0].exists()
    assert f"{PREFIX}/{done.upload.folder}/manifest.json" not in Bucket(seaweed.settings, "captures").names()


@pytest.mark.parametrize("lie", [*LIES, Lie.CUT])
def test_a_store_that_stops_lying_gets_all(seaweed: SeaweedServer, ended: Ended, tmp_path: Path, lie: Lie) -> None:
    with LyingProxy(seaweed.port) as proxy:
        credentials = written(seaweed, tmp_path, endpoint=f"http://127.0.0.1:{proxy.port}")
        done = ended(200_000, 100).into(URL, credentials)
        assert done.upload.start() is None
        proxy.lie = lie

        def tell_the_truth() -> None:
            if done.troubles:
                proxy.lie = Lie.NONE

        done.complete(tell_the_truth)
    done.check_whole(below(Bucket(seaweed.settings, "captures")))


def test_an_object_of_somebody_else_is_not_replaced(rclone: RcloneServer, ended: Ended, tmp_path: Path) -> None:
    done = ended(MIB, 10).into(URL, rclone.credentials(tmp_path))
    name = f"{PREFIX}/{done.upload.folder}/{done.files[0].name}"
    rclone.bucket.put(name, b"another capture")
    told = done.run().check_kept()
    assert [file["state"] for file in told["files"]] == ["impossible", "confirmed"]
    assert "with other content" in told["files"][0]["reason"]
    assert rclone.bucket.get(name) == b"another capture"


def test_a_file_that_is_there_already_is_confirmed(rclone: RcloneServer, ended: Ended, tmp_path: Path) -> None:
    """As after an uploader that was killed between its write and its confirmation."""
    done = ended(MIB).into(URL, rclone.credentials(tmp_path))
    rclone.bucket.put(f"{PREFIX}/{done.upload.folder}/{done.files[0].name}", done.files[0].read_bytes())
    done.run().check_whole(below(rclone.bucket))


def test_an_uploader_that_is_killed_is_started_again(sftp: SftpServer, ended: Ended) -> None:
    done = ended(30 * MIB, MIB).into(sftp.url, sftp.key, sftp.known_hosts())
    killed: list[int] = []

    def kill_once() -> None:
        process = done.upload.uploads._process
        if not killed and process is not None:
            process.kill()
            killed.append(process.pid)

    done.run(kill_once)
    assert killed
    done.check_whole(lambda name: (sftp.files / name).read_bytes())


def test_keys_that_are_replaced_are_read_again(rclone: RcloneServer, ended: Ended, tmp_path: Path) -> None:
    credentials = rclone.credentials(tmp_path)
    done = ended(MIB).into(URL, credentials)
    assert done.upload.start() is None
    rclone.kill()
    rclone.keys = ("newer", "another-secret-of-the-tests")
    rclone.start()

    def renew() -> None:
        if done.troubles:
            rclone.credentials(tmp_path)

    done.complete(renew).check_whole(below(rclone.bucket))
    assert "InvalidAccessKeyId" in done.troubles[0] or "SignatureDoesNotMatch" in done.troubles[0]


FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def test_a_clock_that_is_off_is_told(
    seaweed: SeaweedServer, ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", str(FAKETIME))
    monkeypatch.setenv("FAKETIME", "-1h")
    with pytest.raises(StoreError, match="clocks of this machine and of the store differ too much"):
        ended(1).into(URL, written(seaweed, tmp_path)).run()


def test_the_uploader_is_another_user_without_privileges(sftp: SftpServer, ended: Ended) -> None:
    done = ended(1).into(sftp.url, sftp.key, sftp.known_hosts())
    done.upload.start()
    process = done.upload.uploads._process
    assert process is not None
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    words = Path(f"/proc/{process.pid}/cmdline").read_text() + Path(f"/proc/{process.pid}/environ").read_text()
    done.complete()
    assert {status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}
    assert status["Uid"].split()[:3] == ["65534"] * 3
    assert status["NoNewPrivs"] == "1"
    assert sftp.key.read_text().splitlines()[1] not in words
    wait_until(lambda: process.poll() is not None)


def written(server: SeaweedServer, folder: Path, **changed: str) -> Path:
    """A file of credentials, with some of them changed."""
    file = folder / "credentials"
    file.write_text("\n".join(f"{name} = {value}" for name, value in (server.settings | changed).items()))
    return file
