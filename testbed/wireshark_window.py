"""Wireshark itself on a display of its own (Xvfb), with bicap's starter, in a node's network namespace.

It is driven by keys and the pointer, and looked at by pictures. There is no window manager: a dialog has the focus
when the pointer is in it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from capture.extcap.install import folders, install
from testbed.patience import PATIENCE, wait_until

WIDTH, HEIGHT = 1280, 900
_EMPTY = (1200, 700)
"""A point with nothing in it, which is grey while Wireshark initializes."""
PROFILE = Path(__file__).parents[1] / "wireshark" / "bicap"
_RECENT = "privs.warn_if_elevated: FALSE\n"
_TOOLBAR = 'gui.interface_toolbar_show: "bicap"\n'
_PREFERENCES = ("gui.update.enabled:FALSE", "gui.interfaces_hidden_types:0,1,2,3,4,5,6,7")
"""No look for updates; and of the interfaces only those of external programs."""


@dataclass(frozen=True)
class WiresharkWindow:
    """The window of a Wireshark that runs."""

    display: str
    process: "subprocess.Popen[bytes]"

    def _run(self, *words: str) -> str:
        env = os.environ | {"DISPLAY": self.display}
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False).stdout

    def picture(self, file: Path) -> None:
        """Write what is to be seen."""
        self._run("import", "-window", "root", str(file))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        self._run("xdotool", "key", "--delay", "100", *keys)

    def click(self, x: int, y: int) -> None:
        """Click there."""
        self._run("xdotool", "mousemove", str(x), str(y), "sleep", "0.2", "click", "1")

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("xdotool", "type", "--delay", "30", text)

    def titles(self) -> list[str]:
        """The titles of all windows that are to be seen."""
        assert self.process.poll() is None, "Wireshark has ended; wireshark.log says why"
        found = self._run("xdotool", "search", "--onlyvisible", "--name", ".").split()
        return [self._run("xdotool", "getwindowname", one).strip() for one in found]

    def fill_the_screen(self) -> None:
        """Wait for the main window, and give it all of the screen."""
        wait_until(lambda: any("Wireshark" in title for title in self.titles()))
        (window, *_) = self._run("xdotool", "search", "--onlyvisible", "--name", "Wireshark").split()
        self._run("xdotool", "windowmove", window, "0", "0", "windowsize", window, str(WIDTH), str(HEIGHT))
        wait_until(lambda: self._pixel(*_EMPTY) == b"\xff\xff\xff", lambda: "Wireshark is still initializing")

    def _pixel(self, x: int, y: int) -> bytes:
        """Return red, green and blue of a point."""
        env = os.environ | {"DISPLAY": self.display}
        words = ["import", "-window", "root", "-crop", f"1x1+{x}+{y}", "-depth", "8", "rgb:-"]
        return subprocess.run(words, env=env, capture_output=True, check=False).stdout

    def settle(self) -> None:
        """Wait until two pictures half a second apart are the same."""
        before, deadline = b"", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            env = os.environ | {"DISPLAY": self.display}
            words = ["import", "-window", "root", "rgb:-"]
            now = subprocess.run(words, env=env, capture_output=True, check=False).stdout
            if now == before:
                return
            before = now
            time.sleep(0.5)


@contextmanager
def wireshark(folder: Path, within: Sequence[str], *words: str) -> Iterator[WiresharkWindow]:
    """Start Wireshark with bicap's profile; `within` are the words that run a command in a network namespace."""
    extcap = folder / "extcap"
    install(str(extcap))
    (folder / "config" / "profiles").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "recent_common").write_text(_RECENT)
    profile = folder / "config" / "profiles" / "bicap"
    shutil.copytree(PROFILE, profile, dirs_exist_ok=True)  # it is written to
    (profile / "recent").write_text(_TOOLBAR)
    (folder / "run").mkdir(mode=0o700, exist_ok=True)
    read, write = os.pipe()
    screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), *screen], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    try:
        with os.fdopen(read) as number:
            display = f":{number.readline().strip()}"
        # As root, Wireshark looks in one folder only, whatever the environment says.
        mount = f'mount --bind {extcap} {folders()[0]} && exec "$@"'
        command = [*within, "unshare", "-m", "--propagation", "private", "sh", "-c", mount, "sh", "wireshark"]
        settings = [word for one in _PREFERENCES for word in ("-o", one)]
        env = os.environ | {
            "DISPLAY": display,
            "WIRESHARK_CONFIG_DIR": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "HOME": str(folder),
        }
        with (folder / "wireshark.log").open("wb") as log:
            process = subprocess.Popen([*command, "-C", "bicap", *settings, *words], env=env, stdout=log, stderr=log)
        try:
            yield WiresharkWindow(display, process)
        finally:
            process.terminate()
            process.wait(PATIENCE)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def captured_packets(file: Path) -> int:
    """Return the number of packets in a file that is still written; 0 if it is not there."""
    counted = subprocess.run(["capinfos", "-Trc", str(file)], capture_output=True, text=True, check=False)
    words = counted.stdout.split()
    return int(words[-1]) if words and words[-1].isdecimal() else 0
