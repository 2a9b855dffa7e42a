"""Situations between two pods in which the kernel drops a packet or resets a connection, each with what it must say.

Sockets are made inside the namespaces by this process, so a situation costs no process of its own. Each has a port of
its own at the server, by which its session is found.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from capture.kernel import syscall
from capture.kernel.netns import Namespace
from testbed import packets
from testbed.packets import ACK, SYN
from testbed.patience import wait_until
from testbed.two_pods import PlainNode, PlainPod, run
from tests.e2e.kernel_objects import TC_ACT_SHOT, Stranger

FOREIGN, BY_HAND = "198.18.0.9", "10.77.0.50"
"""A source that the server routes elsewhere; one behind the client whose connections no kernel knows of."""
BEHIND, TOO_SMALL, BLACKHOLE = "198.51.100.1", "203.0.113.2", "192.0.2.129"
"""Destinations behind the server: loopback, an MTU of 1,000, a blackhole."""
_SO_ATTACH_FILTER = 26
_TCP_LINGER2 = 8
_FIN_WAIT2 = 5
_XDP_DROP_CODE = struct.pack("=BBhi", 0xB7, 0, 0, 1) + struct.pack("=BBhi", 0x95, 0, 0, 0)
_XDP_SKB_MODE = 2


@dataclass(frozen=True)
class StagedReason:
    """What is done, what the event's comment begins with, and the server's port if a session must be joined."""

    says: str
    stage: Callable[["TwoEnds"], None]
    port: int | None = None


class TwoEnds:
    """Sockets in the namespaces of both pods."""

    def __init__(self, node: PlainNode, stack: ExitStack) -> None:
        self.client, self.server = node.client, node.server
        self._stack = stack
        self._namespaces = {
            pod.netns: stack.enter_context(closing(Namespace(pod.netns))) for pod in (node.client, node.server)
        }
        self._wire = self.opened(node.client, socket.AF_PACKET, socket.SOCK_RAW)
        self._wire.bind(("eth0", 3))
        self._wire.settimeout(10)

    def opened(self, pod: PlainPod, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket in a pod, open until the end."""
        made = self._namespaces[pod.netns].run(lambda: socket.socket(family, kind))
        made.settimeout(10)
        return self._stack.enter_context(made)

    def namespace(self, pod: PlainPod) -> Namespace:
        """Return the namespace of a pod."""
        return self._namespaces[pod.netns]

    def interface(self, pod: PlainPod) -> int:
        """Return the index of a pod's eth0."""
        return self.namespace(pod).run(lambda: socket.if_nametoindex("eth0"))

    def datagrams(self, port: int, count: int = 1, to: str | None = None, size: int = 20) -> None:
        """Send from the client."""
        out = self.opened(self.client, kind=socket.SOCK_DGRAM)
        for _ in range(count):
            out.sendto(bytes(size), (to or self.server.ip4, port))

    def receiver(self, port: int) -> socket.socket:
        """Return a socket of UDP that nobody reads."""
        made = self.opened(self.server, kind=socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        made.bind(("", port))
        return made

    def listener(self, port: int, backlog: int = 8) -> socket.socket:
        """Return a listening socket of the server."""
        made = self.opened(self.server)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", port))
        made.listen(backlog)
        return made

    def connected(self, port: int) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a connection: the client's, the server's."""
        listener, out = self.listener(port), self.opened(self.client)
        out.connect((self.server.ip4, port))
        return out, self._stack.enter_context(listener.accept()[0])

    def frame(self, frame: bytes, checksum: bool = True, receiver: str | None = None) -> None:
        """Send a frame from the client's interface, with the checksum of its IPv4 header unless it shall be wrong."""
        macs = bytes.fromhex(((receiver or self.server.mac) + self.client.mac).replace(":", ""))
        self._wire.send(macs + (packets.with_checksum(frame) if checksum else frame)[12:])

    def half_open(self, source: int, port: int) -> int:
        """Send a SYN by hand, and return the number of the SYN-ACK."""
        self.frame(tcp_checksummed(packets.tcp(BY_HAND, source, self.server.ip4, port, SYN, sequence=100)))
        while True:
            answer = self._wire.recv(200)
            if answer[23:24] == b"\x06" and answer[34:38] == struct.pack("!HH", port, source) and answer[47] == 0x12:
                return int.from_bytes(answer[38:42], "big")


def tcp_checksummed(frame: bytes) -> bytes:
    """Return an IPv4 frame of TCP with a right checksum behind the IP header."""
    body = frame[34:50] + b"\0\0" + frame[52:]
    pseudo = frame[26:34] + struct.pack("!HH", 6, len(body)) + body + bytes(len(body) % 2)
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return frame[:50] + struct.pack("!H", total ^ 0xFFFF) + frame[52:]


def _udp(ends: TwoEnds, port: int, destination: str | None = None, payload: bytes = b"some") -> bytes:
    return packets.udp(ends.client.ip4, 4000, destination or ends.server.ip4, port, payload)


def _full_buffer(ends: TwoEnds) -> None:
    ends.receiver(90)
    ends.datagrams(90, count=50, size=1000)


def _refusing_filter(ends: TwoEnds) -> None:
    nothing = struct.pack("=HBBI", 6, 0, 0, 0)  # ret #0
    keep = bytearray(nothing)
    address = (ctypes.c_char * len(keep)).from_buffer(keep)
    program = struct.pack("@HP", 1, ctypes.addressof(address))
    ends.receiver(98).setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    ends.datagrams(98)


def _tc_drop(ends: TwoEnds) -> None:
    with closing(Stranger(TC_ACT_SHOT)) as stranger:
        stranger.link_on(ends.namespace(ends.server), ends.interface(ends.server), "ingress")
        ends.datagrams(97)


def _tc_drop_on_the_way_out(ends: TwoEnds) -> None:
    with closing(Stranger(TC_ACT_SHOT)) as stranger:
        stranger.link_on(ends.namespace(ends.client), ends.interface(ends.client), "egress")
        ends.datagrams(99)


def _xdp_drop(ends: TwoEnds) -> None:
    program = syscall.prog_load(_XDP_DROP_CODE, "drops_all", syscall.XDP)
    interface = ends.interface(ends.server)
    try:
        link = ends.namespace(ends.server).run(lambda: syscall.xdp_attach(program, interface, _XDP_SKB_MODE))
        ends.datagrams(100)
        os.close(link)
    finally:
        os.close(program)


def _wrong_tcp_checksum(ends: TwoEnds) -> None:
    frame = bytearray(packets.tcp(ends.client.ip4, 4000, ends.server.ip4, 101))
    frame[50:52] = b"\x12\x34"
    ends.frame(bytes(frame))


def _wrong_udp_checksum(ends: TwoEnds) -> None:
    frame = bytearray(_udp(ends, 94))
    frame[40:42] = b"\x12\x34"
    ends.frame(bytes(frame))


def _wrong_ip_checksum(ends: TwoEnds) -> None:
    frame = bytearray(_udp(ends, 102))
    frame[24:26] = b"\x12\x34"
    ends.frame(bytes(frame), checksum=False)


def _last_hop(ends: TwoEnds) -> None:
    frame = bytearray(_udp(ends, 103, BEHIND))
    frame[22] = 1
    ends.frame(bytes(frame))


def _third_packets(ends: TwoEnds, port: int) -> None:
    """Open two connections by hand as far as their SYN-ACKs, and then send the ACKs of both."""
    halves = [(source, ends.half_open(source, port)) for source in (5001, 5002)]
    for source, number in halves:
        third = packets.tcp(BY_HAND, source, ends.server.ip4, port, ACK, sequence=101, acknowledgment=number + 1)
        ends.frame(tcp_checksummed(third))


def _accept_queue(ends: TwoEnds) -> None:
    ends.listener(104, backlog=2)
    for _ in range(2):
        ends.opened(ends.client).connect((ends.server.ip4, 104))
    _third_packets(ends, 104)


def _accept_queue_behind_cookies(ends: TwoEnds) -> None:
    ends.listener(117, backlog=0)
    _third_packets(ends, 117)


def _fragment_twice(ends: TwoEnds) -> None:
    first = packets.fragment(_udp(ends, 105, payload=bytes(16)), 0, more=True)
    ends.frame(first)
    ends.frame(first)


def _too_big(ends: TwoEnds) -> None:
    datagram = struct.pack("!HHHH", 4000, 116, 1208, 0) + bytes(1200)
    ends.frame(packets.ip(ends.client.ip4, TOO_SMALL, 17, datagram, fragment=0x4000))


def _close_unread(ends: TwoEnds) -> None:
    out, accepted = ends.connected(110)
    out.sendall(bytes(50))
    accepted.recv(1)
    accepted.close()


def _close_at_once(ends: TwoEnds) -> None:
    _, accepted = ends.connected(111)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()


def _linger_negative(ends: TwoEnds) -> None:
    _, accepted = ends.connected(112)
    accepted.setsockopt(socket.IPPROTO_TCP, _TCP_LINGER2, -1)
    accepted.close()


def _data_for_what_is_over(ends: TwoEnds) -> None:
    out, accepted = ends.connected(113)
    accepted.shutdown(socket.SHUT_WR)
    assert out.recv(1) == b""
    wait_until(lambda: accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _FIN_WAIT2, lambda: "no ACK")
    accepted.close()
    out.sendall(b"late")


def _bare_ack(ends: TwoEnds) -> None:
    ends.listener(114)
    ends.frame(tcp_checksummed(packets.tcp(ends.client.ip4, 5003, ends.server.ip4, 114, ACK)))


def _refused(ends: TwoEnds) -> None:
    ends.opened(ends.client).connect_ex((ends.server.ip4, 115))


SITUATIONS = [
    # Neighbours that do not answer take a while to be given up, so these come first.
    StagedReason("dropped NEIGH_FAILED (routing)", lambda ends: ends.datagrams(95, to="10.77.0.77")),
    StagedReason("dropped NO_SOCKET (nobody)", lambda ends: ends.datagrams(81), 81),
    StagedReason("dropped NETFILTER_DROP (policy)", lambda ends: ends.datagrams(93), 93),
    StagedReason("dropped SOCKET_RCVBUFF (full)", _full_buffer, 90),
    StagedReason("dropped SOCKET_FILTER (policy)", _refusing_filter, 98),
    StagedReason("dropped UDP_CSUM (broken)", _wrong_udp_checksum, 94),
    StagedReason("dropped TCP_CSUM (broken)", _wrong_tcp_checksum, 101),
    StagedReason("dropped IP_CSUM (broken)", _wrong_ip_checksum, 102),
    StagedReason("dropped IP_NOPROTO (nobody)",
              lambda ends: ends.frame(packets.ip(ends.client.ip4, ends.server.ip4, 253, b"what"))),
    StagedReason("dropped OTHERHOST (nobody)",
              lambda ends: ends.frame(_udp(ends, 106), receiver="02:77:00:00:00:99"), 106),
    StagedReason("dropped TC_INGRESS (policy)", _tc_drop, 97),
    StagedReason("dropped TC_EGRESS (policy)", _tc_drop_on_the_way_out),
    StagedReason("dropped NOT_SPECIFIED (policy) at do_xdp_generic", _xdp_drop, 100),
    StagedReason("dropped IP_INNOROUTES (routing)", lambda ends: ends.frame(_udp(ends, 107, "192.0.2.1")), 107),
    StagedReason("dropped NOT_SPECIFIED (routing) at ip_error",
              lambda ends: ends.frame(_udp(ends, 108, BLACKHOLE)), 108),
    StagedReason("dropped IP_INHDR (routing) at ip_forward", _last_hop, 103),
    StagedReason("dropped IP_RPFILTER (routing)",
              lambda ends: ends.frame(packets.udp(FOREIGN, 4000, ends.server.ip4, 109, b"some")), 109),
    StagedReason("dropped PKT_TOO_BIG (routing)", _too_big, 116),
    # Their sessions begin with a SYN-ACK that nobody receives, which is dropped for another reason.
    StagedReason("dropped TCP_LISTEN_OVERFLOW (full)", _accept_queue),
    StagedReason("dropped NO_SOCKET (full) at cookie_v4_check", _accept_queue_behind_cookies),
    StagedReason("dropped DUP_FRAG (broken)", _fragment_twice, 105),
    StagedReason("reset NO_SOCKET (nobody)", _refused, 115),
    StagedReason("reset TCP_ABORT_ON_CLOSE (application)", _close_unread, 110),
    StagedReason("reset TCP_STATE (application)", _close_at_once, 111),
    StagedReason("reset TCP_ABORT_ON_DATA (application)", _linger_negative, 112),
    StagedReason("reset TCP_TIMEWAIT_SOCKET (application)", _data_for_what_is_over, 113),
    StagedReason("reset TCP_FLAGS (broken)", _bare_ack, 114),
    StagedReason("reset-by-peer PEER_RESET (application)", lambda _: None),
]  # fmt: skip


@contextmanager
def prepared(node: PlainNode) -> Iterator[TwoEnds]:
    """Give the server routes, rules and settings for the situations; yield sockets in both pods."""
    client, server = node.client, node.server
    for setting in ("ip_forward=1", "conf.all.rp_filter=1", "conf.eth0.rp_filter=1"):
        run(*server.exec("sysctl", "-qw", f"net.ipv4.{setting}"))
    # A bridge that calls netfilter looks at headers, and drops what is wrong before it arrives.
    run(*node.exec("sysctl", "-qwe", "net.bridge.bridge-nf-call-iptables=0"))
    for setting in ("retrans_time_ms=20", "mcast_solicit=1"):
        run(*client.exec("sysctl", "-qw", f"net.ipv4.neigh.eth0.{setting}"))
    run("ip", "-n", server.netns, "link", "add", "small", "mtu", "1000", "type", "veth", "peer", "name", "small-peer")
    run("ip", "-n", server.netns, "link", "set", "small", "up")
    run("ip", "-n", server.netns, "link", "set", "small-peer", "up")
    for route in (f"{BEHIND}/32 dev lo", f"{FOREIGN}/32 dev small", f"{TOO_SMALL}/32 dev small"):
        run("ip", "-n", server.netns, "route", "add", *route.split())
    run("ip", "-n", server.netns, "route", "add", "blackhole", f"{BLACKHOLE}/32")
    run(*server.exec("iptables", "-w", "-A", "INPUT", "-p", "udp", "--dport", "93", "-j", "DROP"))
    known = [BY_HAND, "lladdr", client.mac, "dev", "eth0", "nud", "permanent"]
    run("ip", "-n", server.netns, "neigh", "replace", *known)
    with ExitStack() as stack:
        yield TwoEnds(node, stack)
