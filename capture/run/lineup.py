"""Planned interfaces, and pods that are added and deleted -> attached programs, a roster of interfaces, and events.

The loop calls `follow` between two rounds; work that takes long is done in the follower's threads.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from capture.errors import BicapError, TargetError
from capture.filters.rule import Address
from capture.kernel.attachments import Attachments, Loaded, load
from capture.kernel.cost import KernelCost
from capture.kernel.descriptors import DESCRIPTORS, allow_descriptors
from capture.kernel.groups_map import GroupsMap
from capture.kernel.program import Module
from capture.plan import CapturePlan, PlannedInterface
from capture.run.ending import Wake
from capture.run.roster import Event, Roster
from capture.targets.finder import Finder
from capture.targets.follower import Follower

PATIENCE_SECONDS = 1.0
"""Seconds between checks if a capture that waits for its first pod should end."""


class Lineup:
    """The interfaces of a running capture.

    Members are added to `roster`. `wake` is notified when pods change. `watch` is called with descriptors that become
    readable when interfaces are deleted, `on_event` with a line of text for each event.
    """

    def __init__(
        self,
        plan: CapturePlan,
        module: Module,
        roster: Roster,
        wake: Wake,
        watch: Callable[[int], None],
        on_event: Callable[[str], None],
    ) -> None:
        self._plan, self._module, self._wake, self._on_event = plan, module, wake, on_event
        self.roster = roster
        self.cost = KernelCost()
        self.events: list[Event] = []
        self._follower: Follower | None = None
        self._loaded: dict[int, Loaded] = {}
        self._attachments = Attachments(plan.hook, plan.spec.netns, watch)

    def prepare(self) -> Mapping[Address, str]:
        """Load the planned programs and begin to follow pods; nothing is attached. Raises BicapError.

        Returns the names of the pods' addresses.
        """
        plan, module = self._plan, self._module
        allow_descriptors(plan.slots * DESCRIPTORS)
        for interface in plan.interfaces:
            self._loaded[interface.slot] = load(module, interface, plan.hook)
        if not plan.spec.follows:
            return {}
        finder = Finder(plan.spec)
        groups = GroupsMap(module.map_fd("groups"), dict(plan.filter.switches)["GROUPS"])
        self._follower = Follower(
            finder,
            plan,
            lambda interface: load(module, interface, plan.hook),
            groups.replace,
            self._wake.notify,
        )
        found = finder.look()
        groups.replace(found.groups)
        self._follower.start()
        return found.names

    def attach(self) -> None:
        """Attach the loaded programs. Raises BicapError; where pods are followed, only if none can be attached."""
        refusals = {slot: error for slot, loaded in self._loaded.items() if (error := self._attach(loaded))}
        if refusals and len(refusals) == len(self._loaded):
            error = next(iter(refusals.values()))
            if not isinstance(error, TargetError):
                raise error
        if self._plan.events is not None:
            self.roster.add(self._plan.events, time.monotonic_ns())
        for slot, error in refusals.items():
            self._refused(slot, error)

    def _attach(self, loaded: Loaded) -> BicapError | None:
        """Attach the programs of an interface. Where pods are followed, returns the error instead of raising it."""
        planned = loaded.planned
        self.roster.add(planned, time.monotonic_ns())
        self.cost.add(loaded.programs)
        try:
            self.roster.members[planned.slot].hooks = self._attachments.add(loaded)
        except BicapError as error:
            if not self._plan.spec.follows:
                raise
            return error
        return None

    def _refused(self, slot: int, error: BicapError) -> None:
        deleted = isinstance(error, TargetError)
        self._end(slot, f"{'was deleted before it was' if deleted else 'is not'} captured: {error}")

    def await_first(self, ended: Callable[[], bool]) -> Mapping[Address, str]:
        """Wait until there is an interface, or until `ended` returns True. Returns new names of addresses."""
        names: dict[Address, str] = {}
        if not self.roster.present:
            self._report(f"waiting for {self._plan.spec.pods}")
        while not self.roster.present and not ended():
            self._wake.wait(PATIENCE_SECONDS)
            names |= self.follow()[1]
        return names

    def follow(self) -> tuple[Sequence[PlannedInterface], Mapping[Address, str]]:
        """Apply the changes of pods since the last call. Returns the interfaces added, and new names of addresses."""
        added: list[PlannedInterface] = []
        names: dict[Address, str] = {}
        for update in self._follower.updates() if self._follower else ():
            names |= update.names
            for slot in update.removed:
                self._end(slot, "was removed")
            for loaded in update.added:
                self._loaded[loaded.planned.slot] = loaded
                added.append(loaded.planned)
                error = self._attach(loaded)
                if error:
                    self._refused(loaded.planned.slot, error)
                else:
                    self._report(f"{loaded.planned.name} was added, on {loaded.planned.interface.name}")
            for trouble in update.troubles:
                self._report(trouble)
        return added, names

    def end_deleted(self, ready: Collection[int] | None = None) -> None:
        """End interfaces that the kernel deleted, where the watched descriptor is `ready` (None: everywhere)."""
        for slot in self._attachments.gone(ready):
            self._end(slot, "was deleted")

    def _end(self, slot: int, why: str) -> None:
        """Detach and close an interface's programs; its records that are in the rings will still be written."""
        self._attachments.remove(slot)
        if slot in self._loaded:
            loaded = self._loaded.pop(slot)
            self.cost.remove(loaded.programs)
            loaded.close()
        if self.roster.end(slot, time.monotonic_ns()):
            self._report(f"{self.roster.members[slot].planned.name} {why}")

    def _report(self, text: str) -> None:
        self.events.append(Event(time.time_ns(), text))
        self._on_event(text)

    def detach(self) -> None:
        """Stop following pods, and detach all programs."""
        if self._follower:
            self._follower.close()
            self._follower = None
        self._attachments.close()

    def close(self) -> None:
        """Detach and close everything."""
        self.detach()
        for loaded in self._loaded.values():
            loaded.close()
        self._loaded.clear()
