"""Packets that the kernel drops and connections that it resets, for real -> the reason and the packet."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capture.kernel.netns import Namespace
from testbed.recorder_process import RecorderProcess
from testbed.tool import BackgroundProcess, CaptureProcess, bicap, check_with_readers
from testbed.two_pods import PlainNode, run
from tests.e2e.staged_reasons import BY_HAND, FOREIGN, SITUATIONS, StagedReason, prepared

UDP = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(bytes(20), ({ip!r}, {port}))"
FLOOD = 30_000
NUMBERED = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 4000))
s.settimeout(5)
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    s.sendto(b"packet %d" % n, (sys.argv[1], 93))
    if sys.argv[4] == "answered":
        s.recv(100)
"""
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 93))
print("ready", flush=True)
while True:
    s.sendto(*s.recvfrom(100))
"""


def inside(pod: Any, code: str, *words: str) -> None:
    subprocess.run(pod.exec(sys.executable, "-c", code, *words), check=True)


@pytest.fixture
def background() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@dataclass(frozen=True)
class Staged:
    """An incident with all situations, as tshark, `bicap sessions` and its JSON show it."""

    file: Path
    incident: Any
    events: list[list[str]]
    """Of each event: its comment, its source, its destination."""
    sessions: dict[int, Any]
    """By port of the server."""

    def of(self, situation: StagedReason) -> list[list[str]]:
        """Return the events that say what they should."""
        reason, _, place = situation.says.partition(" at ")
        return [row for row in self.events if row[0].startswith(reason) and (not place or f" at {place}" in row[0])]

    def joined(self, situation: StagedReason) -> bool:
        """True if the conversation's session has the reason."""
        assert situation.port is not None
        what, reason, *_ = situation.says.split()
        session = self.sessions[situation.port]
        found = session["drop_reason" if what == "dropped" else "reset_reason"]
        return bool(found == reason and session["packets"] > 0 and session["interface"] == "veth-client")


def stage_all(node: PlainNode, folder: Path) -> Staged:
    """Record all situations into one incident: one recorder and one pair of pods for all of them."""
    sources = [word for source in (node.client.ip4, BY_HAND, FOREIGN) for word in ("--source", source)]
    words = ["-i", "veth-client", *sources, "--reasons", "--after", "500ms"]
    with prepared(node) as ends, RecorderProcess(folder, *words, within=node.exec()) as recorder:
        for situation in SITUATIONS:
            situation.stage(ends)
        time.sleep(0.5)
        recorder.process.send_signal(signal.SIGUSR2)
        (incident,) = recorder.await_complete(1)
    (file,) = recorder.files
    fields = ["-e", "frame.comment", "-e", "ip.src", "-e", "ip.dst"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-Y", 'frame.interface_name == "drops"', "-T", "fields", *fields],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [json.loads(line) for line in bicap("sessions", "--json", str(file)).stdout.splitlines()]
    sessions = {session["server_port"]: session for session in found}
    return Staged(file, incident, [line.split("\t") for line in done.stdout.splitlines()], sessions)


def test_the_kernel_says_why_each_session_knows_and_every_reader_shows_it(node: PlainNode, tmp_path: Path) -> None:
    staged = stage_all(node, tmp_path / "incidents")
    seen = "\n".join(sorted({row[0] for row in staged.events}))
    assert not [one.says for one in SITUATIONS if not staged.of(one)], seen
    assert [one.says for one in SITUATIONS if one.port is not None and not staged.joined(one)] == []
    check_with_readers(staged.file, staged.incident["packets"] + staged.incident["events"])
    asked = ("10.77.0.1", BY_HAND, FOREIGN)
    assert all(any(end in row[1] + row[2] for end in asked) for row in staged.events)
    full = staged.sessions[90]
    assert full["drops"] == sum(row[0].startswith("dropped SOCKET_RCVBUFF ") for row in staged.events) >= 40
    words = bicap("sessions", "-n", "--filter", "port=93", str(staged.file)).stdout
    assert "1 packet dropped on this node by NETFILTER_DROP (policy, packet" in words
    diagnosis = bicap("diagnose", "-c", "100", str(staged.file)).stdout
    assert "by NETFILTER_DROP (policy) at nft_do_chain: a rule of nftables or iptables drops it" in diagnosis
    assert "by SOCKET_RCVBUFF (full) at udp_queue_rcv_one_skb: the socket's receive buffer is full" in diagnosis
    number = staged.sessions[93]["drop_packet"]
    (line,) = [one for one in bicap("read", str(staged.file)).stdout.splitlines() if one.split()[0] == str(number)]
    assert " drops dropped NETFILTER_DROP (policy) at nft_do_chain" in line
    counted = {(one["what"], one["reason"]): one for one in staged.incident["reasons"]["places"]}
    assert counted["dropped", "SOCKET_RCVBUFF"]["recorded"] >= 40
    of_server = {
        one["reason"]: one
        for one in staged.incident["reasons"]["namespaces"]
        if (one["name"] or "").endswith("-server")
    }
    assert of_server["SOCKET_RCVBUFF"]["recorded"] >= 40


def test_a_capture_has_the_reasons_in_its_file_between_its_packets(node: PlainNode, tmp_path: Path) -> None:
    client, server, file = node.client, node.server, tmp_path / "capture.pcapng"
    run(*server.exec("iptables", "-w", "-A", "INPUT", "-p", "udp", "--dport", "93", "-j", "DROP"))
    words = ["capture", "-i", "veth-client", "--source", client.ip4, "--reasons", "-w", str(file)]
    with BackgroundProcess(file, words, node.exec()):
        for port in (93, 81, 93):
            inside(client, UDP.format(ip=server.ip4, port=port))
    summary = json.loads(Path(f"{file}.json").read_text())
    assert [interface["name"] for interface in summary["interfaces"]] == ["veth-client"]
    events = summary["reasons"]["events"]
    assert summary["account"]["written"] == 4
    assert events >= 3  # a test beside this one may have the same addresses
    check_with_readers(file, 4 + events)
    fields = ["-e", "frame.interface_name", "-e", "udp.dstport", "-e", "frame.comment", "-e", "frame.time_epoch"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-Y", "!icmp", "-T", "fields", *fields],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    mine = f"netns {os.stat(f'/run/netns/{server.netns}').st_ino}"
    rows = [row for row in lines if row[0] == "veth-client" or mine in row[2]]
    assert [(row[0], row[1], row[2].partition(" at ")[0]) for row in rows] == [
        ("veth-client", "93", ""),
        ("drops", "93", "dropped NETFILTER_DROP (policy)"),
        ("veth-client", "81", ""),
        ("drops", "81", "dropped NO_SOCKET (nobody)"),
        ("veth-client", "93", ""),
        ("drops", "93", "dropped NETFILTER_DROP (policy)"),
    ]
    times = [row[3] for row in rows]
    assert times == sorted(times)


def test_a_flood_of_drops_is_counted_and_costs_the_capture_no_packet(node: PlainNode, tmp_path: Path) -> None:
    client, server, file = node.client, node.server, tmp_path / "capture.pcapng"
    run(*server.exec("iptables", "-w", "-A", "INPUT", "-p", "udp", "--dport", "93", "-j", "DROP"))
    words = ["-i", "veth-client", "--source", client.ip4, "--reasons"]
    with (
        CaptureProcess(file, *words, within=node.exec()) as capture,
        closing(Namespace(client.netns)) as namespace,
        namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as out,
    ):
        for _ in range(FLOOD):
            out.sendto(b"flood", (server.ip4, 93))
    account, reasons = capture.summary["account"], capture.summary["reasons"]
    assert (account["written"], account["lost"]) == (FLOOD, 0)
    counts = [one for one in reasons["places"] if one["reason"] == "NETFILTER_DROP"]
    seen = {name: sum(one[name] for one in counts) for name in ("events", "recorded", "over_the_rate", "others")}
    # An event that interrupts another one on its CPU may be missed.
    assert seen["events"] >= 0.9 * FLOOD
    assert 0 < seen["recorded"] < FLOOD / 2
    assert seen["recorded"] + seen["over_the_rate"] + seen["others"] <= seen["events"]
    assert reasons["events"] <= sum(one["recorded"] for one in reasons["places"])


def test_legs_names_the_reason_of_packets_that_the_node_dropped_between_two_points(
    node: PlainNode, tmp_path: Path, background: list[subprocess.Popen[bytes]]
) -> None:
    client, server, file = node.client, node.server, tmp_path / "capture.pcapng"
    echo = subprocess.Popen(server.exec(sys.executable, "-c", ECHO), stdout=subprocess.PIPE)
    background.append(echo)
    assert echo.stdout is not None
    echo.stdout.readline()
    words = [
        "capture",
        "-i",
        "veth-client",
        "-i",
        "veth-server",
        "--source",
        client.ip4,
        "--reasons",
        "-w",
        str(file),
    ]
    rule = ["FORWARD", "-p", "ip", "--ip-proto", "udp", "--ip-dport", "93", "-j", "DROP"]
    with BackgroundProcess(file, words, node.exec()):
        inside(client, NUMBERED, server.ip4, "0", "5", "answered")
        run(*node.exec("ebtables", "-A", *rule))
        inside(client, NUMBERED, server.ip4, "5", "9", "dropped")
        run(*node.exec("ebtables", "-D", *rule))
        inside(client, NUMBERED, server.ip4, "9", "12", "answered")
    assert "  lost before veth-server: 4 NETFILTER_DROP (policy) at " in bicap("legs", str(file)).stdout
    there, back = json.loads(bicap("legs", "--json", str(file)).stdout)["legs"]
    assert (there["paired"], there["lost"], back["paired"], back["lost"]) == (8, 4, 8, 0)
    (proven,) = there["lost_by"]
    assert (proven["reason"], proven["class"], proven["packets"]) == ("NETFILTER_DROP", "policy", 4)
