"""Each kind of trigger, for real: ordinary traffic does not fire it, and what it is about does."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from testbed.patience import wait_until
from testbed.recorder_process import RecorderProcess
from testbed.two_pods import PlainNode
from tests.e2e.kernel_objects import TC_ACT_SHOT, Stranger
from tests.e2e.staged_reasons import TwoEnds, prepared

QUESTION = bytes.fromhex("123401000001000000000000") + b"\3web\4shop\0\0\1\0\1"
"""A question of DNS for web.shop."""


def exchange(ends: TwoEnds, port: int, request: bytes, answer: bytes) -> None:
    out, accepted = ends.connected(port)
    out.sendall(request)
    accepted.recv(1 << 12)
    accepted.sendall(answer)
    out.recv(1 << 12)


def asked(ends: TwoEnds, code: int) -> None:
    resolver, out = (ends.opened(pod, kind=socket.SOCK_DGRAM) for pod in (ends.server, ends.client))
    resolver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    resolver.bind(("", 53))
    out.sendto(QUESTION, (ends.server.ip4, 53))
    _, client = resolver.recvfrom(1000)
    resolver.sendto(QUESTION[:2] + bytes([0x81, 0x80 | code]) + QUESTION[4:], client)
    out.recv(1000)
    resolver.close()


def paced(ends: TwoEnds, port: int, slow: int) -> None:
    """Thirty requests that are answered at once, and when these are outside the rule's time, some after 60 ms."""
    out, accepted = ends.connected(port)
    for number in range(30 + slow):
        if number == 30:
            time.sleep(2.1)
        out.sendall(b"question")
        accepted.recv(100)
        if number >= 30:
            time.sleep(0.06)  # this is what is measured
        accepted.sendall(b"answer")
        out.recv(100)


def ordinary(ends: TwoEnds) -> None:
    """All of it as it should be."""
    exchange(ends, 80, b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    asked(ends, 0)
    paced(ends, 8080, slow=0)


def refused(ends: TwoEnds) -> None:
    ends.opened(ends.client).connect_ex((ends.server.ip4, 115))


def unread(ends: TwoEnds) -> None:
    out, _ = ends.connected(118)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    out.setblocking(False)
    out.send(bytes(1 << 20))  # more than the receiver takes


def alerted(ends: TwoEnds) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="web.shop")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        exchange(ends, 443, outgoing.read(), bytes([21, 3, 3, 0, 2, 2, 40]))  # fatal, handshake_failure


def repeated(ends: TwoEnds) -> None:
    out, accepted = ends.connected(119)
    with closing(Stranger(TC_ACT_SHOT)) as stranger:
        stranger.link_on(ends.namespace(ends.server), ends.interface(ends.server), "ingress")
        out.sendall(b"lost, and sent again")
        wait_until(lambda: out.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 3)[2] > 0, lambda: "not sent again")
    accepted.recv(100)


SLOWER = "first_byte>3x in 2s"
"""Five answers have to be in its time: a busy machine may take 400 ms for each."""
REPEATED = "retransmitted>=1 in 10s per server"
Stage = Callable[[TwoEnds], None]
KINDS: list[tuple[Stage, set[str]]] = [
    (refused, {"handshake=refused", "rst>0", "reset-reason=NO_SOCKET", "finding=failed-handshake", "drop=nobody"}),
    (lambda ends: ends.datagrams(93), {"drop=policy"}),
    (lambda ends: ends.datagrams(81), {"icmp-error", "drop=nobody"}),
    (unread, {"zero_windows>=1"}),
    (lambda ends: exchange(ends, 8000, b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
     {"http_5xx>0"}),
    (alerted, {"tls-alert"}),
    (lambda ends: asked(ends, 3), {"dns=failed"}),
    (repeated, {REPEATED, "drop=policy"}),
    (lambda ends: paced(ends, 8081, slow=12), {SLOWER}),
]  # fmt: skip
RULES = sorted(set().union(*(rules for _, rules in KINDS)))


def of_sessions(rules: Iterable[str]) -> set[str]:
    """Those that only packets on the interface fire: events come from all namespaces, and so from other tests."""
    return {rule for rule in rules if not rule.startswith(("drop=", "reset-reason="))}


def words(rules: Iterable[str], after: str) -> list[str]:
    where = ["-i", "veth-client", "--protocol", "tcp", "--protocol", "udp", "--before", "1h"]
    return [*where, "--after", after, "--cooldown", "0", *(word for rule in rules for word in ("--trigger", rule))]


def rules_of(incidents: Iterable[Any]) -> set[str]:
    return {trigger["rule"] for incident in incidents if incident["complete"] for trigger in incident["triggers"]}


def test_each_kind_of_trigger_fires_for_what_it_is_about_and_for_nothing_else(
    node: PlainNode, tmp_path: Path
) -> None:
    sessions = of_sessions(RULES)
    events = set(RULES) - sessions
    with (
        prepared(node) as ends,
        RecorderProcess(tmp_path / "events", *words(events, "1h"), within=node.exec()) as of_events,
        RecorderProcess(tmp_path / "sessions", *words(sessions, "400ms"), within=node.exec()) as recorder,
    ):
        before = 0

        def fired() -> set[str]:
            return rules_of(recorder.summaries[before:])

        ordinary(ends)
        found: list[set[str]] = []
        for stage, rules in KINDS:
            expected = of_sessions(rules)
            stage(ends)
            wait_until(lambda: expected <= fired(), lambda: f"{expected - fired()}; {recorder.log()}")  # noqa: B023
            # A receiver without room drops what had been sent before its window closed, and that is sent again.
            found.append(fired() - ({REPEATED} if stage is unread else set()))
            before = len(recorder.files)
    assert found == [of_sessions(rules) for _, rules in KINDS]
    assert rules_of(of_events.summaries) == events
