"""Planned interfaces, and pods that come and go -> programs in place, a roster of whom they serve, events to tell.

The loop asks for what is new between two rounds of its loop; what takes long happens in the follower's threads.
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
"""Between looks at whether a capture that waits for its first pod should end."""


class Lineup:
    """The interfaces of a running capture.

    `roster` is filled, `wake` is notified when pods changed, `watch` is given descriptors that become readable when
    interfaces go, `on_event` is told a line when something happened.
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
        """Load what was planned, and begin to follow pods. Nothing is attached. Raises BicapError.

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
        """Put what is prepared in place. Raises BicapError; where pods are followed, only if nothing is there."""
        refusals = {slot: error for slot, loaded in self._loaded.items() if (error := self._attach(loaded))}
        if refusals and len(refusals) == len(self._loaded):
            error = next(iter(refusals.values()))
            if not isinstance(error, TargetError):
                raise error
        for slot, error in refusals.items():
            self._refused(slot, error)

    def _attach(self, loaded: Loaded) -> BicapError | None:
        """Put the programs of an interface in place; where pods are followed, why that was not possible."""
        planned = loaded.planned
        self.roster.add(planned, time.monotonic_ns())
        self.cost.come(loaded.programs)
        try:
            self.roster.members[planned.slot].hooks = self._attachments.add(loaded)
        except BicapError as error:
            if not self._plan.spec.follows:
                raise
            return error
        return None

    def _refused(self, slot: int, error: BicapError) -> None:
        went = isinstance(error, TargetError)
        self._end(slot, f"{'went before it was' if went else 'is not'} captured: {error}")

    def await_first(self, ended: Callable[[], bool]) -> Mapping[Address, str]:
        """Return when there is an interface, or `ended` says that nobody waits for it; names that became known."""
        names: dict[Address, str] = {}
        if not self.roster.present:
            self._tell(f"waiting for {self._plan.spec.pods}")
        while not self.roster.present and not ended():
            self._wake.wait(PATIENCE_SECONDS)
            names |= self.take()[1]
        return names

    def take(self) -> tuple[Sequence[PlannedInterface], Mapping[Address, str]]:
        """Follow the pods: the interfaces that came, where packets are caught from now on, and names."""
        come: list[PlannedInterface] = []
        names: dict[Address, str] = {}
        for update in self._follower.take() if self._follower else ():
            names |= update.names
            for slot in update.gone:
                self._end(slot, "went")
            for loaded in update.come:
                self._loaded[loaded.planned.slot] = loaded
                come.append(loaded.planned)
                error = self._attach(loaded)
                if error:
                    self._refused(loaded.planned.slot, error)
                else:
                    self._tell(f"{loaded.planned.name} came, on {loaded.planned.interface.name}")
            for trouble in update.troubles:
                self._tell(trouble)
        return come, names

    def forget_deleted(self, ready: Collection[int] | None = None) -> None:
        """End interfaces that the kernel deleted, where the watched descriptor is `ready` (None: everywhere)."""
        for slot in self._attachments.gone(ready):
            self._end(slot, "was deleted")

    def _end(self, slot: int, why: str) -> None:
        """Nothing more comes from an interface; what it had is in the rings, and is written."""
        self._attachments.remove(slot)
        if slot in self._loaded:
            loaded = self._loaded.pop(slot)
            self.cost.go(loaded.programs)
            loaded.close()
        if self.roster.end(slot, time.monotonic_ns()):
            self._tell(f"{self.roster.members[slot].planned.name} {why}")

    def _tell(self, text: str) -> None:
        self.events.append(Event(time.time_ns(), text))
        self._on_event(text)

    def detach(self) -> None:
        """Take all programs away from their places."""
        if self._follower:
            self._follower.close()
            self._follower = None
        self._attachments.close()

    def close(self) -> None:
        """Give everything back."""
        self.detach()
        for loaded in self._loaded.values():
            loaded.close()
        self._loaded.clear()
