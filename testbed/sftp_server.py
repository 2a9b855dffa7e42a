"""A real SFTP server for tests: OpenSSH on one address, with keys of its own, for the user who runs the tests."""

import getpass
import os
import signal
import socket
import subprocess
from pathlib import Path

from testbed.patience import wait_until
from testbed.seaweedfs import free_port

_SSHD = "/usr/sbin/sshd"


class SftpServer:
    """A server that can be killed and started again. `folder` is also that of the files."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder, self.address, self.port, self.user = folder, address, free_port(), getpass.getuser()
        self.files = folder / "files"
        self.files.mkdir(exist_ok=True)
        self.key, self.other_key = self._new_key("user"), self._new_key("other")
        self._host_key = self._new_key("host")
        config = {
            "Port": self.port,
            "ListenAddress": self.address,
            "HostKey": self._host_key,
            "AuthorizedKeysFile": f"{self.key}.pub",
            "PidFile": folder / "pid",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
        }
        (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in config.items()))
        self._process: subprocess.Popen[bytes] | None = None

    def _new_key(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    @property
    def url(self) -> str:
        """The folder of the files."""
        return f"sftp://{self.user}@{self.address}:{self.port}{self.files}"

    def known_hosts(self, key: Path | None = None) -> Path:
        """Write a list of host keys that has the server's, or another."""
        public = Path(f"{key or self._host_key}.pub").read_text().split()[:2]
        path = self.folder / "known_hosts"
        path.write_text(f"[{self.address}]:{self.port} {' '.join(public)}\n")
        return path

    def start(self) -> None:
        """Start it."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "log").open("a") as log:
            words = [_SSHD, "-D", "-e", "-f", str(self.folder / "config")]
            # In a group of its own: a connection is a process, which a crash of the machine would end, too.
            self._process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, (self.folder / "log").read_text)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), 5) as line:
                return line.recv(4) == b"SSH-"
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it with all its connections."""
        if self._process is not None:
            for child in _children(self._process.pid):
                os.kill(child, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None


def _children(pid: int) -> list[int]:
    """Return the processes below a process, the deepest first."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [deeper for child in map(int, found) for deeper in (*_children(child), child)]
