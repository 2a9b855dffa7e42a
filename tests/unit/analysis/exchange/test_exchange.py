"""One session read again: the same packets, marks and numbers as in the whole file, whatever lies between them."""

from pathlib import Path

import numpy as np
import pytest

from capture.analysis.exchange.packets_of import Exchange, exchange
from capture.analysis.exchange.reduction import ALL, kept
from capture.analysis.exchange.runs import items
from capture.analysis.packets.again import Places, read_again
from capture.analysis.packets.packet_table import Mark
from capture.analysis.packets.reading import CaptureFile
from capture.analysis.sessions.tracker import Tracker
from testbed import shop


class Whole:
    """A file that was read once: what the tracker wrote into its packets, and where they are."""

    def __init__(self, path: Path) -> None:
        self.path, self.places = str(path), Places()
        tracker, columns = Tracker(), []
        with CaptureFile(self.path) as capture:
            for batch in capture:
                list(tracker.feed(batch.data, batch.packets))
                columns.append(batch.packets.copy())
                self.places.add(batch)
            self.reader = capture.description
        self.packets = np.concatenate(columns)

    def of(self, session: int) -> Exchange:
        wanted = self.packets["number"][self.packets["session"] == session]
        return exchange(session, read_again(self.path, self.reader, self.places, wanted, False), wanted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    path = tmp_path_factory.mktemp("shop") / "shop.pcapng"
    shop.write(path)
    return Whole(path)


@pytest.mark.slow
def test_each_session_has_the_packets_and_marks_of_the_whole_file(whole: Whole) -> None:
    for session in range(1, int(whole.packets["session"].max()) + 1):
        talk = whole.of(session)
        mine = whole.packets[whole.packets["session"] == session]
        for name in ("number", "time_ns", "side", "marks", "payload", "original", "tcp_flags"):
            assert (talk[name] == mine[name]).all(), (session, name)


def test_numbers_are_relative_to_the_syn_and_windows_in_bytes(whole: Whole) -> None:
    talk = whole.of(71)
    assert talk.has_syn == (True, True)
    assert talk.scales == (7, 7)
    assert talk.sequence[:4].tolist() == [0, 0, 1, 1]
    assert talk.acknowledgment[:3].tolist() == [0, 1, 1]
    assert int(talk.window[-1]) % 128 == 0
    assert int((talk.sequence + talk["payload"]).max()) <= 720_000 + 2


def test_what_was_sent_again_names_its_first_copy(whole: Whole) -> None:
    talk = whole.of(71)
    again = np.flatnonzero(talk["marks"] & Mark.REPEATED)
    assert len(again) == 7
    first = talk.first_copy[again]
    assert (first >= 0).all()
    assert (talk.sequence[first] == talk.sequence[again]).all()
    assert (first < again).all()


def test_blocks_of_sack_lie_above_what_is_acknowledged(whole: Whole) -> None:
    talk = whole.of(71)
    packet, low, high = talk.sacks.T
    assert len(packet) > 50
    assert (low > talk.acknowledgment[packet]).all()
    assert (high > low).all()


def test_bytes_in_flight_end_at_nothing(whole: Whole) -> None:
    up, down = whole.of(71).in_flight
    assert down.max() > 100_000
    assert up[-1] <= 1
    assert down[-1] <= 1


def test_runs_hold_every_packet_once_and_nothing_that_is_marked(whole: Whole) -> None:
    talk = whole.of(71)
    found = items(talk, 14_000_000, True)
    covered = np.concatenate([np.arange(i, j + 1) for i, j in zip(found.first, found.last, strict=True)])
    assert (covered == np.arange(len(talk))).all()
    for i, j, run in zip(found.first, found.last, found.run_of, strict=True):
        if run >= 0:
            assert j - i + 1 >= 4
            assert not talk["marks"][i : j + 1].any()


def test_reduction_keeps_the_extremes_of_every_pixel() -> None:
    chance = np.random.default_rng(1)
    times = np.sort(chance.integers(0, 10**9, 5 * ALL))
    values = chance.integers(0, 10**6, len(times))
    few = kept(times, values, values, 0, 10**9, 500)
    assert len(few) <= 4 * 502
    for column in range(500):
        inside = times * 500 // 10**9 == column
        mine = np.isin(np.flatnonzero(inside), few)
        assert values[inside][mine].max() == values[inside].max()
        assert values[inside][mine].min() == values[inside].min()
        assert mine[0]
        assert mine[-1]
