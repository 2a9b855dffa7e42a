"""The results of searches in order -> interfaces to add and to remove, and troubles that are reported once."""

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
"""Searches after an event; the result of the first is in an update when the last begins."""
ADDRESS = ip_address("10.0.0.1")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "SETTLING_SECONDS", (0.0, 0.01))
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.05)


def place(name: str, sandbox: str = "", index: int = 7) -> Place:
    """Return the place of a pod's interface."""
    pod = Pod(name=PodName("shop", name), uid=name, sandbox=sandbox or name, ready=True)
    return Place(interface=Interface(f"veth-{name}", index, 1), name=f"shop/{name}:eth0", description="", pod=pod)


@dataclass
class World:
    """A follower of a node whose events and pods the test chooses; no program is loaded."""

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
        """Send an event, let searches find `found`, and return all updates as one."""
        self.found = found
        self.events.put(True)
        for _ in range(LOOKS):
            self.looks.get(timeout=PATIENCE)
        updates = self.follower.updates()
        return Update(
            added=tuple(loaded for update in updates for loaded in update.added),
            removed=tuple(slot for update in updates for slot in update.removed),
            names={address: name for update in updates for address, name in update.names.items()},
            troubles=tuple(trouble for update in updates for trouble in update.troubles),
        )


def added(update: Update) -> list[tuple[int, str]]:
    return [(loaded.planned.slot, loaded.planned.name) for loaded in update.added]


def test_a_pod_that_is_made_anew_is_another_interface_even_with_the_same_ifindex() -> None:
    with World() as world:
        assert added(world.after_event(Found(places=(place("web-0", "s1"),)))) == [(0, "shop/web-0:eth0")]
        update = world.after_event(Found(places=(place("web-0", "s2"),)))
        assert (update.removed, added(update)) == ((0,), [(1, "shop/web-0:eth0#2")])


def test_an_interface_beyond_the_limit_is_reported_once_and_the_others_are_followed() -> None:
    with World(slots=2) as world:
        assert len(added(world.after_event(Found(places=(place("a"), place("b")))))) == 2
        update = world.after_event(Found(places=(place("b"), place("c"))))  # the number of one that went is not free
        assert (update.removed, added(update)) == ((0,), [])
        assert update.troubles == ("shop/c:eth0 is not captured: a capture has at most 2 interfaces",)
        assert world.after_event(Found(places=(place("c"),))) == Update(removed=(1,))


def test_an_interface_that_cannot_be_loaded_is_reported_once_and_tried_again() -> None:
    with World(fails_to_load={"shop/a:eth0": VerifierError("too many instructions")}) as world:
        update = world.after_event(Found(places=(place("a"), place("b"))))
        assert added(update) == [(0, "shop/b:eth0")]
        assert update.troubles == ("shop/a:eth0 is not captured: too many instructions",)
        world.fails_to_load.clear()
        assert added(world.after_event(Found(places=(place("a"), place("b"))))) == [(1, "shop/a:eth0")]


@pytest.mark.parametrize("error", [TargetError("the runtime is away"), SpecError("too many")])
def test_a_failed_search_removes_nothing(error: BicapError) -> None:
    with World() as world:
        world.after_event(Found(places=(place("a"),)))
        assert world.after_event(error) == Update(troubles=(str(error),))
        assert world.after_event(Found(places=(place("a"), place("b")))).removed == ()
        assert world.after_event(error).troubles == (str(error),)  # again, after it was well


def test_too_many_addresses_for_the_filter_are_a_trouble_and_pods_are_still_followed() -> None:
    with World(groups_error=SpecError("pods and node have too many addresses")) as world:
        update = world.after_event(Found(places=(place("a"),)))
        assert (added(update), update.troubles) == ([(0, "shop/a:eth0")], ("pods and node have too many addresses",))


def test_names_are_reported_when_they_are_new() -> None:
    with World() as world:
        assert world.after_event(Found(names={ADDRESS: "shop/a"})).names == {ADDRESS: "shop/a"}
        assert world.after_event(Found(names={ADDRESS: "shop/a"})) == Update()
        assert world.after_event(Found(names={ADDRESS: "shop/b"})).names == {ADDRESS: "shop/b"}


def test_after_a_trouble_the_search_is_repeated_without_an_event() -> None:
    with World() as world:
        world.after_event(Found(answered=False))
        for _ in range(2):
            world.looks.get(timeout=PATIENCE)
