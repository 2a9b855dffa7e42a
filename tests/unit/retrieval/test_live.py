"""A capture whose file grows -> a live view through both doors: every packet once, in order, or counted."""

import contextlib
import itertools
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from capture.agent import live_tail
from capture.agent.dial_out import Clock
from capture.agent.live_tail import LiveTail, without_packets
from capture.retrieval.live_frames import WholeFrames, frame, frames
from capture.retrieval.orders import AnswerHead
from testbed.foreign_blocks import enhanced, interface, section
from testbed.packet_times import packet_times
from testbed.patience import wait_until
from tests.unit.retrieval.doors import NODE, OpenDoors, open_doors

OPENING = section("<") + interface("<")
PACKET_BYTES = 1000


class RunningFile:
    """A capture as its agent sees it: a file that grows, how far it is complete, and why it has ended."""

    def __init__(self, doors: OpenDoors, name: str) -> None:
        self.uid = doors.cluster.add(name, "shop")
        self.doors, self.name = doors, name
        self.written_ns, self.reason = 0, None
        self.ticks = itertools.count(1)
        doors.keep(self.uid, OPENING, f"{name}-n1.pcapng", ended=False)
        self.path = doors.home.folder(self.uid).path / f"{name}-n1.pcapng"

    def write(self, packets: int) -> None:
        """Append packets with ascending times, and then say so."""
        ticks = list(itertools.islice(self.ticks, packets))
        with self.path.open("ab") as file:
            for tick in ticks:
                file.write(enhanced("<", bytes(PACKET_BYTES), tick))
        self.written_ns = ticks[-1] + 1

    def next_file(self) -> None:
        """Go on in another file, as rotation does."""
        self.path = self.path.with_name(f"{self.name}-n1_00002_20261130120000.pcapng")
        self.path.write_bytes(OPENING)

    def end(self) -> None:
        """End the capture."""
        self.reason = "count reached"


@pytest.fixture(scope="module")
def running() -> dict[str, RunningFile]:
    return {}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, running: dict[str, RunningFile]) -> Iterator[OpenDoors]:
    with open_doors(tmp_path_factory.mktemp("doors") / "bicap") as doors:

        def live(uid: str, clock: Clock) -> tuple[AnswerHead, Any]:
            if uid not in running:
                return AnswerHead(404, "the capture does not run on this node"), (_ for _ in ())
            file = running[uid]
            folder = doors.home.folder(uid)
            return AnswerHead(), LiveTail(folder, NODE, lambda: file.written_ns, lambda: file.reason, clock).frames()

        doors.connected(live)
        yield doors


@pytest.fixture
def start(doors: OpenDoors, running: dict[str, RunningFile]) -> Callable[[str], RunningFile]:
    def started(name: str) -> RunningFile:
        file = RunningFile(doors, name)
        running[file.uid] = file
        return file

    return started


class View:
    """What a viewer has got so far."""

    def __init__(self) -> None:
        self.blocks = b""
        self.headers: list[dict[str, Any]] = []
        self._whole = WholeFrames()
        self.early = 0
        """Packets that are older than a watermark before them."""

    def take(self, chunk: bytes) -> None:
        """Take in bytes as they come."""
        for header, payload in frames(self._whole.add(chunk)):
            assert header["node"] == NODE
            self.headers.append(header)
            self.blocks += payload
            if payload:
                self.early += sum(time < self.watermark for time in packet_times(payload))

    @property
    def watermark(self) -> int:
        """The latest watermark."""
        return max((header["ns"] for header in self.headers if header["kind"] == "watermark"), default=0)

    def last(self, kind: str) -> dict[str, Any]:
        """Return the latest header of a kind."""
        return next(header for header in reversed(self.headers) if header["kind"] == kind)


@contextlib.contextmanager
def viewing(doors: OpenDoors, name: str) -> Iterator[Iterator[bytes]]:
    """Yield the bytes of a live view, as they are asked for."""
    headers = {"Authorization": f"Bearer {doors.allow(name, 'shop')}"}
    address = f"http://127.0.0.1:{doors.users_port}"
    with (
        httpx2.Client(base_url=address, timeout=20, trust_env=False, verify=False) as client,
        client.stream("GET", "/v1/live", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        yield answer.iter_raw()


def view_until(chunks: Iterator[bytes], reached: Callable[[View], object], view: View | None = None) -> View:
    """Read until something is so, or the stream ends."""
    view = view or View()
    for chunk in chunks:
        view.take(chunk)
        if reached(view):
            break
    return view


@pytest.mark.slow
def test_every_packet_is_shown_once_in_order_and_before_the_watermark_says_so(
    doors: OpenDoors, start: Callable[[str], RunningFile]
) -> None:
    file = start("flows")
    file.write(100)
    with viewing(doors, "flows") as chunks:
        view = view_until(chunks, lambda view: view.watermark == 101)
        assert packet_times(view.blocks) == list(range(1, 101))
        writer = threading.Thread(target=lambda: list(map(file.write, [200] * 10)))
        writer.start()
        while view.watermark < 2101:
            view.take(next(chunks))
        writer.join()
        file.next_file()
        file.write(5)
        file.end()
        doors.cluster.parts[file.uid][0].status.phase = "Captured"
        while view.headers[-1]["kind"] != "ended":
            view.take(next(chunks))
        assert list(chunks) == []
    assert packet_times(view.blocks) == list(range(1, 2106))
    assert view.early == 0
    assert view.blocks == OPENING + b"".join(
        enhanced("<", bytes(PACKET_BYTES), tick) for tick in range(1, 2101)
    ) + OPENING + b"".join(enhanced("<", bytes(PACKET_BYTES), tick) for tick in range(2101, 2106))
    assert view.last("ended")["reason"] == "count reached"
    assert "lost" not in {header["kind"] for header in view.headers}


def test_the_clocks_are_compared(doors: OpenDoors, start: Callable[[str], RunningFile]) -> None:
    start("clock")
    with viewing(doors, "clock") as chunks:
        view = view_until(chunks, lambda view: view.headers)
    reading = view.headers[0]
    assert reading["kind"] == "clock"
    assert abs(reading["offsetNs"]) <= reading["uncertaintyNs"]  # both are the clock of this machine
    assert isinstance(reading["synchronized"], bool)


def test_what_a_slow_viewer_does_not_get_is_counted(
    doors: OpenDoors, start: Callable[[str], RunningFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_tail, "BEHIND_MOST", 1 << 20)
    file = start("slow")
    with viewing(doors, "slow") as chunks:
        view = view_until(chunks, lambda view: packet_times(view.blocks) or view.watermark >= 0)
        file.write(40_000)  # more than all buffers on the way; nobody reads
        file.end()
        view_until(chunks, lambda view: view.headers[-1]["kind"] == "ended", view)
    shown = packet_times(view.blocks)
    lost = view.last("lost")["packets"]
    assert lost > 0
    assert len(shown) + lost == 40_000
    assert shown == sorted(shown)
    assert max(Counter(shown).values()) == 1


def test_a_viewer_who_goes_leaves_nothing_running(doors: OpenDoors, start: Callable[[str], RunningFile]) -> None:
    start("left")
    with viewing(doors, "left") as chunks:
        next(chunks)
        assert any(thread.name == "live view" for thread in threading.enumerate())
    wait_until(lambda: not any(thread.name == "live view" for thread in threading.enumerate()))


def test_a_node_that_cannot_show_the_capture_is_named(doors: OpenDoors) -> None:
    doors.cluster.add("elsewhere", "shop")
    with viewing(doors, "elsewhere") as chunks:
        view = view_until(chunks, lambda view: view.headers)
    assert view.last("gone")["reason"] == "the capture does not run on this node"


def test_a_node_that_dies_is_named_and_the_stream_goes_on(tmp_path: Path) -> None:
    with open_doors(tmp_path / "bicap") as doors:
        file = RunningFile(doors, "dies")
        folder = doors.home.folder(file.uid)

        def live(uid: str, clock: Clock) -> tuple[AnswerHead, Any]:
            return AnswerHead(), LiveTail(folder, NODE, lambda: file.written_ns, lambda: None, clock).frames()

        agent = doors.dial(live=live)
        wait_until(lambda: doors.hub.nodes == [NODE])
        doors.cluster.parts[file.uid][0].status.phase = "Capturing"
        with viewing(doors, "dies") as chunks:
            view = view_until(chunks, lambda view: view.blocks)
            agent.stop()
            view_until(chunks, lambda view: view.headers[-1]["kind"] == "gone", view)


def test_frames_are_put_together_from_any_pieces() -> None:
    whole = frame("blocks", "n1", b"abc") + frame("lost", "n2", packets=3)
    joined = WholeFrames()
    found = b"".join(joined.add(whole[at : at + 1]) for at in range(len(whole)))
    assert found == whole
    assert list(frames(found)) == [
        ({"node": "n1", "kind": "blocks"}, b"abc"),
        ({"node": "n2", "kind": "lost", "packets": 3}, b""),
    ]


@pytest.mark.parametrize("data", [b"\xff\xff\xff\x7f", struct.pack("<I", 2) + b"{}" + b"\xff\xff\xff\xff"])
def test_what_is_not_a_frame_is_refused_and_not_kept(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a live frame"):
        WholeFrames().add(data)


def test_blocks_that_are_not_packets_stay_when_packets_are_left_out() -> None:
    blocks = OPENING + enhanced("<", b"x", 1) + interface("<") + enhanced("<", b"y", 2)
    assert without_packets(blocks) == (OPENING + interface("<"), 2)
