"""Wireshark itself, with bicap among its interfaces -> docs/wireshark/*.png. Run by `make wireshark-pictures`.

On a display of its own, in the namespace of a node with two pods: a capture that runs, a dialog, and a wait for
trouble whose button is pressed. Places to click are those of Wireshark 4.0 in Debian 12.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from testbed.patience import wait_until
from testbed.two_pods import PlainNode, serve, talk, two_pods
from testbed.wireshark_window import WiresharkWindow, captured_packets, wireshark

TARGET = Path(__file__).resolve().parents[1] / "docs" / "wireshark"
_FIRST_GEAR, _ROW = (169, 274), 18
"""The first entry's gear on the start page, and the distance to the next."""
_RECORD_TAB, _KEEP, _ACCOUNT = (435, 138), (1118, 109), (1226, 109)
_NO_OTHERS = ("-o", "capture.devices_hide:any,bluetooth-monitor,nflog,nfqueue,dbus-system,dbus-session")


def take_running(folder: Path, node: PlainNode) -> None:
    """A live capture of one interface."""
    file = folder / "live.pcapng"
    words = ["-i", "bicap-if-veth-client", "-k", "-w", str(file)]
    with wireshark(folder, node.exec(), *words) as window:
        window.fill_the_screen()
        wait_until(lambda: any("Capturing from bicap" in title for title in window.titles()))
        wait_until(lambda: _speaks(node) and captured_packets(file) > 0)
        window.settle()
        window.picture(TARGET / "running.png")


def take_dialog(folder: Path, node: PlainNode) -> None:
    """The list of interfaces, and the dialog of the entry that waits."""
    with wireshark(folder, node.exec(), *_NO_OTHERS) as window:
        window.fill_the_screen()
        window.settle()
        # Entries are in order of their names: bicap, one for each interface, bicap-wait.
        names = subprocess.run(node.exec("ls", "/sys/class/net"), capture_output=True, text=True, check=True).stdout
        up = [name for name in names.split() if name != "lo"]
        window.click(_FIRST_GEAR[0], _FIRST_GEAR[1] + _ROW * (1 + len(up)))
        wait_until(lambda: len(window.titles()) > 1)
        window.settle()
        window.click(*_RECORD_TAB)
        window.settle()
        window.picture(TARGET / "dialog.png")


def take_waiting(folder: Path, node: PlainNode) -> None:
    """Trouble that was waited for, after the button, with the account."""
    file = folder / "waited.pcapng"
    given = {"interface": "veth-client", "after": "2s"}
    words = [word for name, value in given.items() for word in ("-o", f"extcap.bicap_wait.{name}:{value}")]
    with wireshark(folder, node.exec(), "-i", "bicap-wait", "-k", "-w", str(file), *words) as window:
        window.fill_the_screen()
        wait_until(lambda: any("Capturing from bicap" in title for title in window.titles()))
        window.click(*_ACCOUNT)
        window.settle()
        wait_until(lambda: _speaks(node) and _press(window, file))
        window.settle()
        window.picture(TARGET / "waited.png")


def _speaks(node: PlainNode) -> bool:
    return subprocess.run(talk(node.client, node.server.ip4), check=False).returncode == 0


def _press(window: WiresharkWindow, file: Path) -> bool:
    """Press the button, and wait a little for packets: before the recorder has started there are none."""
    window.click(*_KEEP)
    time.sleep(5)
    return captured_packets(file) > 0


TAKES = {"running": take_running, "dialog": take_dialog, "waited": take_waiting}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.wireshark_pictures", description=__doc__)
    parser.add_argument("pictures", nargs="*", choices=[[], *TAKES], help="only these")
    given = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        two_pods(f"bicap-wp{os.getpid()}") as node,
        subprocess.Popen(serve(node.server), stdout=subprocess.DEVNULL) as server,
    ):
        try:
            for name in given.pictures or TAKES:
                folder = Path(temporary, name)
                folder.mkdir()
                TAKES[name](folder, node)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
