"""Files that a capture writes -> what the process of the rules says: what fired, and which packet did it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from capture.live.rule_firings import RuleFiring, firings_of
from capture.live.rule_process import RuleProcess
from capture.live.trigger_rules import parse_rule
from capture.live.written_files import MESSAGE_MOST, WrittenFiles, packed
from capture.pcapng import blocks
from capture.run.reason_events import INTERFACE
from testbed.patience import PATIENCE
from tests.unit.analysis.scripted_packets import HANDSHAKE, A, Frame, R, segment

MS = 1_000_000
START = blocks.section_header(hardware="", os="", application="", comment="") + blocks.interfaces(
    [blocks.InterfaceBlock("veth-a"), INTERFACE]
)
DROPPED = "dropped NETFILTER_DROP (policy) at nft_do_chain, netns 7: a rule of nftables or iptables drops it"


def packets(*frames: Frame) -> bytes:
    return b"".join(blocks.packet(0, int(ms * MS), data, len(data), "") for ms, data in frames)


def refused(ms: float) -> list[Frame]:
    return [*((ms + at, data) for at, data in HANDSHAKE[:1]), segment(ms + 1, "server", R | A, 0, 1)]


class Told:
    """The recorder's side: it tells, and hears."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def tell(self, *files: Path, packets: int, until_ms: float, over: bool = False) -> None:
        sizes = [(str(file), file.stat().st_size) for file in files]
        self._line.send(packed(WrittenFiles(sizes, packets, over, int(until_ms * MS))))

    def hear(self) -> list[RuleFiring]:
        return firings_of(self._line.recv(MESSAGE_MOST)).firings


@contextmanager
def process(*rules: str) -> Iterator[Told]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE)

    def run() -> None:
        with suppress(SystemExit):
            RuleProcess(theirs, [parse_rule(rule) for rule in rules]).run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with theirs:
            yield Told(ours)
            ours.close()
            thread.join(PATIENCE)
    finally:
        ours.close()


def test_a_rule_fires_when_the_time_of_the_capture_goes_on_and_names_its_packet_in_its_file(tmp_path: Path) -> None:
    one, two = tmp_path / "1.pcapng", tmp_path / "2.pcapng"
    with process("handshake=refused") as recorder:
        one.write_bytes(START + packets(segment(1000, "client", A, 1, ports=(9, 9))))
        recorder.tell(one, packets=1, until_ms=1001)
        two.write_bytes(START + packets(segment(1100, "client", A, 1, ports=(9, 9)), *refused(1200)))
        recorder.tell(one, two, packets=4, until_ms=1202)
        (fired,) = recorder.hear()
    assert (fired.rule, fired.packet_ns) == ("handshake=refused", 1201 * MS)
    assert (fired.file, fired.number) == (str(two), 3)
    assert fired.session == "tcp 10.0.0.1:40000 > 10.0.0.2:80"


def test_an_event_of_the_kernel_in_the_file_fires_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "1.pcapng"
    (_, frame), *_ = HANDSHAKE
    with process("drop=policy", "drop=full") as recorder:
        dropped = blocks.packet(1, 1002 * MS, frame, len(frame), DROPPED)
        file.write_bytes(START + packets(segment(1000, "client", A, 1)) + dropped)
        recorder.tell(file, packets=2, until_ms=1100)
        (fired,) = recorder.hear()
    assert (fired.rule, fired.at_ns, fired.number) == ("drop=policy", 1002 * MS, 2)
    assert fired.session == "tcp 10.0.0.1:40000 > 10.0.0.2:80"
    assert fired.reason == "a rule of nftables or iptables drops it"
    assert fired.value == "dropped NETFILTER_DROP (policy) at nft_do_chain, netns 7"
