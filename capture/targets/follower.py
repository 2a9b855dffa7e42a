"""Word that pods changed -> interfaces to add and to end, prepared beside the loop over packets.

A thread looks, puts new addresses into the running filter, and loads the programs of new interfaces; the loop only
attaches what is ready. One thread more for each runtime waits for its events.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from capture.errors import BicapError
from capture.filters.rule import Address
from capture.kernel.attachments import Loaded
from capture.plan import CapturePlan, Place, PlannedInterface, next_interface
from capture.targets.finder import Finder, Found
from capture.targets.node import Node

SETTLING_SECONDS = (0.0, 0.1, 0.4)
"""After an event it is looked so often: runtimes tell of a pod a little before they say that it is ready."""
AGAIN_SECONDS = 1.0
"""Between looks at a runtime without events, or that does not answer, or not for each pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What changed since the last one."""

    come: tuple[Loaded, ...] = ()
    gone: tuple[int, ...] = ()
    """Slots."""
    names: Mapping[Address, str] = field(default_factory=dict)
    """Of addresses that had none, or another."""
    troubles: tuple[str, ...] = ()


class Follower:
    """Runs between `start` and `close`; `take` gives what is ready, and `wake` is called when there is some."""

    def __init__(
        self,
        finder: Finder,
        plan: CapturePlan,
        load: Callable[[PlannedInterface], Loaded],
        set_groups: Callable[[Mapping[Address, int]], None],
        wake: Callable[[], None],
    ) -> None:
        self._finder, self._plan, self._load = finder, plan, load
        self._set_groups, self._wake = set_groups, wake
        self._interfaces = list(plan.interfaces)
        self._slots = {planned.place.key: planned.slot for planned in plan.interfaces}
        self._told: frozenset[str] = frozenset()
        self._names: Mapping[Address, str] = {}
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._changed = threading.Event()
        self._settling, self._answered = False, True
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to follow."""
        for node in self._finder.nodes:
            self._run(f"events of {os.path.basename(node.runtime.path)}", partial(self._listen, node))
        self._run("follower", self._follow)

    def _run(self, name: str, function: Callable[[], None]) -> None:
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def take(self) -> list[Update]:
        """Updates that are ready, in their order; does not wait."""
        ready = []
        while True:
            try:
                ready.append(self._updates.get_nowait())
            except queue.Empty:
                return ready

    def close(self) -> None:
        """End the threads, and give back what nobody took."""
        self._ending.set()
        self._changed.set()
        self._finder.hang_up()  # ends waiting for events
        for thread in self._threads:
            thread.join()
        self._finder.close()
        for update in self.take():
            for loaded in update.come:
                loaded.close()

    def _listen(self, node: Node) -> None:
        settling = True
        while not self._ending.is_set():
            try:
                for _ in node.runtime.changes():
                    self._settling |= settling
                    self._changed.set()
                    settling = True
            except (BicapError, NotImplementedError):
                settling = False  # what is wrong shows when it is looked
            self._ending.wait(AGAIN_SECONDS)

    def _follow(self) -> None:
        while not self._ending.is_set():
            self._changed.wait(None if self._answered else AGAIN_SECONDS)
            self._changed.clear()
            moments, self._settling = SETTLING_SECONDS if self._settling else (0.0,), False
            began = time.monotonic()
            for after in moments:
                if self._ending.wait(max(0.0, began + after - time.monotonic())):
                    return
                try:
                    found = self._finder.look()
                    self._answered = found.answered
                    self._tell(found)
                except BicapError as error:
                    self._answered = False
                    self._tell(None, str(error))

    def _tell(self, found: Found | None, *more: str) -> None:
        troubles = {*(found.troubles if found else ()), *more}
        come: list[Loaded] = []
        gone: list[int] = []
        if found is not None:
            try:
                self._set_groups(found.groups)
            except BicapError as error:
                troubles.add(str(error))
            there = {place.key: place for place in found.places}
            for key in [key for key in self._slots if key not in there]:
                gone.append(self._slots.pop(key))
            for place in there.values():
                if place.key not in self._slots:
                    come += self._add(place, troubles)
        news = tuple(sorted(troubles - self._told))
        self._told = frozenset(troubles)
        names: Mapping[Address, str] = {}
        if found is not None:
            names = {a: name for a, name in found.names.items() if self._names.get(a) != name}
            self._names = found.names
        if come or gone or news or names:
            self._updates.put(Update(come=tuple(come), gone=tuple(gone), names=names, troubles=news))
            self._wake()

    def _add(self, place: Place, troubles: set[str]) -> list[Loaded]:
        if len(self._interfaces) >= self._plan.slots:
            troubles.add(f"{place.name} is not captured: a capture has at most {self._plan.slots:,} interfaces")
            return []
        planned = next_interface(self._interfaces, place)
        try:
            loaded = self._load(planned)
        except BicapError as error:
            troubles.add(f"{place.name} is not captured: {error}")
            return []
        self._interfaces.append(planned)
        self._slots[place.key] = planned.slot
        return [loaded]
