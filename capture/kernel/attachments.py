"""Planned interfaces -> programs attached on both sides of them, and the slots of interfaces that were deleted."""

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
    """Return the side of the interface, by program."""
    pair = (INGRESS, EGRESS) if planned.from_pod_is_ingress else (EGRESS, INGRESS)
    return dict(zip(("from_pod", "to_pod"), pair, strict=True))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The programs of an interface, loaded and not yet attached: loading takes long, attaching does not."""

    planned: PlannedInterface
    programs: tuple[int, ...]

    def close(self) -> None:
        """Close their descriptors; attached programs go on running."""
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
    """A namespace in which programs are attached: its watch for deleted interfaces, and slots by ifindex."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace, self.links = namespace, LinkWatch(namespace)
        self.slots: dict[int, int] = {}

    def deleted(self) -> set[int]:
        """Return the slots of interfaces that were deleted since the last call."""
        return {self.slots[index] for index in self.links.deleted(self.slots) if index in self.slots}

    def close(self) -> None:
        self.links.close()
        self.namespace.close()


class Attachments:
    """All attached programs, by slot. `watch` is called with descriptors that are readable after a deletion."""

    def __init__(self, hook: Hook, netns: str | None, watch: Callable[[int], None]) -> None:
        self._hook, self._netns, self._watch = hook, netns, watch
        self._places: dict[int, tuple[contextlib.ExitStack, Interface]] = {}
        self._namespaces: dict[int, _Watched] = {}
        self._gone: set[int] = set()

    def add(self, loaded: Loaded) -> dict[str, str]:
        """Attach both programs of an interface, or neither. Returns the hook by program. Raises BicapError."""
        interface, slot = loaded.planned.interface, loaded.planned.slot
        watched = self._watched(interface)
        self._gone |= watched.deleted()  # an earlier interface may have had the same ifindex
        try:
            with contextlib.ExitStack() as stack:
                hooks = {}
                for program, (entry, side) in zip(loaded.programs, sides(loaded.planned).items(), strict=True):
                    attachment = attach(self._hook, program, interface, side, watched.namespace)
                    stack.callback(attachment.close)
                    hooks[entry] = attachment.hook
                self._places[slot] = stack.pop_all(), interface
            watched.slots[interface.index] = slot
        finally:
            self._close_if_unused(interface.netns)
        return hooks

    def _watched(self, interface: Interface) -> _Watched:
        if interface.netns not in self._namespaces:
            namespace = Namespace(interface.netns_path or self._netns)
            if namespace.inode != interface.netns:
                namespace.close()
                raise TargetError(f"the network namespace of {interface.name} was deleted")
            try:
                watched = _Watched(namespace)
            except BaseException:
                namespace.close()
                raise
            self._namespaces[interface.netns] = watched
            self._watch(watched.links.fileno())
        return self._namespaces[interface.netns]

    def _close_if_unused(self, netns: int) -> None:
        """Close a namespace in which nothing is attached: an open descriptor would keep it alive."""
        if not self._namespaces[netns].slots:
            self._namespaces.pop(netns).close()

    def remove(self, slot: int) -> None:
        """Detach the programs of an interface; a deleted interface has lost them already."""
        if slot not in self._places:
            return
        stack, interface = self._places.pop(slot)
        watched = self._namespaces[interface.netns]
        with contextlib.suppress(BicapError):  # its namespace may have been deleted
            stack.close()
        if watched.slots.get(interface.index) == slot:
            del watched.slots[interface.index]
        self._close_if_unused(interface.netns)

    def gone(self, ready: Collection[int] | None = None) -> set[int]:
        """Return the slots of interfaces that were deleted, or whose pod's namespace was deleted; does not wait.

        Only namespaces whose watched descriptor is `ready` are checked. None checks all, and also looks for deleted
        namespaces: such a namespace lives on while we hold it, and sends no message. Only namespaces of pods count:
        the path of a node's namespace belongs to a process, which may end before the namespace does.
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
        """Detach everything, and close the namespaces."""
        for slot in list(self._places):
            self.remove(slot)
        for watched in self._namespaces.values():
            watched.close()
        self._namespaces.clear()
