"""Planned interfaces -> programs in place on both their sides; and word of interfaces that went."""

import contextlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from capture.errors import BicapError, TargetError
from capture.kernel.attach import EGRESS, INGRESS, attach
from capture.kernel.links import LinkWatch
from capture.kernel.netns import Namespace
from capture.kernel.program import Module
from capture.plan import Interface, PlannedInterface
from capture.spec import Hook


def sides(planned: PlannedInterface) -> dict[str, str]:
    """On which side of the interface each program sits."""
    way = (INGRESS, EGRESS) if planned.from_pod_is_ingress else (EGRESS, INGRESS)
    return dict(zip(("from_pod", "to_pod"), way, strict=True))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The programs of an interface, in the kernel and not yet attached: loading takes long, attaching does not."""

    planned: PlannedInterface
    programs: tuple[int, ...]

    def close(self) -> None:
        """Give them back; what is attached runs on."""
        for program in self.programs:
            os.close(program)


def load(module: Module, planned: PlannedInterface, hook: Hook) -> Loaded:
    """Load both programs of an interface. Raises VerifierError, PrivilegeError."""
    programs: list[int] = []
    try:
        for entry, side in sides(planned).items():
            xdp = hook is Hook.XDP and side == INGRESS
            programs.append(module.load(entry, planned.slot, shared=planned.place.shared, xdp=xdp))
    except BaseException:
        Loaded(planned, tuple(programs)).close()
        raise
    return Loaded(planned, tuple(programs))


class _Watched:
    """A namespace in which programs are attached: its watch for interfaces that go, and who is there."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace, self.links = namespace, LinkWatch(namespace)
        self.slots: dict[int, int] = {}

    def close(self) -> None:
        self.links.close()
        self.namespace.close()


class Attachments:
    """All that is attached, by slot. `watch` is given descriptors that become readable when interfaces go."""

    def __init__(self, hook: Hook, netns: str | None, watch: Callable[[int], None]) -> None:
        self._hook, self._netns, self._watch = hook, netns, watch
        self._places: dict[int, tuple[contextlib.ExitStack, int, int]] = {}
        self._namespaces: dict[int, _Watched] = {}

    def add(self, loaded: Loaded) -> dict[str, str]:
        """Put the programs of an interface in place: both or none; at which hook each is. Raises BicapError."""
        interface = loaded.planned.interface
        watched = self._watched(interface)
        with contextlib.ExitStack() as stack:
            hooks = {}
            for program, (entry, side) in zip(loaded.programs, sides(loaded.planned).items(), strict=True):
                place = attach(self._hook, program, interface, side, watched.namespace)
                stack.callback(place.close)
                hooks[entry] = place.hook
            self._places[loaded.planned.slot] = stack.pop_all(), interface.netns, interface.index
        watched.slots[interface.index] = loaded.planned.slot
        return hooks

    def _watched(self, interface: Interface) -> _Watched:
        if interface.netns not in self._namespaces:
            namespace = Namespace(interface.netns_path or self._netns)
            if namespace.inode != interface.netns:
                namespace.close()
                raise TargetError(f"the network namespace of {interface.name} went away")
            self._namespaces[interface.netns] = watched = _Watched(namespace)
            self._watch(watched.links.fileno())
        return self._namespaces[interface.netns]

    def remove(self, slot: int) -> None:
        """Take the programs of an interface away, if they are there; one that went took them with it."""
        if slot not in self._places:
            return
        stack, netns, index = self._places.pop(slot)
        watched = self._namespaces[netns]
        with contextlib.suppress(BicapError):  # its namespace may be gone
            stack.close()
        watched.slots.pop(index, None)
        if not watched.slots:
            self._namespaces.pop(netns).close()

    def gone(self, ready: Collection[int] | None = None) -> set[int]:
        """The slots of interfaces that were deleted, or whose namespace was; does not wait.

        Only where the watched descriptor is `ready`; None asks everywhere.
        """
        return {
            watched.slots[index]
            for watched in self._namespaces.values()
            if ready is None or watched.links.fileno() in ready
            for index in watched.links.deleted()
            if index in watched.slots
        }

    def close(self) -> None:
        """Take everything away."""
        for slot in list(self._places):
            self.remove(slot)
        for watched in self._namespaces.values():
            watched.close()
        self._namespaces.clear()
