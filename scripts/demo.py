"""Real traffic between two "pods" -> a capture file with its summary, and a report a person understands.

Run by scripts/demo.sh. Everything it makes is in namespaces that end with it.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.benchmark.process import BICAP
from capture.units import format_size
from testbed import two_pods
from testbed.patience import PATIENCE

ROUNDS = 3
SYN, SYN_ACK, ACK = 1, 2, 4  # bits of tshark's tcp.completeness
FIN_OR_RST, RST = 16 | 32, 32
CLOSED_PORT = 81
_KNOCK = "import socket, sys; sys.exit(socket.socket().connect_ex((sys.argv[1], int(sys.argv[2]))) == 0)"
"""Connects to a port where nobody listens; fails if somebody does."""
ECHO_REQUESTS, ECHO_REPLIES = {"8", "128"}, {"0", "129"}  # of ICMP and ICMPv6


@contextlib.contextmanager
def background(words: Sequence[str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with us: Ctrl-C reaches only us, and we end it; if we are killed, the kernel does."""
    tied = ["setpriv", "--pdeathsig", "TERM", *words]
    with subprocess.Popen(tied, start_new_session=True, text=True, **settings) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def serving(pod: two_pods.PlainPod) -> Iterator[None]:
    """The pod answers HTTP and UDP."""
    with background(two_pods.serve(pod), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        if server.stdout.readline() != "serving\n":
            raise RuntimeError("the server did not start")
        yield


@contextlib.contextmanager
def capturing(words: Sequence[str], ready: Path) -> Iterator[None]:
    """`bicap capture` catches packets; afterwards its file is complete."""
    with background([BICAP, *words, "--ready-file", str(ready)]) as process:
        give_up = time.monotonic() + PATIENCE
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("the capture did not start")
            time.sleep(0.01)
        yield
    if process.returncode != 0:
        raise RuntimeError("the capture failed")


def talk(client: two_pods.PlainPod, server: two_pods.PlainPod) -> None:
    """HTTP, UDP and pings over IPv4 and IPv6, several times; and once a connection that the server refuses."""
    for _ in range(ROUNDS):
        with background(two_pods.talk(client, server.ip4, server.ip6)) as talking:
            if talking.wait() != 0:
                raise RuntimeError("the server did not answer")
    with background(client.exec(sys.executable, "-c", _KNOCK, server.ip4, str(CLOSED_PORT))) as knocking:
        if knocking.wait() != 0:
            raise RuntimeError(f"somebody listens on port {CLOSED_PORT}")


@dataclass(frozen=True)
class Sessions:
    """What tshark finds in the file."""

    tcp: int
    handshakes: int
    closed: int
    refused: int
    udp: int
    pings: int
    answered: int


def sessions(file: Path) -> Sessions:
    """Conversations and pings in a capture file, as tshark sees them."""
    fields = ["tcp.stream", "tcp.completeness", "udp.stream", "icmp.type", "icmpv6.type"]
    # Two passes (-2): the completeness of a conversation is known when all of it was read.
    words = ["tshark", "-n", "-2", "-r", str(file), "-T", "fields", "-E", "separator=,"]
    shown = two_pods.run(*words, *(word for field in fields for word in ("-e", field)))
    tcp: dict[str, int] = {}
    udp, pings, answered = set(), 0, 0
    for line in shown.splitlines():
        tcp_stream, completeness, udp_stream, icmp, icmpv6 = line.split(",")
        if tcp_stream:
            tcp[tcp_stream] = tcp.get(tcp_stream, 0) | int(completeness)
        if udp_stream:
            udp.add(udp_stream)
        pings += (icmp or icmpv6) in ECHO_REQUESTS
        answered += (icmp or icmpv6) in ECHO_REPLIES
    shook = SYN | SYN_ACK | ACK
    return Sessions(
        tcp=len(tcp),
        handshakes=sum(bits & shook == shook for bits in tcp.values()),
        closed=sum(bits & shook == shook and bits & FIN_OR_RST != 0 for bits in tcp.values()),
        refused=sum(bits & (SYN_ACK | RST) == RST for bits in tcp.values()),
        udp=len(udp),
        pings=pings,
        answered=answered,
    )


def report(file: Path, summary: dict[str, Any], found: Sessions) -> str:
    """What happened, for a person."""
    account, ns = summary["account"], summary["cost"]["kernel_ns_per_packet"]
    cost = (
        "not measured: this kernel does not time programs" if ns is None else f"{ns:,.0f} ns per packet in the kernel"
    )

    def way(view: str) -> str:
        one = summary["view"][view]
        return f"{one['written']:>7,} packets  {format_size(one['written_bytes']):>10}"

    return f"""
  client -> server  {way("outbound")}
  server -> client  {way("inbound")}
  TCP      {found.tcp} sessions: {found.handshakes} with whole handshake (SYN, SYN-ACK, ACK), {found.closed} closed
           {found.refused} refused, on purpose
  UDP      {found.udp} sessions
  ping     {found.pings} requests, {found.answered} answered
  lost     {account["lost"]} of {account["matched"]:,} packets
  cost     {cost}

The packets are in {file.name}, their accounts in {file.name}.json. Open the file; in the page, the key n
shows what went wrong:

  {os.path.relpath(BICAP)} web {os.path.relpath(file)}
  wireshark {os.path.relpath(file)}
"""


def demo(file: Path) -> bool:
    """Make the pods, let them talk, capture, report: whether everything was caught."""
    with (
        tempfile.TemporaryDirectory(prefix="bicap-demo-") as folder,
        two_pods.two_pods("node") as node,
        serving(node.server),
    ):
        for name, pod in (("client", node.client), ("server", node.server)):
            print(f"demo: pod {name}: {pod.ip4}, {pod.ip6}; on the node it is {pod.veth}")
        capture = ["capture", "-i", node.client.veth, "--netns", node.netns, "-w", str(file)]
        print(f"demo: bicap {' '.join(capture)}", flush=True)
        with capturing([*capture, "-q"], Path(folder, "ready")):
            print("demo: HTTP, UDP and pings from client to server, IPv4 and IPv6", flush=True)
            talk(node.client, node.server)
    summary_file = Path(f"{file}.json")
    if "SUDO_UID" in os.environ:  # the person who called sudo wants to open the files
        for made in (file, summary_file):
            os.chown(made, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
    summary, found = json.loads(summary_file.read_text()), sessions(file)
    print(report(file, summary, found))
    whole = found.tcp == found.handshakes + found.refused and found.refused == 1 and found.pings == found.answered
    return summary["account"]["lost"] == 0 and whole


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        complete = demo(file)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except RuntimeError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(not complete)


if __name__ == "__main__":
    main()
