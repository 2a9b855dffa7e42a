"""Packets that the kernel drops and connections that it resets, for real -> the reason and the packet."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.packets import ip, udp
from testbed.recorder_process import RecorderProcess
from testbed.tool import BackgroundProcess, bicap, check_with_readers
from testbed.two_pods import PlainNode, run

TCP = "import socket; s = socket.socket(); s.settimeout(1); s.connect_ex(({ip!r}, {port}))"
UDP = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(bytes(20), ({ip!r}, {port}))"
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
RAW = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
s.send(bytes.fromhex(sys.argv[1]))
"""
FULL_SOCKET = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
s.bind(("", 90))
print("ready", flush=True)
time.sleep(60)
"""
CLOSES_UNREAD = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 91)); s.listen()
print("ready", flush=True)
c, _ = s.accept()
c.recv(1)
if {linger}:
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
    c.recv(100)
c.close()
"""
TALKS = """
import socket, time
s = socket.create_connection(({ip!r}, 91), timeout=5)
s.sendall(bytes(50)); time.sleep(0.3)
try:
    s.recv(10)
except OSError:
    pass
"""


def inside(pod: Any, code: str, *words: str) -> None:
    subprocess.run(pod.exec(sys.executable, "-c", code, *words), check=True)


def raw(node: PlainNode, given: bytes) -> None:
    """Send an IPv4 frame from the client to the server's MAC address, with the checksum of its IP header."""
    frame = bytearray(given)
    frame[24:26] = bytes(2)
    total = sum(int.from_bytes(frame[n : n + 2], "big") for n in range(14, 34, 2))
    frame[24:26] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    macs = bytes.fromhex((node.server.mac + node.client.mac).replace(":", ""))
    inside(node.client, RAW, (macs + frame[12:]).hex())


@pytest.fixture
def background() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def counted_drops(rows: list[list[str]], reason: str) -> int:
    return sum(row[1].startswith(f"dropped {reason} ") for row in rows)


def test_reasons_of_drops_and_resets_are_named_with_their_packet(
    node: PlainNode, tmp_path: Path, background: list[subprocess.Popen[bytes]]
) -> None:
    client, server = node.client, node.server

    def serve(code: str) -> None:
        process = subprocess.Popen(server.exec(sys.executable, "-c", code), stdout=subprocess.PIPE)
        background.append(process)
        assert process.stdout is not None
        process.stdout.readline()

    def wrong_checksum() -> None:
        frame = bytearray(udp(client.ip4, 4000, server.ip4, 94, b"wrong"))
        frame[40:42] = b"\x12\x34"
        raw(node, bytes(frame))

    def full_socket() -> None:
        serve(FULL_SOCKET)
        inside(client, f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                       f"for n in range(50): s.sendto(bytes(1000), ({server.ip4!r}, 90))")  # fmt: skip

    def policy() -> None:
        run(*server.exec("iptables", "-w", "-A", "INPUT", "-p", "udp", "--dport", "93", "-j", "DROP"))
        inside(client, UDP.format(ip=server.ip4, port=93))

    def no_neighbour() -> None:
        inside(client, UDP.format(ip="10.77.0.77", port=95))
        time.sleep(3.5)

    def no_route() -> None:
        run(*server.exec("sysctl", "-qw", "net.ipv4.ip_forward=1"))
        raw(node, ip(client.ip4, "192.0.2.1", 17, b"\x0f\xa0\x00\x60\x00\x0c\x00\x00none"))

    def ttl() -> None:
        run("ip", "-n", server.netns, "route", "add", "198.51.100.0/24", "dev", "lo")
        frame = bytearray(ip(client.ip4, "198.51.100.1", 17, b"\x0f\xa0\x00\x61\x00\x0c\x00\x00last"))
        frame[22] = 1
        raw(node, bytes(frame))

    def unread(linger: bool) -> None:
        serve(CLOSES_UNREAD.format(linger=linger))
        inside(client, TALKS.format(ip=server.ip4))

    staged = [
        ("dropped NO_SOCKET (nobody)", lambda: inside(client, UDP.format(ip=server.ip4, port=81))),
        ("reset NO_SOCKET (nobody)", lambda: inside(client, TCP.format(ip=server.ip4, port=82))),
        ("reset-by-peer PEER_RESET (application)", lambda: inside(client, TCP.format(ip=server.ip4, port=83))),
        ("dropped NETFILTER_DROP (policy)", policy),
        ("dropped SOCKET_RCVBUFF (full)", full_socket),
        ("dropped UDP_CSUM (broken)", wrong_checksum),
        ("dropped NEIGH_FAILED (routing)", no_neighbour),
        ("dropped IP_INNOROUTES (routing)", no_route),
        ("dropped IP_INHDR (routing)", ttl),
        ("reset TCP_ABORT_ON_CLOSE (application)", lambda: unread(False)),
        ("reset TCP_STATE (application)", lambda: unread(True)),
    ]
    folder = tmp_path / "incidents"
    words = ["-i", "veth-client", "--source", client.ip4, "--reasons", "--after", "500ms"]
    with RecorderProcess(folder, *words, within=node.exec()) as recorder:
        for _, stage in staged:
            stage()
        time.sleep(0.2)
        assert bicap("trigger", str(folder)).code == 0
        (incident,) = recorder.await_complete(1)
    (file,) = recorder.files
    check_with_readers(file, incident["packets"] + incident["events"])
    fields = ["-e", "frame.interface_name", "-e", "frame.comment", "-e", "ip.src", "-e", "ip.dst"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-Y", 'frame.interface_name == "drops"', "-T", "fields", *fields],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    comments = [row[1] for row in rows]
    missing = [reason for reason, _ in staged if not any(comment.startswith(reason) for comment in comments)]
    assert not missing, "\n".join(sorted(set(comments)))
    assert all(client.ip4 in row[2] + row[3] for row in rows)
    assert any("at nft_do_chain" in comment or "at nf_hook_slow" in comment for comment in comments)
    sessions = [json.loads(line) for line in bicap("sessions", "--json", str(file)).stdout.splitlines()]
    of_port = {session["server_port"]: session for session in sessions if session["server"] == server.ip4}
    found = {port: (of_port[port]["drop_reason"], of_port[port]["drop_class"]) for port in (81, 90, 93, 94)}
    assert found == {
        81: ("NO_SOCKET", "nobody"), 90: ("SOCKET_RCVBUFF", "full"), 93: ("NETFILTER_DROP", "policy"),
        94: ("UDP_CSUM", "broken"),
    }  # fmt: skip
    assert of_port[82]["reset_reason"] == "NO_SOCKET"
    assert all(session["packets"] > 0 and session["interface"] == "veth-client" for session in sessions)
    assert of_port[90]["drops"] == counted_drops(rows, "SOCKET_RCVBUFF")
    words = bicap("sessions", "-n", "--filter", "port=93", str(file)).stdout
    assert "1 packet dropped on this node by NETFILTER_DROP (policy, packet" in words
    diagnosis = bicap("diagnose", str(file)).stdout
    assert "by NETFILTER_DROP (policy) at nft_do_chain: a rule of nftables or iptables drops it" in diagnosis
    number = of_port[93]["drop_packet"]
    (line,) = [one for one in bicap("read", str(file)).stdout.splitlines() if one.split()[0] == str(number)]
    assert " drops dropped NETFILTER_DROP (policy) at nft_do_chain" in line
    counted = {(one["what"], one["reason"]): one for one in incident["reasons"]["places"]}
    assert counted["dropped", "SOCKET_RCVBUFF"]["recorded"] >= 40


def test_a_capture_has_the_reasons_in_its_file_between_its_packets(node: PlainNode, tmp_path: Path) -> None:
    client, server, file = node.client, node.server, tmp_path / "capture.pcapng"
    run(*server.exec("iptables", "-w", "-A", "INPUT", "-p", "udp", "--dport", "93", "-j", "DROP"))
    words = ["capture", "-i", "veth-client", "--source", client.ip4, "--reasons", "-w", str(file)]
    with BackgroundProcess(file, words, node.exec()):
        for port in (93, 81, 93):
            inside(client, UDP.format(ip=server.ip4, port=port))
    summary = json.loads(Path(f"{file}.json").read_text())
    assert [interface["name"] for interface in summary["interfaces"]] == ["veth-client"]
    assert (summary["account"]["written"], summary["reasons"]["events"]) == (4, 3)
    check_with_readers(file, 4 + 3)
    fields = ["-e", "frame.interface_name", "-e", "udp.dstport", "-e", "frame.comment", "-e", "frame.time_epoch"]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-Y", "!icmp", "-T", "fields", *fields],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
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
