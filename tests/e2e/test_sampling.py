"""Sampling on live traffic: rates over seconds, accounts that add up in every combination, conversations kept whole,
and what is left out while rings are full, told in the file and in the summary.
"""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from capture.benchmark.senders import BATCH, FlowSender, XdpSender
from capture.benchmark.veth_pair import VethPair
from testbed import packets
from testbed.patience import PATIENCE, calm_sleep, wait_until
from testbed.tool import CaptureProcess, Packets, assert_adds_up, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode, serve
from tests.conftest import SEED
from tests.e2e.veth_load import transmit
from tests.kernel.sampler_runs import Conversations, TupleEnds

HEADERS = 42
"""Bytes of headers of a UDP packet over IPv4."""


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def udp(size: int) -> bytes:
    return packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(i % 251 for i in range(size - HEADERS)))


def flood(link: VethPair, frame: bytes, cpus: Sequence[int], seconds: float, at_once: int) -> None:
    """Let vb receive as much as each of the CPUs can send, for so long; calls of `at_once` have pauses in between."""
    until = time.monotonic() + seconds

    def send(cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})
        sender = XdpSender(link.va, frame)
        while time.monotonic() < until:
            sender.send(at_once)
        sender.close()

    threads = [threading.Thread(target=link.namespace.run, args=(lambda cpu=cpu: send(cpu),)) for cpu in cpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


BURST_NS = 50_000_000
"""Time that an idle bucket saves up."""


def seconds_with_traffic(file: Path) -> float:
    """How long there was something to take, by a thin sample of it: other work on the machine can stop a sender.

    A pause counts as far as a bucket makes up for it.
    """
    gaps = np.diff(read_pcapng(file).times)
    return float(np.minimum(gaps, BURST_NS).sum()) / 1e9


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_rate_holds_within_5_percent_over_5_seconds(link: VethPair, tmp_path: Path, cpus: int) -> None:
    """Packets and bits, each in a capture of its own. What the bucket has saved up at first is 1 % of the time."""
    size, pps, bits = 500, 20_000, 50_000_000
    where = ["-i", "vb", "--netns", link.netns]
    with (
        CaptureProcess(tmp_path / "p.pcapng", *where, "-s", "64", "--sample", f"rate:{pps}pps") as by_packets,
        CaptureProcess(tmp_path / "b.pcapng", *where, "--sample", "rate:50mbit") as by_bits,
        CaptureProcess(tmp_path / "thin.pcapng", *where, "-s", "64", "--sample", "packet:1/500") as thin,
    ):
        flood(link, udp(size), sorted(os.sched_getaffinity(0))[:cpus], 5, at_once=1 << 18)
    received, _ = link.counters("vb")
    seconds = seconds_with_traffic(thin.file)
    assert received > 3 * pps * seconds > 3 * pps * 2, "too little was sent to tell"
    for capture in (by_packets, by_bits):
        account = capture.summary["account"]
        assert_adds_up(account)
        assert (account["seen"], account["lost"]) == (received, 0)
        assert account["written"] + account["sampled_by"]["rate"] == received
    assert by_packets.summary["account"]["written"] / seconds == pytest.approx(pps, rel=0.05)
    assert by_bits.summary["account"]["written_bytes"] * 8 / seconds == pytest.approx(bits, rel=0.05)


SAMPLERS = ("flow:1/2", "flow:10%", "packet:1/3", "reverse=packet:1/2", "first:20", "reverse=first:5",
            "rate:20000pps", "forward=rate:5mbit", "rate:100mbit")  # fmt: skip
MATCHING = ((), (), ("--source", "10.0.0.0/9"), ("udp and not src port 1030",))
MEASURES = ("truncate", "sample", "truncate,sample", "sample,truncate", "lose")


def random_options(random: Random) -> list[str]:
    """Any options that go together."""
    options = ["--sample-seed", str(random.getrandbits(64))]
    for sampler in random.sample(SAMPLERS, random.choice((0, 1, 1, 2, 3))):
        options += ["--sample", sampler]
    ways = random.choice((("forward", "reverse"), ("forward", "reverse"), ("forward",), ("reverse",)))
    if len(ways) == 1:
        options += ["--direction", ways[0]]
    if random.random() < 0.4:
        limit = random.choice(("-c", *(f"--count-{way}" for way in ways)))
        options += [limit, str(random.randrange(1, 30_000))]
    maybe = (
        (0.3, ["--max-bytes", f"{random.randrange(100, 20_000)}KiB"]),
        (0.4, ["-C", f"{random.randrange(300, 3000)}KiB"]),
        (0.4, ["--on-pressure", random.choice(MEASURES)]),
        (0.5, ["--buffer", "256KiB"]),
        (0.3, ["--compress", "zstd"]),
        (0.2, ["--headers-only"]),
        (0.2, ["-s", "100"]),
        (0.3, ["--no-keep-control"]),
    )
    for likely, words in maybe:
        options += words if random.random() < likely else []
    return [*options, *random.choice(MATCHING)]


def both_ways(link: VethPair, seconds: float) -> None:
    """vb receives packets of a thousand conversations and sends those of one, for so long."""

    def there() -> None:
        sender = FlowSender(link.va, udp(300), flows=1000)
        while time.monotonic() < until:
            sender.send(16 * BATCH)
        sender.close()

    def back() -> None:
        while time.monotonic() < until:
            transmit(link, 4096)

    until = time.monotonic() + seconds
    threads = [threading.Thread(target=link.namespace.run, args=(there,)), threading.Thread(target=back)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ZSTD = b"\x28\xb5\x2f\xfd"


def everything_in(capture: CaptureProcess, folder: Path) -> list[Packets]:
    """All its files, which others can read."""
    found = []
    for number, file in enumerate(capture.summary["files"]):
        path = Path(file["path"])
        if path.read_bytes()[:4] == ZSTD:
            plain = folder / f"{capture.file.stem}-{number}.plain"
            plain.write_bytes(subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout)
            path = plain
        found.append(read_pcapng(path))
    return found


@pytest.mark.random
@pytest.mark.parametrize("turn", range(2))
def test_accounts_add_up_for_any_request(link: VethPair, tmp_path: Path, turn: int) -> None:
    """seen is what the interface counted; written is what is in the files; between them nothing is missing."""
    random = Random(f"{SEED} live {turn}")
    asked = [random_options(random) for _ in range(6)]
    with ExitStack() as stack:
        captures = [
            stack.enter_context(
                CaptureProcess(tmp_path / f"{number}.pcapng", "-i", "vb", "--netns", link.netns, *options)
            )
            for number, options in enumerate(asked)
        ]
        both_ways(link, 1)
    passed = sum(link.counters("vb"))
    for capture, options in zip(captures, asked, strict=True):
        said = f"seed {SEED}: {' '.join(options)}\n{capture.log()}"
        assert capture.process.returncode == 0, said
        summary = capture.summary
        account = summary["account"]
        assert_adds_up(account)
        for one in (account["forward"], account["reverse"]):
            assert one["matched"] == one["written"] + one["sampled_out"] + one["over_limit"] + one["lost"], said
            assert one["sampled_out"] == sum(one["sampled_by"].values()), said
        if summary["end_reason"] == "ended by SIGINT":
            assert account["seen"] == passed, said
            assert account["over_limit"] == 0, said
        else:
            assert account["seen"] <= passed, said
        assert_limits(options, summary, said)
        assert_written(everything_in(capture, tmp_path), summary, said)


def test_packets_waiting_for_a_full_ring_when_a_limit_is_reached_are_accounted_for(
    link: VethPair, tmp_path: Path
) -> None:
    options = ["-c", "1000", "--buffer", "256KiB"]
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, *options, stop=False) as capture:
        os.kill(capture.process.pid, signal.SIGSTOP)  # so that it reads nothing before its rings are full
        flood(link, udp(64), sorted(os.sched_getaffinity(0)), 0.1, at_once=1 << 15)
        os.kill(capture.process.pid, signal.SIGCONT)
        capture.process.wait(60)
    assert capture.process.returncode == 0, capture.log()
    account = capture.summary["account"]
    assert_adds_up(account)
    assert account["written"] == 1000
    assert account["lost_by"]["ring_full"] > 0


def assert_limits(options: list[str], summary: Any, said: str) -> None:
    """Exact where they ended it, and never passed."""
    account, reason = summary["account"], summary["end_reason"]
    for option, written, ended in (
        ("-c", account["written"], "count reached"),
        ("--count-forward", account["forward"]["written"], "count of forward packets reached"),
        ("--count-reverse", account["reverse"]["written"], "count of reverse packets reached"),
    ):
        limit = int(options[options.index(option) + 1]) if option in options else None
        assert limit is None or written <= limit, said
        assert (written == limit) == (reason == ended), said
    if "--max-bytes" in options:
        limit = int(options[options.index("--max-bytes") + 1].removesuffix("KiB")) << 10
        assert summary["file_bytes"] <= limit, said


def assert_written(files: list[Packets], summary: Any, said: str) -> None:
    """The packets of all files are those of the account, by side, with their bytes, cut as it says."""
    account = summary["account"]
    sides = Counter(flags & 3 for file in files for flags in file.flags)
    sizes = [len(data) for file in files for data in file.data]
    assert len(sizes) == account["written"], said
    assert sum(sizes) == account["written_bytes"], said
    assert sides[1] == summary["view"]["inbound"]["written"], said
    assert sides[2] == summary["view"]["outbound"]["written"], said
    if not summary["spec"]["rules"] and "expression" not in summary["spec"]:
        assert (sides[2], sides[1]) == (account["forward"]["written"], account["reverse"]["written"]), said
    if summary["spec"]["snaplen"] > 1000:
        short = sum(
            len(data) < length for file in files for data, length in zip(file.data, file.lengths, strict=True)
        )
        if summary["spec"]["headers_only"]:
            assert (short, account["cut"]) == (len(sizes), 0), said
        else:  # of the cut ones, too, some are lost or over the limit
            assert short <= account["cut"] <= short + account["lost"] + account["over_limit"], said


FETCH = """
import sys, urllib.request
for _ in range(int(sys.argv[1])):
    for host in sys.argv[2:]:
        assert len(urllib.request.urlopen(f"http://{host}/", timeout=100).read()) == 1 << 20
"""
SYN, SYN_ACK, CONTROL = 0x02, 0x12, 0x07


def test_http_conversations_are_kept_whole_or_only_their_control_packets(node: PlainNode, tmp_path: Path) -> None:
    where = ["-i", node.client.veth]
    times = 15
    with (
        subprocess.Popen(serve(node.server), stdout=subprocess.PIPE, text=True) as server,
        CaptureProcess(tmp_path / "all.pcapng", *where, within=node.exec()) as everything,
        CaptureProcess(tmp_path / "half.pcapng", *where, "--sample", "flow:50%", within=node.exec()) as half,
    ):
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "serving\n"
            hosts = [node.server.ip4, f"[{node.server.ip6}]"]
            fetch = node.client.exec(sys.executable, "-c", FETCH, str(times), *hosts)
            subprocess.run(fetch, check=True, timeout=PATIENCE)
            time.sleep(0.2)
        finally:
            server.kill()
    whole, found = by_conversation(everything.file), by_conversation(half.file)
    assert len(whole) == 2 * times
    assert whole.keys() == found.keys(), "a conversation without its SYN"
    for ends, frames in whole.items():
        mine = bool(as_numbers(ends).in_share(Fraction(1, 2))[0])
        expected = [frame for frame in frames if mine or tcp_flags(frame) & CONTROL]
        assert found[ends] == expected, ends
    shown = subprocess.run(
        ["tshark", "-n", "-r", str(half.file), "-Y", "tcp", "-T", "fields", *("-e", "tcp.stream"),
         *("-e", "tcp.flags", "-e", "tcp.dstport", "-e", "tcp.len")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    streams: dict[str, list[list[str]]] = defaultdict(list)
    for line in shown.splitlines():
        streams[line.split("\t")[0]].append(line.split("\t")[1:])
    assert len(streams) == 2 * times
    only_control = 0
    for packets_of_it in streams.values():
        flags = [int(flags, 16) for flags, *_ in packets_of_it]
        assert flags.count(SYN) == flags.count(SYN_ACK) == 1
        if all(one & CONTROL for one in flags):
            only_control += 1
        else:
            sent = sum(int(length) for _, port, length in packets_of_it if port == "80")
            answered = sum(int(length) for _, port, length in packets_of_it if port != "80")
            assert sent > 0
            assert answered > 1 << 20
    assert 0 < only_control < 2 * times
    account = half.summary["account"]
    assert_adds_up(account)
    assert account["sampled_by"]["flow"] == account["sampled_out"] == account["matched"] - account["written"] > 0
    check_with_readers(half.file, account["written"])


End = tuple[bytes, int]


def by_conversation(file: Path) -> dict[frozenset[End], list[bytes]]:
    """The frames of each TCP conversation, sorted: two captures may see those of two CPUs in either order."""
    found: dict[frozenset[End], list[bytes]] = defaultdict(list)
    for frame in read_pcapng(file).data:
        size, at = (4, 26) if frame[12:14] == b"\x08\x00" else (16, 22)
        if (frame[23] if size == 4 else frame[20]) == packets.TCP:
            source, destination, ports = frame[at : at + size], frame[at + size : at + 2 * size], at + 2 * size
            ends = [(source, int.from_bytes(frame[ports : ports + 2], "big"))]
            ends.append((destination, int.from_bytes(frame[ports + 2 : ports + 4], "big")))
            found[frozenset(ends)].append(frame)
    return {ends: sorted(frames) for ends, frames in found.items()}


def tcp_flags(frame: bytes) -> int:
    return frame[47 if frame[12:14] == b"\x08\x00" else 67]


def as_numbers(ends: frozenset[End]) -> Conversations:
    def end(address: bytes, port: int) -> TupleEnds:
        number = int.from_bytes(address, "big")
        return TupleEnds(*(np.array([n], np.uint64) for n in (number >> 64, number & (1 << 64) - 1, port)))

    a, b = sorted(ends)
    return Conversations(4 if len(a[0]) == 4 else 6, packets.TCP, end(*a), end(*b))


def comments(file: Path) -> list[str]:
    """The comment of each Interface Statistics Block."""
    raw = file.read_bytes()
    at, found = 0, []
    while at < len(raw):
        kind, total = (int.from_bytes(raw[at + i : at + i + 4], sys.byteorder) for i in (0, 4))
        if kind == 5:
            code, length = (int.from_bytes(raw[at + 20 + i : at + 22 + i], sys.byteorder) for i in (0, 2))
            found.append(raw[at + 24 : at + 24 + length].decode() if code == 1 else "")
        at += total
    return found


def test_under_pressure_payload_goes_first_and_then_conversations(link: VethPair, tmp_path: Path) -> None:
    """The reader stands still, as on a slow disk, while three times more comes than its rings hold."""
    options = ["--on-pressure", "truncate,sample", "--buffer", "256KiB"]
    began = time.time_ns()
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, *options) as capture:
        capture.process.send_signal(signal.SIGSTOP)
        sender = FlowSender(link.va, udp(1000), flows=1000)
        link.namespace.run(lambda: sender.send(40 * BATCH))
        sender.close()
        capture.process.send_signal(signal.SIGCONT)
    summary, found = capture.summary, read_pcapng(capture.file)
    account = summary["account"]
    assert_adds_up(account)
    assert account["seen"] == link.counters("vb")[0]
    assert account["sampled_by"]["pressure"] > 0
    lengths = [len(data) for data in found.data]
    assert set(lengths) == {HEADERS, 1000}
    first_cut = lengths.index(HEADERS)
    assert set(lengths[:first_cut]) == {1000}
    assert lengths.count(HEADERS) <= account["cut"] <= lengths.count(HEADERS) + account["lost"]
    assert account["cut_bytes"] == account["cut"] * (1000 - HEADERS)
    assert set(found.lengths) == {1000}
    change = summary["pressure"][0]
    assert change["level"] >= 1
    assert began < change["at_ns"] < time.time_ns()
    assert "headers only" in change["kept"]
    (comment,) = comments(capture.file)
    assert f"sampled out by pressure {account['sampled_by']['pressure']}" in comment
    assert f"without payload {account['cut']} ({account['cut_bytes']} bytes left out)" in comment
    assert "under pressure: " in comment
    assert change["kept"] in comment
    shown = subprocess.run(
        ["tshark", "-n", "-X", "read_format:MIME Files Format", "-r", str(capture.file), "-V"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert comment[:100] in shown  # it shows no more of a long one
    assert "rings filled" in capture.log()
    assert change["kept"] in capture.log()
    check_with_readers(capture.file, account["written"])


def test_when_it_is_calm_again_packets_are_whole_again(link: VethPair, tmp_path: Path) -> None:
    options = ["--on-pressure", "truncate", "--buffer", "256KiB"]
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, *options) as capture:
        sender = XdpSender(link.va, udp(1000))
        link.namespace.run(lambda: sender.send(16))
        capture.process.send_signal(signal.SIGSTOP)
        link.namespace.run(lambda: sender.send(2048))
        capture.process.send_signal(signal.SIGCONT)

        def whole() -> bool:
            before = capture.file.stat().st_size
            link.namespace.run(lambda: sender.send(16))
            calm_sleep(0.5)  # until they are written
            return capture.file.stat().st_size - before == 16 * (28 + 1000 + 16)

        wait_until(whole)
        sender.close()
    lengths = [len(data) for data in read_pcapng(capture.file).data]
    assert [length for length, _ in itertools.groupby(lengths)] == [1000, HEADERS, 1000]
    assert lengths[-16:] == [1000] * 16
    changes = capture.summary["pressure"]
    assert [change["level"] for change in changes] == [1, 0]
    assert [change["kept"] for change in changes] == ["headers only", "everything again"]
    assert changes[1]["at_ns"] - changes[0]["at_ns"] >= 10**9
    assert "everything again" in comments(capture.file)[0]
