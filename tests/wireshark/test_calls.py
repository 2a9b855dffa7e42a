"""Every call of the extcap protocol, as Wireshark makes it: its whole answer, its time, and what comes of it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.extcap.install import folders, install
from testbed.patience import PATIENCE
from testbed.two_pods import PlainNode

GOLDEN = Path(__file__).with_name("calls")
"""The answers, a file for each call. Where one is to change, delete it, run this, and read the new one."""
MOST_STARTS = 10
"""CPU time of a call at most, in starts of Python: 0.2 s, as Wireshark waits for each, where a start takes 0.02 s.

Seconds alone would say how busy the machine is.
"""
CALLS = {
    "interfaces": "--extcap-interfaces --extcap-version=4.0",
    "link-types": "--extcap-interface bicap-if-veth-client --extcap-dlts",
    "options-of-an-interface": "--extcap-interface bicap-if-veth-client --extcap-config",
    "options-of-all": "--extcap-interface bicap --extcap-config",
    "options-of-waiting": "--extcap-interface bicap-wait --extcap-config",
    "options-of-the-cluster": "--extcap-interface bicap-cluster --extcap-config",
    "interfaces-again": "--extcap-interface bicap --extcap-config --extcap-reload-option interface",
    "pods-again": "--extcap-interface bicap-wait --extcap-config --extcap-reload-option pod",
    "a-right-filter": "--extcap-interface bicap-if-lo --extcap-capture-filter tcp",
    "a-wrong-filter": "--extcap-interface bicap-if-lo --extcap-capture-filter tpc",
}


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """bicap's starter, in a folder that is mounted over Wireshark's: as root, tshark looks nowhere else."""
    made = install(str(tmp_path_factory.mktemp("extcap")))
    place = folders()[0]
    subprocess.run(["mount", "--bind", str(made.parent), place], check=True)
    yield made
    subprocess.run(["umount", place], check=True)


def call(node: PlainNode, starter: Path, words: str) -> tuple[str, float]:
    """The answer, and the CPU seconds that it took."""
    read, write = os.pipe()
    process = subprocess.Popen(node.exec(str(starter), *words.split()), stdout=write, stderr=subprocess.STDOUT)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, text
    return text, used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", CALLS)
def test_a_call_answers_what_is_written_here_and_at_once(name: str, wireshark_node: PlainNode, starter: Path) -> None:
    text, *_ = call(wireshark_node, starter, CALLS[name])
    text = re.sub(r"\{version=[^}]*\}", "{version=V}", text)
    golden = GOLDEN / f"{name}.txt"
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden} was not there; it is written now: read it")
    assert text == golden.read_text()
    starts, calls = zip(*(_seconds(wireshark_node, starter, CALLS[name]) for _ in range(3)), strict=True)
    assert min(calls) < MOST_STARTS * min(starts)


def _seconds(node: PlainNode, starter: Path, words: str) -> tuple[float, float]:
    """CPU seconds of a start of Python, and of the call, one after the other."""
    return call(node, Path(sys.executable), "-c pass")[1], call(node, starter, words)[1]


def run(node: PlainNode, *words: str) -> "subprocess.CompletedProcess[str]":
    command = node.exec(*words)
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_tshark_lists_every_entry(wireshark_node: PlainNode, starter: Path) -> None:
    listed = run(wireshark_node, "tshark", "-D").stdout
    for entry in ("bicap", "bicap-wait", "bicap-if-veth-client", "bicap-if-br0"):
        assert re.search(rf"^\d+\. {entry} \(bicap: ", listed, re.MULTILINE), listed


def pings(node: PlainNode) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(node.client.exec("ping", "-q", "-i", "0.1", node.server.ip4), stdout=subprocess.DEVNULL)


def test_tshark_waits_until_a_rule_is_true_and_gets_what_was_before(
    wireshark_node: PlainNode, starter: Path, tmp_path: Path
) -> None:
    options = {"interface": "veth-client", "trigger": "rate(packets)>1", "before": "20s", "after": "1s"}
    words = [word for name, value in options.items() for word in ("-o", f"extcap.bicap_wait.{name}:{value}")]
    file = tmp_path / "waited.pcapng"
    ping = pings(wireshark_node)
    try:
        done = run(
            wireshark_node, "tshark", "-n", *words, "-i", "bicap-wait", "-f", "icmp", "-c", "12", "-w", str(file)
        )
    finally:
        ping.kill()
        ping.wait()
    assert done.returncode == 0, done.stderr
    read = run(wireshark_node, "tshark", "-n", "-r", str(file), "-T", "fields", "-e", "frame.interface_name")
    assert read.stdout.splitlines() == ["veth-client"] * 12


def test_dumpcap_takes_two_incidents_of_one_pipe(wireshark_node: PlainNode, starter: Path, tmp_path: Path) -> None:
    """The program that reads an extcap's pipe for Wireshark; the button is pressed through the toolbar's pipe."""
    pipes = {name: tmp_path / name for name in ("fifo", "in", "out")}
    for pipe in pipes.values():
        os.mkfifo(pipe)
    options = ["--interface", "veth-client", "--before", "20s", "--after", "100ms", "--cooldown", "0s"]
    controls = ["--extcap-control-in", str(pipes["in"]), "--extcap-control-out", str(pipes["out"])]
    words = ["--capture", "--extcap-interface", "bicap-wait", "--fifo", str(pipes["fifo"]), *controls, *options]
    file = tmp_path / "two.pcapng"
    ping = pings(wireshark_node)
    waiting = subprocess.Popen(wireshark_node.exec(str(starter), *words), stderr=subprocess.DEVNULL)
    dumpcap = subprocess.Popen(
        wireshark_node.exec("dumpcap", "-q", "-i", str(pipes["fifo"]), "-w", str(file)), stderr=subprocess.DEVNULL
    )
    try:
        with pipes["out"].open("rb", buffering=0) as heard, pipes["in"].open("wb", buffering=0) as buttons:
            buttons.write(b"T\0\0\2\xff\0")  # all values are sent
            await_text(heard, "recording on veth-client")
            for _ in range(2):
                buttons.write(b"T\0\0\2\1\1")
                await_text(heard, "time after the trigger over")
            waiting.terminate()
            assert waiting.wait(PATIENCE) == 0
        assert dumpcap.wait(PATIENCE) == 0
    finally:
        for process in (ping, waiting, dumpcap):
            process.kill()
            process.wait()
    read = run(wireshark_node, "tshark", "-n", "-r", str(file), "-T", "fields", "-e", "frame.interface_name")
    assert set(read.stdout.splitlines()) == {"veth-client"}
    shb = file.read_bytes().count(b"\x0a\x0d\x0d\x0a")
    assert shb == 3  # ours, which says that the capture has begun, and one for each incident


def await_text(pipe: object, text: str) -> None:
    """Read messages of the toolbar until one has this text."""
    heard, deadline = b"", time.monotonic() + PATIENCE
    while text.encode() not in heard:
        assert time.monotonic() < deadline, heard
        heard += pipe.read(1 << 12)  # type: ignore[attr-defined]


def test_a_rule_that_is_wrong_is_said_and_the_recorder_goes_on(
    wireshark_node: PlainNode, tmp_path: Path, starter: Path
) -> None:
    pipes = {name: tmp_path / name for name in ("fifo", "in", "out")}
    for pipe in pipes.values():
        os.mkfifo(pipe)
    controls = ["--extcap-control-in", str(pipes["in"]), "--extcap-control-out", str(pipes["out"])]
    words = ["--capture", "--extcap-interface", "bicap-wait", "--fifo", str(pipes["fifo"]), *controls]
    command = wireshark_node.exec(str(starter), *words, "--interface", "veth-client")
    waiting = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with (
            pipes["out"].open("rb", buffering=0) as heard,
            pipes["in"].open("wb", buffering=0) as buttons,
            pipes["fifo"].open("rb"),
        ):
            rule = b"colour>3"
            buttons.write(b"T" + (len(rule) + 2).to_bytes(3, "big") + b"\2\1" + rule + b"T\0\0\2\xff\0")
            await_text(heard, "colour")
            await_text(heard, "recording on veth-client")
            waiting.terminate()
            assert waiting.wait(PATIENCE) == 0
    finally:
        waiting.kill()
        waiting.wait()
