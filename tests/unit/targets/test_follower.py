"""What is found, look by look -> interfaces to add and to end, and lines that are said once."""

import queue
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import cast

import pytest

from capture.errors import BicapError, SpecError, TargetError, VerifierError
from capture.filters.podname import PodName
from capture.filters.rule import Address
from capture.kernel.attachments import Loaded
from capture.plan import Interface, Place, PlannedInterface, make_plan
from capture.selection.pod import Pod
from capture.selection.selection import Selection
from capture.spec import CaptureSpec, Hook
from capture.targets import follower
from capture.targets.finder import Finder, Found
from capture.targets.follower import Follower, Update
from testbed.patience import PATIENCE

LOOKS = 2
"""After an event: what the first brought has been told when the last begins."""
ADDRESS = ip_address("10.0.0.1")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "SETTLING_SECONDS", (0.0, 0.01))
    monkeypatch.setattr(follower, "AGAIN_SECONDS", 0.05)


def place(name: str, sandbox: str = "", index: int = 7) -> Place:
    """The interface of a pod."""
    pod = Pod(name=PodName("shop", name), uid=name, sandbox=sandbox or name, ready=True)
    return Place(interface=Interface(f"veth-{name}", index, 1), name=f"shop/{name}:eth0", description="", pod=pod)


@dataclass
class World:
    """A follower of a node whose events and pods a test makes up; nothing is loaded into any kernel."""

    slots: int = 1024
    found: Found | BicapError = field(default_factory=Found)
    fails_to_load: dict[str, BicapError] = field(default_factory=dict)
    groups_error: BicapError | None = None
    looks: "queue.SimpleQueue[None]" = field(default_factory=queue.SimpleQueue)
    events: "queue.SimpleQueue[bool]" = field(default_factory=queue.SimpleQueue)

    def __enter__(self) -> "World":
        spec = CaptureSpec(pods=Selection(everything=True))
        plan = replace(make_plan(spec, [], Hook.TCX, [0], batching=True), slots=self.slots)
        node = SimpleNamespace(runtime=SimpleNamespace(path="cri.sock", changes=self._changes))
        finder = SimpleNamespace(nodes=(node,), look=self._look, hang_up=lambda: self.events.put(False), close=int)
        self.follower = Follower(cast(Finder, finder), plan, self._load, self._set_groups, lambda: None)
        self.follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.close()

    def _changes(self) -> Iterator[None]:
        while self.events.get():
            yield
        raise TargetError("ended")

    def _look(self) -> Found:
        try:
            if isinstance(self.found, BicapError):
                raise self.found
            return self.found
        finally:
            self.looks.put(None)

    def _load(self, planned: PlannedInterface) -> Loaded:
        if planned.name in self.fails_to_load:
            raise self.fails_to_load[planned.name]
        return Loaded(planned, ())

    def _set_groups(self, _: Mapping[Address, int]) -> None:
        if self.groups_error is not None:
            raise self.groups_error

    def after_event(self, found: Found | BicapError) -> Update:
        """All that is told when something happened, and this is what there is."""
        self.found = found
        self.events.put(True)
        for _ in range(LOOKS):
            self.looks.get(timeout=PATIENCE)
        updates = self.follower.take()
        return Update(
            come=tuple(loaded for update in updates for loaded in update.come),
            gone=tuple(slot for update in updates for slot in update.gone),
            names={address: name for update in updates for address, name in update.names.items()},
            troubles=tuple(trouble for update in updates for trouble in update.troubles),
        )


def came(update: Update) -> list[tuple[int, str]]:
    return [(loaded.planned.slot, loaded.planned.name) for loaded in update.come]


def test_a_pod_that_is_made_again_is_another_interface_even_with_the_same_number() -> None:
    with World() as world:
        assert came(world.after_event(Found(places=(place("web-0", "s1"),)))) == [(0, "shop/web-0:eth0")]
        update = world.after_event(Found(places=(place("web-0", "s2"),)))
        assert (update.gone, came(update)) == ((0,), [(1, "shop/web-0:eth0#2")])


def test_beyond_the_limit_of_interfaces_it_is_said_once_and_the_others_are_followed() -> None:
    with World(slots=2) as world:
        assert len(came(world.after_event(Found(places=(place("a"), place("b")))))) == 2
        update = world.after_event(Found(places=(place("b"), place("c"))))  # the number of one that went is not free
        assert (update.gone, came(update)) == ((0,), [])
        assert update.troubles == ("shop/c:eth0 is not captured: a capture has at most 2 interfaces",)
        assert world.after_event(Found(places=(place("c"),))) == Update(gone=(1,))


def test_what_cannot_be_loaded_is_said_once_and_tried_again() -> None:
    with World(fails_to_load={"shop/a:eth0": VerifierError("too many instructions")}) as world:
        update = world.after_event(Found(places=(place("a"), place("b"))))
        assert came(update) == [(0, "shop/b:eth0")]
        assert update.troubles == ("shop/a:eth0 is not captured: too many instructions",)
        world.fails_to_load.clear()
        assert came(world.after_event(Found(places=(place("a"), place("b"))))) == [(1, "shop/a:eth0")]


@pytest.mark.parametrize("error", [TargetError("the runtime is away"), SpecError("too many")])
def test_a_look_that_fails_takes_nothing_away(error: BicapError) -> None:
    with World() as world:
        world.after_event(Found(places=(place("a"),)))
        assert world.after_event(error) == Update(troubles=(str(error),))
        assert world.after_event(Found(places=(place("a"), place("b")))).gone == ()
        assert world.after_event(error).troubles == (str(error),)  # again, after it was well


def test_addresses_that_do_not_fit_the_filter_are_a_trouble_and_pods_are_followed() -> None:
    with World(groups_error=SpecError("pods and node have too many addresses")) as world:
        update = world.after_event(Found(places=(place("a"),)))
        assert (came(update), update.troubles) == ([(0, "shop/a:eth0")], ("pods and node have too many addresses",))


def test_names_are_told_when_they_are_new() -> None:
    with World() as world:
        assert world.after_event(Found(names={ADDRESS: "shop/a"})).names == {ADDRESS: "shop/a"}
        assert world.after_event(Found(names={ADDRESS: "shop/a"})) == Update()
        assert world.after_event(Found(names={ADDRESS: "shop/b"})).names == {ADDRESS: "shop/b"}


def test_after_a_trouble_it_is_looked_again_without_an_event() -> None:
    with World() as world:
        world.after_event(Found(answered=False))
        for _ in range(2):
            world.looks.get(timeout=PATIENCE)
