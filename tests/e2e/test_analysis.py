"""Real connections over a wire with known faults -> what bicap says of them, beside tshark and tcptrace."""

import json
import random
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.patience import first_in_line
from testbed.relay import (
    ADDRESSES,
    CLIENT,
    PASSES,
    SERVER,
    Fate,
    Policy,
    Wire,
    payload_bytes,
    tcp_flags,
    wire,
)
from testbed.tool import CaptureProcess, bicap
from testbed.two_pods import PlainNode, serve, talk

PORT = 7000
SYN, ACK, RST = 0x02, 0x10, 0x04
DELAYS_S = (0.005, 0.02)


def listen(on: Wire) -> socket.socket:
    return on.namespaces[SERVER].run(lambda: socket.create_server((ADDRESSES[SERVER], PORT)))


def connect(on: Wire, host: str = ADDRESSES[SERVER], port: int = PORT, timeout: float = 5) -> socket.socket:
    return on.namespaces[CLIENT].run(lambda: socket.create_connection((host, port), timeout=timeout))


def converse(on: Wire, requests: int = 3, answer: int = 20_000, think_s: float = 0.0) -> None:
    """One connection: requests of 50 bytes, and answers that come some time after.

    Both ends are first in line as the wire is: the time that they wait for a CPU would be theirs in the capture.
    """

    @first_in_line()
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(100):
                time.sleep(think_s)
                connection.sendall(bytes(answer))

    listener = listen(on)
    thread = threading.Thread(target=serve)
    thread.start()
    with first_in_line(), connect(on) as connection:
        for _ in range(requests):
            connection.sendall(b"x" * 50)
            left = answer
            while left:
                left -= len(connection.recv(left))
    thread.join()
    listener.close()


def sessions(file: Path, *words: str) -> list[Any]:
    done = bicap("sessions", "--json", *words, str(file))
    assert (done.code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def the_session(file: Path) -> Any:
    (only,) = sessions(file, "--filter", "protocol=tcp")
    return only


def tshark_count(file: Path, display_filter: str) -> int:
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-Y", display_filter, "-T", "fields", "-e", "frame.number"],
        capture_output=True,
        text=True,
        check=True,
    )
    return len(done.stdout.splitlines())


def tcptrace(file: Path) -> dict[str, tuple[int, int]]:
    """The counts of tcptrace's long output: (of clients, of servers), of all connections together."""
    done = subprocess.run(["tcptrace", "-lnr", str(file)], capture_output=True, text=True, check=True)
    pairs = re.findall(r"^ +([\w -]+):\s+(\d+)\s+\1:\s+(\d+)\s*$", done.stdout, re.MULTILINE)
    counts: dict[str, tuple[int, int]] = {}
    for name, one, other in pairs:
        before = counts.get(name, (0, 0))
        counts[name] = (before[0] + int(one), before[1] + int(other))
    return counts


def lossy(seed: int, share: float = 0.06) -> Policy:
    """A policy that gives a share of the server's data a fate, each fate equally often; the seed decides which."""
    chance = random.Random(seed)
    kinds = [
        Fate(lost_before=True),
        Fate(lost_after=True),
        Fate(repeated=True),
        Fate(held_before_s=0.004),
    ]

    def fate(frame: bytes, side: int, _: int) -> Fate:
        if side != SERVER or not payload_bytes(frame) or chance.random() > share:
            return PASSES
        return chance.choice(kinds)

    return fate


# What a wire, and two hosts on it, must do for each verdict.


def complete(on: Wire) -> None:
    converse(on, 1, 100)


def closed_port(on: Wire) -> None:
    with pytest.raises(ConnectionRefusedError):
        connect(on)


def in_vain(on: Wire) -> None:
    with listen(on), pytest.raises(TimeoutError):
        connect(on, timeout=1.5)


def silent_client(on: Wire) -> None:
    """Connects, and says nothing for longer than the server waits to repeat its SYN-ACK."""
    with listen(on), connect(on):
        time.sleep(1.5)


def half_open(on: Wire) -> None:
    """A SYN that the client's own kernel knows nothing of: it answers the SYN-ACK with RST."""

    def send() -> None:
        source, destination = (socket.inet_aton(address) for address in ADDRESSES)
        header = struct.pack("!HHIIBBHHH", 40_000, PORT, 1, 0, 5 << 4, SYN, 1024, 0, 0)
        total = sum(struct.unpack("!16H", source + destination + struct.pack("!HH", 6, 20) + header))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            raw.sendto(header[:16] + checksum + header[18:], (ADDRESSES[SERVER], 0))

    with listen(on):
        on.namespaces[CLIENT].run(send)
        time.sleep(0.3)


def reset_by_client(on: Wire) -> None:
    with listen(on), connect(on) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_by_server(on: Wire) -> None:
    with listen(on) as listener, connect(on):
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        time.sleep(0.1)


def seen_from_the_middle(on: Wire) -> None:
    on.recording = False
    with listen(on) as listener, connect(on) as connection:
        accepted, _ = listener.accept()
        time.sleep(0.2)
        on.recording = True
        with accepted:
            connection.sendall(b"more")
            accepted.sendall(accepted.recv(10))
            connection.recv(10)


def no_way(route: str) -> Callable[[Wire], None]:
    """The server's host routes, but not to there: `route` is what it does about that network."""

    def talk(on: Wire) -> None:
        def make_router() -> None:
            subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
            if route:
                subprocess.run(["ip", "route", "add", route, "10.79.0.0/16"], check=True)

        on.namespaces[SERVER].run(make_router)
        with pytest.raises(OSError, match=r"unreachable|No route|denied"):
            connect(on, "10.79.0.1")

    return talk


def loses(side: int, flags: int, mask: int, **how: bool) -> Policy:
    return lambda frame, sender, _: (
        Fate(**how) if sender == side and tcp_flags(frame) >= 0 and tcp_flags(frame) & mask == flags else PASSES
    )


def not_seen(side: int) -> Policy:
    return lambda _frame, sender, _number: Fate(unseen=sender == side)


VERDICTS = {
    "complete": (complete, None, "complete", r"complete \(packets 1, 2, 3\)"),
    "closed port": (closed_port, None, "refused", r"refused by RST after .* \(packets 1, 2\)"),
    "dropped SYN": (
        in_vain,
        loses(CLIENT, SYN, SYN, lost_after=True),
        "unanswered",
        r"SYN unanswered \(from packet 1, 1 retry over 1\.0 s\); the file does not say whether .*",
    ),
    "dropped SYN-ACK, before here": (
        in_vain,
        loses(SERVER, SYN, SYN, lost_before=True),
        "unanswered",
        r"SYN unanswered .*",
    ),
    "dropped SYN-ACK, behind here": (
        in_vain,
        loses(SERVER, SYN, SYN, lost_after=True),
        "unacknowledged",
        r"SYN-ACK sent [23] times, never acknowledged \(from packet 2\)",
    ),
    "dropped ACK, behind here": (
        silent_client,
        loses(CLIENT, ACK, SYN | ACK, lost_after=True),
        "ack-lost",
        r"acknowledged \(packet 3\), but the server repeats its SYN-ACK: the ACK was lost after this point",
    ),
    "dropped ACK, before here": (
        silent_client,
        loses(CLIENT, ACK, SYN | ACK, lost_before=True),
        "unacknowledged",
        r"SYN-ACK sent 2 times, never acknowledged \(from packet 2\)",
    ),
    "half-open": (half_open, None, "aborted", r"the client answered the SYN-ACK with RST \(packets 2, 3\)"),
    "reset by the client": (reset_by_client, None, "reset-at-once", r"complete, then reset by the client after .*"),
    "reset by the server": (reset_by_server, None, "reset-at-once", r"complete, then reset by the server after .*"),
    "begun before": (seen_from_the_middle, None, "started-before", r"started before the capture"),
    "no route": (
        no_way(""),
        None,
        "unreachable",
        rf"unreachable: destination-unreachable/network-unreachable from {ADDRESSES[SERVER]} \(packets 1, 2\)",
    ),
    "rejected": (
        no_way("prohibit"),
        None,
        "unreachable",
        rf"unreachable: destination-unreachable/administratively-prohibited from {ADDRESSES[SERVER]} .*",
    ),
    "host unreachable": (
        no_way("unreachable"),
        None,
        "unreachable",
        rf"unreachable: destination-unreachable/host-unreachable from {ADDRESSES[SERVER]} \(packets 1, 2\)",
    ),
    "server unseen": (complete, not_seen(SERVER), "not-captured", r"packets of the server are not in the file; .*"),
    "client unseen": (complete, not_seen(CLIENT), "not-captured", r"packets of the client are not in the file; .*"),
}  # fmt: skip


_FINDINGS = {"complete": [], "started-before": [], "not-captured": ["not-captured"]}
"""By verdict: what `bicap diagnose` finds, if that is no failed handshake."""


@pytest.mark.parametrize("case", VERDICTS)
def test_each_verdict_comes_from_its_real_situation(case: str, tmp_path: Path) -> None:
    talk, policy, verdict, words = VERDICTS[case]
    with wire(tmp_path / "file", policy or (lambda *_: PASSES)) as on:
        talk(on)
    found = the_session(tmp_path / "file")
    assert found["handshake"] == verdict
    assert re.fullmatch(words, found["handshake_words"]), found["handshake_words"]
    findings = json.loads(bicap("diagnose", "--json", str(tmp_path / "file")).stdout)["findings"]
    assert [finding["kind"] for finding in findings] == _FINDINGS.get(verdict, ["failed-handshake"])


def test_packets_and_bytes_each_way_are_tsharks(tmp_path: Path) -> None:
    with wire(tmp_path / "file", lossy(1), DELAYS_S) as on:
        for _ in range(3):
            converse(on, 2, 100_000)
    done = subprocess.run(
        ["tshark", "-n", "-r", str(tmp_path / "file"), "-T", "fields"]
        + [word for field in ("tcp.stream", "tcp.dstport", "frame.len") for word in ("-e", field)],
        capture_output=True,
        text=True,
        check=True,
    )
    expected: dict[int, list[int]] = {}
    for line in done.stdout.splitlines():
        stream, to, length = map(int, line.split())
        counts = expected.setdefault(stream, [0, 0, 0, 0])
        counts[2 * (to != PORT)] += 1
        counts[2 * (to != PORT) + 1] += length
    names = ("client_packets", "client_bytes", "server_packets", "server_bytes")
    assert [[found[name] for name in names] for found in sessions(tmp_path / "file")] == list(expected.values())


@pytest.mark.parametrize("seed", range(3))
def test_losses_are_placed_and_retransmissions_are_tcptraces(seed: int, tmp_path: Path) -> None:
    """All faults of the wire in the server's data are found, except two losses of the same bytes in a row."""
    with wire(tmp_path / "file", lossy(seed), DELAYS_S) as on:
        converse(on, 3, 200_000)
    found, theirs, did = the_session(tmp_path / "file"), tcptrace(tmp_path / "file"), on.counts
    # tcptrace calls bytes that it has seen before "rexmt", and what fills a hole "outoforder"; a second copy of an IP
    # packet is "rexmt" to it.
    seen_twice = found["server_retransmitted"] - found["server_lost_before"] + found["server_duplicated"]
    assert seen_twice == theirs["rexmt data pkts"][1]
    assert found["server_lost_before"] + found["server_reordered"] == theirs["outoforder pkts"][1]
    assert found["server_data_packets"] == theirs["actual data pkts"][1]
    assert found["server_payload"] == theirs["actual data bytes"][1]
    assert found["server_duplicated"] == did["repeated_server"]
    assert found["server_lost_before"] <= did["lost_before_server"] <= found["server_lost_before"] + 3
    assert found["server_reordered"] <= did["held_server"]


@pytest.mark.parametrize("seed", range(2))
def test_packets_are_marked_that_tshark_marks(seed: int, tmp_path: Path) -> None:
    with wire(tmp_path / "file", lossy(seed), delays_s=DELAYS_S) as on:
        converse(on, 3, 150_000)
    done = bicap("read", "--json", "--anomalies", str(tmp_path / "file"))
    ours = {one["number"]: one["marks"] for one in map(json.loads, done.stdout.splitlines())}
    words = ("retransmission", "out of order", "copy")
    again = {number for number, marks in ours.items() if any(mark.startswith(words) for mark in marks)}
    theirs = "tcp.analysis.retransmission || tcp.analysis.out_of_order"
    words = ["tshark", "-n", "-r", str(tmp_path / "file"), "-Y", theirs, "-T", "fields", "-e", "frame.number"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True)
    assert again == set(map(int, shown.stdout.split()))
    assert len(again) > 3
    lost = {number for number, marks in ours.items() if "retransmission of what was lost before this point" in marks}
    assert 0 < len(lost) == sum(one[side] for one in sessions(tmp_path / "file") for side in BEFORE)


BEFORE = ("client_lost_before", "server_lost_before")


def test_round_trips_are_tcptraces_where_none_is_ambiguous(tmp_path: Path) -> None:
    with wire(tmp_path / "file", delays_s=DELAYS_S) as on:
        converse(on, 5, 10_000)
    samples = bicap("latency", "--json", str(tmp_path / "file"))
    by = {(one["measure"], one["side"]): one for one in json.loads(samples.stdout)["measures"]}
    kinds = ("acknowledgment", "piggyback")
    of_client, of_server = (
        sum(one["count"] for (measure, side), one in by.items() if side == end and measure in kinds)
        for end in ("client", "server")
    )
    # tcptrace samples SYN and SYN-ACK too, which are in "handshake" here. Its columns are the sender's.
    assert (of_server + 1, of_client + 1) == tcptrace(tmp_path / "file")["RTT samples"]


@pytest.mark.parametrize("delays_s", [(0.01, 0.04), (0.04, 0.01)], ids=["server far", "client far"])
def test_a_delay_is_found_on_its_side_within_5_percent_with_loss_present(
    delays_s: tuple[float, float], tmp_path: Path
) -> None:
    with wire(tmp_path / "file", lossy(7, 0.03), delays_s) as on:
        converse(on, 20, 40_000)
    report = json.loads(bicap("latency", "--json", str(tmp_path / "file")).stdout)
    median = {(one["measure"], one["side"]): one["median_ns"] / 1e9 for one in report["measures"]}
    client, server = (2 * delay for delay in delays_s)
    assert median["acknowledgment", "client"] == pytest.approx(client, rel=0.05)
    assert median["timestamp", "client"] == pytest.approx(client, rel=0.05)
    assert median["handshake", "server"] == pytest.approx(server, rel=0.05)
    assert median["first_byte", "server"] == pytest.approx(server, rel=0.05)
    side = "server" if server > client else "client"
    assert re.match(rf"(7[5-9]|8[0-5])% of the wait is on the {side} side", report["sentence"]), report["sentence"]


def test_a_retransmitted_segment_gives_no_round_trip(tmp_path: Path) -> None:
    """One lost request: Wireshark's ack_rtt is the retransmission timeout and more, ours is not there."""
    lost: list[bytes] = []

    def once(frame: bytes, side: int, _: int) -> Fate:
        if side == CLIENT and payload_bytes(frame) and not lost:
            lost.append(frame)
            return Fate(lost_after=True)
        return PASSES

    with wire(tmp_path / "file", once, DELAYS_S) as on:
        converse(on, 1, 100)
    found = the_session(tmp_path / "file")
    assert (found["client_retransmitted"], found["client_lost_before"]) == (1, 0)
    assert (found["server_rtt_ambiguous"], found["server_rtt_max_ns"] < 60_000_000) == (1, True)
    assert tshark_count(tmp_path / "file", "tcp.analysis.ack_rtt > 0.2") == 1


def test_a_capture_of_our_own_with_super_packets_fragments_and_pings(node: PlainNode, tmp_path: Path) -> None:
    file = tmp_path / "pods.pcapng"
    server = subprocess.Popen(serve(node.server), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "serving\n"
        with CaptureProcess(file, "-i", node.client.veth, within=node.exec()):
            subprocess.run(talk(node.client, node.server.ip4, node.server.ip6), check=True)
    finally:
        server.kill()
        server.communicate()
    found = sessions(file)
    web = [one for one in found if one["server_port"] == 80]
    assert [one["handshake"] for one in web] == ["complete", "complete"]
    assert [one["close"] for one in web] == ["fin", "fin"]
    assert {one["interface"] for one in found} == {node.client.veth}
    for one in web:
        assert one["server_payload"] > 1 << 20
        assert one["server_bytes"] / one["server_packets"] > 1514
        assert (one["server_not_captured"], one["requests"]) == (0, 1)
    # On two CPUs a super-packet is overtaken now and then, and sent again in vain. That takes less than a tick of
    # the timestamps and as long as a round trip: which of both it was cannot be told, but that there were so many.
    theirs = tcptrace(file)
    late = sum(one["retransmitted"] + one["client_reordered"] + one["server_reordered"] for one in web)
    assert late == sum(theirs["rexmt data pkts"]) + sum(theirs["outoforder pkts"])
    echoes = [one for one in found if one["protocol"] in ("icmp", "icmpv6") and one["requests"]]
    assert [(one["requests"], one["unanswered"]) for one in echoes] == [(3, 0)] * 4
    assert [one["client_packets"] for one in echoes] == [3, 9, 3, 9]  # 3,000 bytes are three fragments
    in_all = subprocess.run(["capinfos", "-Mrc", "-T", str(file)], capture_output=True, text=True, check=True)
    no_ip = tshark_count(file, "not ip and not ipv6")
    assert sum(one["packets"] for one in found) == int(in_all.stdout.split()[-1]) - no_ip
