"""What a recorder's process says, and orders of the controller -> firings, causes, and a status; nothing twice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from capture.agent.folder import CaptureFolder
from capture.agent.recorder_here import LISTED_SECONDS, RecorderHere, ring_of
from capture.agent.state import CaptureRecord
from capture.cluster.recorder_objects import FIRINGS_SHOWN, FiredOrder
from capture.nursery.exchange import Progress, RingOrder, TriggerFired
from capture.nursery.nursery import CaptureChild

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
NOW_NS = round(NOW.timestamp()) * 10**9
WEB = "tcp 10.1.0.5:4000 > 10.2.0.7:80"


class FakeChild(CaptureChild):
    """A recorder's process that says what a test has it say."""

    def __init__(self) -> None:
        self.fired, self.incidents = [], 0
        self.interfaces = ["web:eth0"]
        self.progress: Progress | None = None
        self.rung: list[RingOrder] = []

    def ring(self, order: RingOrder) -> bool:
        """Keep an order."""
        self.rung.append(order)
        return True


@dataclass
class Here:
    """A recorder on n1 whose clock is set by hand."""

    path: Path
    now: float = 100.0
    child: FakeChild = field(default_factory=FakeChild)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let another agent take over."""
        folder = CaptureFolder(self.path)
        self.state = folder.load() or CaptureRecord("uid", "shop/c")
        self.recorder = RecorderHere(self.state, folder, "n1", lambda: self.now)

    def fires(self, number: int, session: str = WEB) -> None:
        self.child.fired.append(TriggerFired(number, "rst>0", NOW_NS, session, "synchronised"))
        self.recorder.hear(self.child)

    @property
    def listed(self) -> list[str]:
        return [firing.id for firing in self.recorder.status(0).firings]


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "uid")


def order(number: int = 1, **given: object) -> FiredOrder:
    made = FiredOrder(f"n2-{number}", number, NOW, NOW, "n2", "retransmitted>=1", "", WEB, "1:abc")
    for name, value in given.items():
        setattr(made, name, value)
    return made


def test_a_firing_has_a_name_a_time_and_the_identity_of_its_conversation(here: Here) -> None:
    here.fires(1)
    (firing,) = here.recorder.status(0).firings
    assert (firing.id, firing.at, firing.rule, firing.session) == ("n1-1", NOW, "rst>0", WEB)
    assert firing.community_id.startswith("1:")
    assert firing.clock == "synchronised"


def test_firings_leave_the_status_and_stay_counted(here: Here) -> None:
    here.fires(1)
    here.now += LISTED_SECONDS - 1
    here.fires(2, "")
    assert here.listed == ["n1-1", "n1-2"]
    here.now += 2
    assert here.listed == ["n1-2"]
    assert here.recorder.status(0).fired == 2


def test_what_the_process_only_counted_is_counted(here: Here) -> None:
    here.fires(1)
    here.fires(40)
    assert here.listed == ["n1-1", "n1-40"]
    assert here.recorder.status(0).fired == 40


def test_the_latest_firings_are_listed(here: Here) -> None:
    for number in range(1, 30):
        here.fires(number)
    assert here.listed == [f"n1-{number}" for number in range(30 - FIRINGS_SHOWN, 30)]


def test_names_are_never_used_again(here: Here) -> None:
    here.fires(1)
    here.recorder.begins()
    here.fires(1)
    here.restart()
    here.fires(1)
    assert here.listed == ["n1-3"]


def test_an_order_is_carried_out_once_also_after_another_agent_took_over(here: Here) -> None:
    orders = [order(1)]
    here.recorder.tell(here.child, orders)
    orders.append(order(2))
    here.recorder.tell(here.child, orders)
    here.restart()
    here.recorder.tell(here.child, orders)
    assert [one.labels["firing"] for one in here.child.rung] == ["n2-1", "n2-2"]


def test_an_order_that_comes_before_it_records_is_of_no_use_later(here: Here) -> None:
    here.recorder.tell(None, [order()])
    here.recorder.tell(here.child, [order()])
    assert here.child.rung == []


def test_a_cause_says_where_it_is_from(here: Here) -> None:
    assert ring_of(order(), NOW) == RingOrder(
        "other-node", NOW_NS, "n2: retransmitted>=1", WEB,
        {"firing": "n2-1", "source": "n2", "communityId": "1:abc"},
    )  # fmt: skip
    alert = order(id="alert-1", source="alertmanager", rule="Slow", reason="p99 is 3 s", session="", community_id="")
    assert ring_of(alert, NOW) == RingOrder(
        "alertmanager", NOW_NS, "Slow: p99 is 3 s", "", {"firing": "alert-1", "source": "alertmanager"}
    )


TIMES = [
    (timedelta(seconds=-0.5), timedelta(seconds=-0.5)),
    (timedelta(seconds=-9), timedelta(seconds=-9)),
    (timedelta(seconds=-11), timedelta(0)),
    (timedelta(hours=-1), timedelta(0)),
    (timedelta(seconds=0.2), timedelta(0)),
    (timedelta(hours=1), timedelta(0)),
]


@pytest.mark.parametrize(("said", "believed"), TIMES, ids=[str(said.total_seconds()) for said, _ in TIMES])
def test_a_time_that_cannot_be_is_that_of_a_wrong_clock(said: timedelta, believed: timedelta) -> None:
    assert ring_of(order(at=NOW + said), NOW).at_ns == NOW_NS + round(believed.total_seconds() * 1e9)


def test_the_status_says_how_far_back_memory_reaches(here: Here) -> None:
    here.child.progress = Progress({}, [], "64.0 MiB of memory reach 5 s back")
    here.recorder.hear(here.child)
    status = here.recorder.status(7)
    assert (status.memory, status.remembered) == ("64.0 MiB of memory reach 5 s back", 7)
