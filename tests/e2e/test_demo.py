"""`make demo` as a newcomer meets it: a report that agrees with the file, and nothing left, however it ends."""

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from testbed.patience import PATIENCE, wait_until
from testbed.tool import assert_adds_up, check_with_readers

DEMO = Path(__file__).parents[2] / "scripts" / "demo.sh"
NUMBER = r"([\d,]+)"


def start(file: Path) -> subprocess.Popen[str]:
    """The demo in a session of its own, as a terminal starts it, from another directory than the project's."""
    return subprocess.Popen(
        [DEMO, file.name],
        cwd=file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A runner in the background lets its children ignore Ctrl-C, and a shell cannot undo that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "seen.pcapng"
    monkeypatch.setenv("BICAP_DEMO_TEST", str(file))  # every process of this demo inherits the mark
    return file


def running(file: Path) -> list[str]:
    """Command lines of the demo's processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if f"BICAP_DEMO_TEST={file}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [command for command in found if command]


def wait_until_talking(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if "HTTP, UDP and pings" in line:
            return
    raise AssertionError(f"the demo ended: {demo.wait()}")


def test_the_report_says_what_is_in_the_file(file: Path) -> None:
    demo = start(file)
    shown, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, shown
    summary = json.loads(Path(f"{file}.json").read_text())

    def count(display_filter: str) -> int:
        words = ["tshark", "-n", "-r", str(file), "-Y", display_filter, "-T", "fields", "-e", "frame.number"]
        return len(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())

    def numbers(pattern: str) -> list[int]:
        found = re.search(pattern.replace("#", NUMBER), shown)
        assert found, f"{pattern!r} is not in: {shown}"
        return [int(text.replace(",", "")) for text in found.groups()]

    assert numbers("client -> server +# packets") == [count("eth.src == 02:77:00:00:00:01")]
    assert numbers("server -> client +# packets") == [count("eth.src == 02:77:00:00:00:02")]
    handshakes = count("tcp.flags.syn == 1 && tcp.flags.ack == 1")
    assert handshakes > 0
    assert numbers("TCP +# sessions: # with whole handshake .*, # closed") == [handshakes + 1, handshakes, handshakes]
    assert numbers("# refused, on purpose") == [1]
    (udp,) = numbers("UDP +# sessions")
    assert udp > 0
    answered = count("icmp.type == 0") + count("icmpv6.type == 129")
    assert answered > 0
    assert numbers("ping +# requests, # answered") == [answered] * 2
    assert numbers("lost +# of # packets") == [0, summary["account"]["matched"]]
    assert numbers("cost +# ns per packet in the kernel") == [round(summary["cost"]["kernel_ns_per_packet"])]
    assert "wireshark" in shown.splitlines()[-2]
    assert shown.splitlines()[-2].endswith(file.name)

    for family in ("ip", "ipv6"):
        assert count(f"{family} && http.response.code == 200") > 0
    assert_adds_up(summary["account"])
    check_with_readers(file, summary["account"]["written"])
    assert not running(file)


@pytest.mark.parametrize(
    ("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_nothing_is_left_when_it_is_ended(file: Path, ending: signal.Signals, code: int) -> None:
    demo = start(file)
    wait_until_talking(demo)
    assert any("talk.py serve" in command for command in running(file))
    if ending is signal.SIGINT:  # Ctrl-C is for everything in the terminal's foreground
        os.killpg(demo.pid, ending)
    else:
        demo.send_signal(ending)
    shown, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == code
    if ending is not signal.SIGKILL:  # then all end at once, and may complain about each other
        assert "Traceback" not in shown
    wait_until(lambda: not running(file), lambda: running(file))
