"""Events of the container runtimes -> interfaces to add and to remove, prepared outside the loop over packets.

A thread finds the present pods, puts new addresses into the running filter, and loads the programs of new interfaces;
the loop only attaches loaded ones. One more thread for each runtime waits for its events.
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
"""Seconds from an event to each search for pods: a runtime reports a pod shortly before the pod is ready."""
RETRY_SECONDS = 1.0
"""Seconds between searches if a runtime has no events, or did not answer for every pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Changes since the last update."""

    added: tuple[Loaded, ...] = ()
    removed: tuple[int, ...] = ()
    """Slots of interfaces that were removed."""
    names: Mapping[Address, str] = field(default_factory=dict)
    """New names of addresses."""
    troubles: tuple[str, ...] = ()
    """New problems, one line each."""


class Follower:
    """Follows pods from `start` to `close`. `wake` is called when `updates` has something to return."""

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
        self._interfaces = [*plan.interfaces, *([plan.events] if plan.events else [])]
        self._slots = {planned.place.key: planned.slot for planned in plan.interfaces}
        self._reported: frozenset[str] = frozenset()
        self._names: Mapping[Address, str] = {}
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._changed = threading.Event()
        self._settling, self._answered = False, True
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        for node in self._finder.nodes:
            self._run(f"events of {os.path.basename(node.runtime.path)}", partial(self._listen, node))
        self._run("follower", self._follow)

    def _run(self, name: str, function: Callable[[], None]) -> None:
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def updates(self) -> list[Update]:
        """Return the updates since the last call, in order; does not wait."""
        ready = []
        while True:
            try:
                ready.append(self._updates.get_nowait())
            except queue.Empty:
                return ready

    def close(self) -> None:
        """End the threads, and close the programs in updates that nobody read."""
        self._ending.set()
        self._changed.set()
        self._finder.hang_up()  # so that nothing waits for events any more
        for thread in self._threads:
            thread.join()
        self._finder.close()
        for update in self.updates():
            for loaded in update.added:
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
                settling = False  # the search for pods reports the error
            self._ending.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        while not self._ending.is_set():
            self._changed.wait(None if self._answered else RETRY_SECONDS)
            self._changed.clear()
            moments, self._settling = SETTLING_SECONDS if self._settling else (0.0,), False
            began = time.monotonic()
            for after in moments:
                if self._ending.wait(max(0.0, began + after - time.monotonic())):
                    return
                try:
                    found = self._finder.look()
                    self._answered = found.answered
                    self._update(found)
                except BicapError as error:
                    self._answered = False
                    self._update(None, str(error))

    def _update(self, found: Found | None, *more: str) -> None:
        """Put an update into the queue, if anything changed. `found` is None after an error, which is in `more`."""
        troubles = {*(found.troubles if found else ()), *more}
        added: list[Loaded] = []
        removed: list[int] = []
        if found is not None:
            try:
                self._set_groups(found.groups)
            except BicapError as error:
                troubles.add(str(error))
            present = {place.key: place for place in found.places}
            for key in [key for key in self._slots if key not in present]:
                removed.append(self._slots.pop(key))
            for place in present.values():
                if place.key not in self._slots:
                    added += self._add(place, troubles)
        new_troubles = tuple(sorted(troubles - self._reported))
        self._reported = frozenset(troubles)
        names: Mapping[Address, str] = {}
        if found is not None:
            names = {a: name for a, name in found.names.items() if self._names.get(a) != name}
            self._names = found.names
        if added or removed or new_troubles or names:
            update = Update(added=tuple(added), removed=tuple(removed), names=names, troubles=new_troubles)
            self._updates.put(update)
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
