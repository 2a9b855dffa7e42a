"""On live veths: one conversation picked out of many with all that belongs to it; rules, lists and expressions."""

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.benchmark.veth_pair import VethPair
from capture.kernel.netns import Namespace
from testbed import packets
from testbed.patience import PATIENCE, wait_until
from testbed.tool import BICAP, CaptureProcess, assert_adds_up, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode, PlainPod

PORT = 7000
CHOSEN, OTHERS = 40_001, range(40_002, 40_030)


@pytest.fixture
def link() -> Iterator[VethPair]:
    with VethPair() as link:
        yield link


def send_frames(namespace: Namespace, interface: str, *frames: bytes) -> None:
    """Queue frames on an interface. They come as af_packet makes them: with little in the linear part."""

    def inside() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((interface, 0))
            for frame in frames:
                raw.send(frame)

    namespace.run(inside)


def converse(node: PlainNode, *ports: int) -> None:
    """A TCP conversation with the server from each local port: a megabyte comes back."""

    def serve() -> None:
        for _ in ports:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10)
                connection.sendall(bytes(1 << 20))

    def listen() -> socket.socket:
        return socket.create_server((node.server.ip4, PORT))

    def talk() -> None:
        for port in ports:
            with socket.create_connection(
                (node.server.ip4, PORT), timeout=PATIENCE, source_address=(node.client.ip4, port)
            ) as connection:
                connection.sendall(b"more")
                while connection.recv(1 << 16):
                    pass

    with inside_of(node.server) as there, inside_of(node.client) as here:
        listener = there.run(listen)
        thread = threading.Thread(target=serve)
        thread.start()
        here.run(talk)
        thread.join()
        listener.close()


@contextlib.contextmanager
def inside_of(pod: PlainPod) -> Iterator[Namespace]:
    namespace = Namespace(pod.netns)
    try:
        yield namespace
    finally:
        namespace.close()


def belonging(node: PlainNode) -> list[bytes]:
    """Return packets of the chosen conversation that a strict five-tuple misses, each beside one of another."""
    ends = (node.server.ip4, PORT, node.client.ip4)

    def of(port: int, identification: int) -> list[bytes]:
        answer = packets.tcp(*ends, port, payload=bytes(64))
        request = packets.tcp(node.client.ip4, port, node.server.ip4, PORT)
        return [
            packets.fragment(answer, 0, True, identification),
            packets.fragment(answer, 9, False, identification),
            packets.icmp_error(node.server.ip4, request, 3, 1),
        ]

    mac = bytes.fromhex(node.client.mac.replace(":", ""))
    return [packets.with_checksum(mac + frame[6:]) for frame in of(CHOSEN, 1001) + of(OTHERS[0], 1002)]


def test_one_conversation_of_many_complete_with_its_fragments_and_icmp_error(node: PlainNode, tmp_path: Path) -> None:
    rule = [
        *("--source", f"{node.client.ip4}:{CHOSEN}"),
        *("--destination", f"{node.server.ip4}:{PORT}", "--protocol", "tcp"),
    ]
    chosen, everything = tmp_path / "chosen.pcapng", tmp_path / "everything.pcapng"
    where = ["-i", node.client.veth]
    with (
        CaptureProcess(everything, *where, within=node.exec()),
        CaptureProcess(chosen, *where, *rule, within=node.exec()) as capture,
    ):
        converse(node, CHOSEN, *OTHERS)
        with inside_of(node.server) as server:
            send_frames(server, "eth0", *belonging(node))
    found, whole = read_pcapng(chosen), read_pcapng(everything)
    ports = [(CHOSEN, PORT), (PORT, CHOSEN)]
    expected = [data for data in whole.data if _ports(data) in ports]
    mine = belonging(node)[:3]
    assert sorted(found.data) == sorted(expected + mine[1:])  # the first fragment has its ports
    assert [flags & 0x12 for flags in map(_flags, found.data[:3])] == [0x02, 0x12, 0x10]
    assert any(_flags(data) & 1 for data in found.data)
    account = capture.summary["account"]
    assert_adds_up(account)
    assert account["forward"]["written"] == sum(_ports(data) == ports[0] for data in expected)
    assert account["reverse"]["written"] == sum(_ports(data) == ports[1] for data in expected) + 2
    check_with_readers(chosen, len(found.data))


def _ports(frame: bytes) -> tuple[int, int] | None:
    """Ports of an IPv4 TCP packet or first fragment."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6 or int.from_bytes(frame[20:22], "big") & 0x1FFF:
        return None
    return int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")


def _flags(frame: bytes) -> int:
    return frame[47] if _ports(frame) else 0


def test_a_tag_moved_aside_is_matched_and_is_back_in_the_packet(link: VethPair, tmp_path: Path) -> None:
    plain = packets.udp("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(range(30)))
    tags = [[(0x8100, 5)], [(0x88A8, 7), (0x8100, 5)], [(0x8100, 6)]]
    tagged = [packets.vlan(plain, *some) for some in tags]
    cases = {
        "rule": (["--destination", ":2000", "--protocol", "udp"], tagged),
        "another": (["--destination", ":2001", "--protocol", "udp"], []),
        "inside": (["vlan", "5", "and", "udp", "port", "2000"], tagged[:1]),
        "double": (["vlan 7 and vlan 5 and src host 10.0.0.1"], tagged[1:2]),
        "bytes, mirrored": (["ether[16:2] = 0x0800 and ether[33:1] = 2"], [tagged[0], tagged[2]]),
    }
    captures = {
        name: CaptureProcess(tmp_path / f"{name}.pcapng", "-i", "vb", "--netns", link.netns, *words)
        for name, (words, _) in cases.items()
    }
    send_frames(link.namespace, "va", *tagged)  # arrives at vb, where the kernel takes the outer tag off
    send_frames(link.namespace, "vb", *tagged)  # leaves from vb with the tags in the bytes
    for name, (_, expected) in cases.items():
        with captures[name]:
            pass
        found = read_pcapng(captures[name].file)
        assert found.data == expected + expected, name
        assert found.lengths == [len(frame) for frame in found.data]


def test_the_list_is_read_again_on_sighup(link: VethPair, tmp_path: Path) -> None:
    conversations = tmp_path / "conversations"
    conversations.write_text("udp 10.0.0.1:1 10.0.0.2:53\n")
    frames = [packets.udp("10.0.0.2", 53, "10.0.0.1", port) for port in (1, 2)]
    words = ("-i", "vb", "--netns", link.netns, "--conversations", str(conversations))
    with CaptureProcess(tmp_path / "f.pcapng", *words) as capture:
        send_frames(link.namespace, "vb", *frames)
        conversations.write_text("udp 10.0.0.1:2 10.0.0.2:53\n")
        hang_up(capture, "1 conversation added, 1 removed")
        send_frames(link.namespace, "vb", *frames)
        conversations.write_text("nonsense\n")
        hang_up(capture, "line 1: 'nonsense' is not: protocol source destination; the capture continues")
        send_frames(link.namespace, "vb", *frames)
    assert read_pcapng(capture.file).data == [frames[0], frames[1], frames[1]]
    assert capture.summary["account"]["reverse"]["written"] == 3


def hang_up(capture: CaptureProcess, sign: str) -> None:
    capture.process.send_signal(signal.SIGHUP)
    wait_until(lambda: sign in capture.log(), capture.log)


OBJECT = """
apiVersion: bicap.io/v1alpha1
kind: PacketCapture
metadata: {{name: pc}}
spec:
  target: {{interfaces: [vb], netns: {netns}, hook: clsact}}
  conversations: {{tuples: ["udp 10.0.0.1:1 10.0.0.2:53"]}}
"""


def test_an_object_has_hook_namespace_and_conversations_and_the_line_overrides_it(
    link: VethPair, tmp_path: Path
) -> None:
    (tmp_path / "pc.yaml").write_text(OBJECT.format(netns=link.netns))
    (tmp_path / "list").write_text("udp 10.0.0.1:2 10.0.0.2:53\n")
    frames = [packets.udp("10.0.0.2", 53, "10.0.0.1", port) for port in (1, 2)]
    for words, hook, name, kept in (
        ((), "clsact", None, frames[0]),
        (("--hook", "tcx", "--conversations", f"{tmp_path}/list"), "tcx", f"{tmp_path}/list", frames[1]),
    ):
        with CaptureProcess(tmp_path / f"{hook}.pcapng", "-f", str(tmp_path / "pc.yaml"), *words) as capture:
            send_frames(link.namespace, "vb", *frames)
        assert read_pcapng(capture.file).data == [kept]
        assert capture.summary["plan"]["hook"] == hook
        assert capture.summary["spec"]["netns"] == link.netns
        assert capture.summary["spec"]["conversations"] == {"from": name, "conversations": 1}


def test_a_list_is_read_whole_from_standard_input(link: VethPair, tmp_path: Path) -> None:
    lines = "".join(f"tcp 10.{n >> 16}.{n >> 8 & 255}.{n & 255}:5 10.0.0.9:80\n" for n in range(65_536))
    ready, file = tmp_path / "ready", tmp_path / "f"
    words = [BICAP, "capture", "-i", "vb", "--netns", link.netns, "--conversations", "-", "-w", str(file), "-c", "2"]
    with subprocess.Popen([*words, "--ready-file", str(ready)], stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.close()
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.02)
        wanted = [packets.tcp("10.0.255.255", 5, "10.0.0.9", 80), packets.tcp("10.0.0.9", 80, "10.0.0.0", 5)]
        send_frames(link.namespace, "vb", packets.tcp("10.1.0.0", 5, "10.0.0.9", 80), *wanted)
        assert process.wait(PATIENCE) == 0
    assert read_pcapng(file).data == wanted


def test_frames_too_short_for_their_headers_are_unmatched(link: VethPair, tmp_path: Path) -> None:
    whole = packets.tcp("10.0.0.1", 1000, "10.0.0.2", 80)
    with CaptureProcess(tmp_path / "f.pcapng", "-i", "vb", "--netns", link.netns, "--destination", ":80") as capture:
        send_frames(link.namespace, "vb", *(whole[:size] for size in (15, 20, 33, 34, 37, 38)))
    assert read_pcapng(capture.file).data == [whole[:38]]
    assert capture.summary["account"]["unmatched"] == 5


def test_the_plan_and_the_file_have_the_filter_of_each_direction() -> None:
    words = [BICAP, "capture", "-i", "lo", "--dry-run", "--source", "10.0.0.1", "--protocol", "tcp"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "filter    (tcp and src host 10.0.0.1) or (tcp and dst host 10.0.0.1)\n" in shown
    assert "ICMP errors about a packet that matches" in shown
