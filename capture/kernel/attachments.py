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
    """A namespace in which programs are attached: its watch for interfaces that go, and who is there by ifindex."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace, self.links = namespace, LinkWatch(namespace)
        self.slots: dict[int, int] = {}

    def deleted(self) -> set[int]:
        """The slots of interfaces that were deleted since the last call."""
        return {self.slots[index] for index in self.links.deleted(self.slots) if index in self.slots}

    def close(self) -> None:
        self.links.close()
        self.namespace.close()


class Attachments:
    """All that is attached, by slot. `watch` is given descriptors that become readable when interfaces go."""

    def __init__(self, hook: Hook, netns: str | None, watch: Callable[[int], None]) -> None:
        self._hook, self._netns, self._watch = hook, netns, watch
        self._places: dict[int, tuple[contextlib.ExitStack, Interface]] = {}
        self._namespaces: dict[int, _Watched] = {}
        self._gone: set[int] = set()

    def add(self, loaded: Loaded) -> dict[str, str]:
        """Put the programs of an interface in place: both or none; at which hook each is. Raises BicapError."""
        interface, slot = loaded.planned.interface, loaded.planned.slot
        watched = self._watched(interface)
        self._gone |= watched.deleted()  # word of an earlier interface of this number must not be taken for its
        try:
            with contextlib.ExitStack() as stack:
                hooks = {}
                for program, (entry, side) in zip(loaded.programs, sides(loaded.planned).items(), strict=True):
                    place = attach(self._hook, program, interface, side, watched.namespace)
                    stack.callback(place.close)
                    hooks[entry] = place.hook
                self._places[slot] = stack.pop_all(), interface
            watched.slots[interface.index] = slot
        finally:
            self._let_go(interface.netns)
        return hooks

    def _watched(self, interface: Interface) -> _Watched:
        if interface.netns not in self._namespaces:
            namespace = Namespace(interface.netns_path or self._netns)
            if namespace.inode != interface.netns:
                namespace.close()
                raise TargetError(f"the network namespace of {interface.name} went away")
            try:
                watched = _Watched(namespace)
            except BaseException:
                namespace.close()
                raise
            self._namespaces[interface.netns] = watched
            self._watch(watched.links.fileno())
        return self._namespaces[interface.netns]

    def _let_go(self, netns: int) -> None:
        """Of a namespace with nothing of ours in it: it would live on with us."""
        if not self._namespaces[netns].slots:
            self._namespaces.pop(netns).close()

    def remove(self, slot: int) -> None:
        """Take the programs of an interface away, if they are there; one that went took them with it."""
        if slot not in self._places:
            return
        stack, interface = self._places.pop(slot)
        watched = self._namespaces[interface.netns]
        with contextlib.suppress(BicapError):  # its namespace may be gone
            stack.close()
        if watched.slots.get(interface.index) == slot:
            del watched.slots[interface.index]
        self._let_go(interface.netns)

    def gone(self, ready: Collection[int] | None = None) -> set[int]:
        """The slots of interfaces that were deleted, or that were in a pod whose namespace was; does not wait.

        Only where the watched descriptor is `ready`; None asks everywhere, and after namespaces, too: one that was
        deleted lives on while we hold it, and sends no message. That of a node is known by a process, which may end.
        """
        gone, self._gone = self._gone, set()
        for watched in self._namespaces.values():
            if ready is None or watched.links.fileno() in ready:
                gone |= watched.deleted()
        if ready is None:
            for slot, (_, interface) in self._places.items():
                if interface.inside and self._namespaces[interface.netns].namespace.gone:
                    gone.add(slot)
        return gone

    def close(self) -> None:
        """Take everything away."""
        for slot in list(self._places):
            self.remove(slot)
        for watched in self._namespaces.values():
            watched.close()
        self._namespaces.clear()
