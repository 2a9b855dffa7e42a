"""A source of pods -> a node: its pods, and the network namespace that has their host sides."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from capture.errors import BicapError
from capture.filters.rule import Address
from capture.kernel.links import Link, links_in, links_seen_from, nsid_of
from capture.kernel.netns import Namespace
from capture.plan import Interface
from capture.pods.listing import Listing

NODE_NAME = "NODE_NAME"
"""Environment variable with the name of the node, for bicap in a pod (downward API, spec.nodeName)."""
_VETH = "veth"
_LOOPBACK = "lo"


def node_name() -> str:
    """Return the name that Kubernetes has for this machine: NODE_NAME, else the host's name."""
    return os.environ.get(NODE_NAME) or os.uname().nodename


class PodSource(Protocol):
    """Where pods are known: a container runtime, or a file."""

    path: str

    @property
    def pid(self) -> int | None:
        """Pid of the runtime; None if there is none, or if it is not in our pid namespace."""

    def look(self) -> Listing:
        """Return the present pods. Raises BicapError."""

    def changes(self) -> Iterator[None]:
        """Yield at once, and after every change. Raises BicapError, NotImplementedError if there are no events."""

    def close(self) -> None:
        """Let go of it; threads that wait in it end."""


def runtime_at(path: str) -> PodSource:
    """Return the runtime that has this socket."""
    from capture.pods.runtime import Runtime  # here, because grpc takes 45 ms, and `-i` does not need it

    return Runtime(path)


class Node:
    """A source of pods, and a network namespace: `netns`, or if that is None the one in which the runtime runs."""

    def __init__(self, source: PodSource, netns: str | None) -> None:
        self.runtime = source
        self._netns = netns
        self._namespace: Namespace | None = None

    @property
    def namespace(self) -> Namespace:
        """The node's network namespace. Raises BicapError.

        Its path belongs to a process of the runtime. When that process ends, the namespace stays, and the next
        process of the runtime gives it a new path.
        """
        if self._namespace is None:
            self._namespace = self._find()
        elif self._namespace.gone:
            with contextlib.suppress(BicapError):  # the runtime has not started again yet
                other = self._find()
                if other.inode == self._namespace.inode:
                    self._namespace, other = other, self._namespace
                other.close()
        return self._namespace

    def _find(self) -> Namespace:
        own = Namespace(self._netns)
        pid = None if self._netns is not None else self.runtime.pid
        if pid is None:
            return own
        try:
            runtimes = Namespace(f"/proc/{pid}/ns/net")
        except BicapError:  # we may not read it: take it as ours, which is right for a DaemonSet with hostNetwork
            return own
        if runtimes.inode == own.inode:
            runtimes.close()
            return own
        own.close()
        return runtimes

    def close(self) -> None:
        """Close the connection and the namespace."""
        self.runtime.close()
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None


@dataclass(frozen=True)
class HostSide:
    """The interfaces of a node, read once."""

    namespace: Namespace
    links: tuple[Link, ...]

    @classmethod
    def of(cls, namespace: Namespace) -> "HostSide":
        """Read the interfaces; the kernel then also gives numbers to the namespaces of their peers."""
        return cls(namespace, tuple(links_in(namespace)))

    def ends_of(self, inside: Namespace) -> Iterator[tuple[Link, Interface | None]]:
        """Yield each useful interface of a pod's namespace with its end on the node, None if it has none (macvlan).

        The ifindex of a peer is valid only in the peer's namespace, so both are compared. Raises BicapError.
        """
        nsid = nsid_of(inside, self.namespace)
        peers = {link.peer: link.interface for link in self.links if link.kind == _VETH and link.peer_nsid == nsid}
        for link in sorted(links_seen_from(self.namespace, inside, nsid), key=lambda link: link.interface.name):
            if is_useful(link):
                has_peer = nsid is not None and link.kind == _VETH
                yield link, peers.get(link.interface.index) if has_peer else None

    @property
    def own(self) -> list[Link]:
        """The interfaces that have the node's own addresses, which are also those of pods with hostNetwork.

        The node's ends of pods mostly have no address; where they have one, node and pod reach each other by it.
        """
        return [link for link in self.links if link.routable and is_useful(link)]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The node's addresses."""
        return tuple(dict.fromkeys(address for link in self.own for address in link.routable))


def is_useful(link: Link) -> bool:
    """True if packets with an Ethernet header pass through the interface, from or to other machines or namespaces."""
    return link.ethernet and link.up and link.interface.name != _LOOPBACK
