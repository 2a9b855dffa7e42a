"""The loop of a recorder on disk, over a capture that a test moves on: what begins, goes on, ends and is left out."""

import itertools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capture.errors import SinkError
from capture.live import ring_recorder
from capture.live.cause import Cause
from capture.live.incident_folder import stored_incidents
from capture.live.ring_recorder import RingRecorder, check_links
from capture.live.rule_firings import RuleFiring
from capture.live.trigger_rules import parse_rule
from capture.plan import Interface, make_plan, place_of
from capture.recording import RecordingSpec
from capture.run.account import Account
from capture.run.file_start import FileStart
from capture.run.roster import Roster
from capture.sink.protocol import Sink
from capture.spec import CaptureSpec, Hook
from capture.storage import MinFree, Storage
from capture.stream.clock import WallClock
from tests.unit.live.running_ring import MIB, S, account

Step = Callable[["MovedCapture", "RingRecorder"], None]


class MovedCapture:
    """The capture of a ring whose every round is a step of a test; its files are real."""

    steps: Sequence[Callable[["MovedCapture"], None]] = ()

    def __init__(self, plan: Any, sink: Sink, _on_event: Any, on_attached: Any, on_file: Any) -> None:
        self.plan, self.sink, self._on_attached, self._on_file = plan, sink, on_attached, on_file
        self.roster, self.summary = Roster(), None
        self.roster.add(plan.interfaces[0], time.monotonic_ns())
        self.clock = WallClock(time.time_ns() - time.monotonic_ns(), "synchronised")
        self._counted, self._order = 0, None
        self.reason = "stopped"

    def __enter__(self) -> "MovedCapture":
        self._on_attached(self)
        self.sink.write(b"opening ")
        self._began(ordered=False)
        return self

    def _began(self, ordered: bool) -> None:
        self._on_file(
            FileStart(
                path=self.sink.files[-1].path,
                began_ns=time.monotonic_ns(),
                offset_ns=self.clock.offset_ns,
                accounts=self.accounts() if self._counted else [],
                events=0,
                late=0,
                ordered=ordered,
            )
        )

    def packets(self, count: int) -> None:
        self._counted += count
        self.sink.write(b"packet " * count)

    def next_file(self, ordered: bool = False) -> None:
        self.sink.next_file(time.time_ns(), b"closing ", b"opening ")
        self._began(ordered)

    def end_file_at(self, at_ns: int | None) -> None:
        self._order = at_ns

    @property
    def order(self) -> int | None:
        return self._order

    def run(self, on_tick: Callable[[Any], None], _interval: float) -> None:
        for step in self.steps:
            step(self)
            if self._order is not None and self._order <= time.monotonic_ns():
                self._order = None
                self.next_file(ordered=True)
            on_tick(self)

    @property
    def files(self) -> Any:
        return self.sink.files

    def accounts(self) -> list[Account]:
        return [account(self._counted, self._counted)]

    def events(self) -> int:
        return 0

    def late(self) -> int:
        return 0

    def reasons_as_json(self) -> None:
        return None

    def wake(self) -> None:
        """It never sleeps."""

    def stop(self, reason: str) -> None:
        self.reason = reason

    def __exit__(self, *_: object) -> None:
        self.sink.close()
        self.summary = SimpleNamespace(
            end_reason=self.reason, complete=True, ended_ns=time.time_ns(), clock_offset_ns=self.clock.offset_ns,
            accounts=self.accounts(), reasons=None, late=0, clock="synchronised", clock_steps=[],
        )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "incidents")


@pytest.fixture(autouse=True)
def _moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_recorder, "Capture", MovedCapture)


YEARS = itertools.count(2000)


def age(folder: Path) -> None:
    """Let the files of earlier runs be older: a real recorder does not begin in the second of the one before it."""
    year = next(YEARS)
    for file in folder.glob("ring_*"):
        file.rename(file.with_name(re.sub(r"_\d{14}", f"_{year}0101000000", file.name)))


def record(
    folder: str, steps: Sequence[Step], kept: int = 3, rules: Sequence[str] = (), min_free: MinFree | None = None,
    **more: Any,
) -> RingRecorder:  # fmt: skip
    """Run a recorder through steps; returns it at its end."""
    age(Path(folder).parent)
    recording = RecordingSpec(folder=folder, **{"cooldown_ns": 0, "after_ns": 0} | more)
    storage = Storage(file_bytes=MIB, files_kept=kept, min_free=min_free)
    spec = CaptureSpec(interfaces=("va",), recording=recording, storage=storage)
    plan = make_plan(spec, [place_of(Interface("va", 1, 2))], Hook.TCX, [0], batching=True)
    recorder = RingRecorder(plan, str(Path(folder).parent / "ring.pcapng"), [parse_rule(rule) for rule in rules])
    MovedCapture.steps = [lambda capture, step=step: step(capture, recorder) for step in steps]
    with recorder:
        recorder.run()
    return recorder


def packets(count: int) -> Any:
    return lambda capture, _: capture.packets(count)


def next_file(capture: MovedCapture, _: RingRecorder) -> None:
    capture.next_file()


def trigger(_: MovedCapture, recorder: RingRecorder) -> None:
    recorder.ring(Cause(rule="signal", at_ns=time.monotonic_ns()))


def nothing(_: MovedCapture, __: RingRecorder) -> None:
    pass


def test_a_trigger_links_what_was_before_and_its_file_which_ends_when_its_time_is_over(folder: str) -> None:
    steps = [
        packets(3),
        next_file,
        packets(4),
        trigger,
        nothing,
        nothing,
        packets(9),
        next_file,
        next_file,
        next_file,
    ]
    recorder = record(folder, steps)
    (stored,) = stored_incidents(folder)
    assert [Path(file).read_bytes().count(b"packet ") for file in stored.files] == [3, 4]
    assert all(Path(file).read_bytes().endswith(b"closing ") for file in stored.files)
    summary = stored.summary
    assert (summary["packets"], summary["end_reason"]) == (7, "time after the trigger over")
    assert (summary["before_short"], summary["complete"]) == ("the recorder had just begun", True)
    assert recorder.incidents == [stored.path]
    assert len(list(Path(folder).parent.glob("ring_*"))) == 3


def test_an_incident_without_an_end_takes_all_files_until_the_capture_ends(folder: str) -> None:
    steps = [packets(1), trigger, next_file, packets(2), next_file, packets(4), next_file, packets(8), next_file]
    record(folder, steps, after_ns=3600 * S)
    (stored,) = stored_incidents(folder)
    assert [Path(file).read_bytes().count(b"packet ") for file in stored.files] == [1, 2, 4, 8, 0]
    assert (stored.summary["packets"], stored.summary["end_reason"]) == (15, "stopped")


def test_before_reaches_as_far_as_was_asked_or_as_the_ring_or_the_bound_of_incidents_does(folder: str) -> None:
    fill = [packets(1), next_file, packets(1), next_file, packets(1), next_file]
    record(folder, [*fill, trigger, nothing], before_ns=1)
    record(folder, [*fill, trigger, nothing], kept=2)
    first, second = stored_incidents(folder)
    assert (len(first.files), first.summary["before_short"]) == (1, None)
    assert (len(second.files), second.summary["before_short"]) == (2, "the ring was full")
    fill = [lambda capture, _: capture.sink.write(bytes(3 * MIB)), next_file, next_file]
    record(folder, [*fill, trigger, nothing], size=4 * MIB)
    (*_, last) = stored_incidents(folder)
    assert (len(last.files), last.summary["before_short"]) == (2, "--incidents-size was full")


def test_a_rule_that_fired_in_the_other_process_is_handled_with_its_packet(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FiringReader:
        missed = 7

        def __init__(self, rules: Any, *_: object) -> None:
            assert [rule.text for rule in rules] == ["syns>=3"]

        def tell(self, capture: MovedCapture, present: FileStart) -> list[RuleFiring]:
            if capture.order is not None or stored_incidents(folder):
                return []
            now = time.time_ns()
            return [RuleFiring("syns>=3", now, 3, "tcp a:1 > b:2", now, "", str(Path(present.path).absolute()), 2)]

        def close(self) -> None:
            """Nothing runs."""

    monkeypatch.setattr(ring_recorder, "RuleReader", FiringReader)
    recorder = record(folder, [packets(4), nothing, nothing], rules=["syns>=3", "lost>0"])
    (stored,) = stored_incidents(folder)
    assert recorder.missed == 7
    found = stored.summary
    assert (found["rule"], found["value"], found["session"], found["packet"]) == ("syns>=3", 3, "tcp a:1 > b:2", 2)
    assert abs(found["packet_ns"] - found["fired_ns"]) == 0


def test_where_the_disk_is_nearly_full_no_incident_begins_and_an_open_one_ends(folder: str) -> None:
    said = []

    def fire(_: MovedCapture, recorder: RingRecorder) -> None:
        said.append(recorder._desk.handle(Cause(rule="socket", at_ns=time.monotonic_ns())))

    record(folder, [packets(1), fire], min_free=MinFree(bytes=1 << 20))
    assert said[0].answer == "began"
    room = 1 << 62
    with pytest.raises(SinkError, match="must stay free"):  # the capture itself does not begin
        record(folder, [packets(1), fire], min_free=MinFree(bytes=room))


def test_a_recorder_goes_on_with_the_ring_of_the_one_before_it(folder: str) -> None:
    def fill(count: int) -> list[Any]:
        return [step for _ in range(3) for step in (packets(count), next_file)]

    def ring() -> list[int]:
        """The packets of each file."""
        files = Path(folder).parent.glob("ring_*")
        return sorted(file.read_bytes().count(b"packet ") for file in files)

    record(folder, fill(5)[:-1])
    assert ring() == [5, 5, 5]
    record(folder, [packets(1)])
    assert len(ring()) == 3
    record(folder, fill(1))
    assert ring() == [0, 1, 1]


def test_a_folder_that_takes_no_links_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ring").touch()
    check_links(str(tmp_path / "ring"), str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]
    with pytest.raises(SinkError, match=r"so give --incidents on the file system of -w"):
        check_links(str(tmp_path / "ring"), "/dev/shm")
