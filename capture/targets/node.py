"""A container runtime's socket -> its pods, and the network namespace that holds their host sides: a node."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from capture.errors import BicapError
from capture.filters.rule import Address
from capture.kernel.links import Link, links_in, links_seen_from, nsid_of
from capture.kernel.netns import Namespace
from capture.plan import Interface

NODE_NAME = "NODE_NAME"
"""The variable in which a pod that captures finds the name of its node (downward API, spec.nodeName)."""
_VETH = "veth"
_LOOPBACK = "lo"


def node_name() -> str:
    """How Kubernetes calls this machine, as far as we know."""
    return os.environ.get(NODE_NAME) or os.uname().nodename


class Node:
    """A runtime, and the namespace in which it runs itself unless another is asked for."""

    def __init__(self, path: str, netns: str | None) -> None:
        from capture.pods.runtime import Runtime  # grpc: 45 ms, that `-i` need not wait for

        self.runtime = Runtime(path)
        self._asked = netns
        self._found: Namespace | None = None

    @property
    def namespace(self) -> Namespace:
        """The node's network namespace. Raises BicapError.

        It is known by a process of the runtime, and stays when that ends; the next process gives it a new path.
        """
        if self._found is None:
            self._found = self._find()
        elif self._found.gone:
            with contextlib.suppress(BicapError):  # the runtime is not back yet
                again = self._find()
                if again.inode == self._found.inode:
                    self._found, again = again, self._found
                again.close()
        return self._found

    def _find(self) -> Namespace:
        own = Namespace(self._asked)
        pid = None if self._asked is not None else self.runtime.pid
        if pid is None:
            return own
        try:
            found = Namespace(f"/proc/{pid}/ns/net")
        except BicapError:  # not ours to look at: it is where we are, as for a DaemonSet with hostNetwork
            return own
        if found.inode == own.inode:
            found.close()
            return own
        own.close()
        return found

    def close(self) -> None:
        """Give back what is held."""
        self.runtime.close()
        if self._found is not None:
            self._found.close()
            self._found = None


@dataclass(frozen=True)
class HostSide:
    """The interfaces of a node, read once."""

    namespace: Namespace
    links: tuple[Link, ...]

    @classmethod
    def of(cls, namespace: Namespace) -> "HostSide":
        """Read them; this also has the kernel number the namespaces of their peers."""
        return cls(namespace, tuple(links_in(namespace)))

    def ends_of(self, inside: Namespace) -> Iterator[tuple[Link, Interface | None]]:
        """Each useful interface of a pod's namespace, and its end on the node; None if it has none here (macvlan).

        The number of a peer counts only in its own namespace, so that is compared, too. Raises BicapError.
        """
        nsid = nsid_of(inside, self.namespace)
        peers = {link.peer: link.interface for link in self.links if link.kind == _VETH and link.peer_nsid == nsid}
        for link in sorted(links_seen_from(self.namespace, inside, nsid), key=lambda link: link.interface.name):
            if is_useful(link):
                has_peer = nsid is not None and link.kind == _VETH
                yield link, peers.get(link.interface.index) if has_peer else None

    @property
    def own(self) -> list[Link]:
        """Interfaces that carry the node's own addresses, which are those of pods with hostNetwork, too.

        The node's ends of pods have none as a rule; where they do, that is how node and pod reach each other.
        """
        return [link for link in self.links if link.routable and is_useful(link)]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The node's addresses."""
        return tuple(dict.fromkeys(address for link in self.own for address in link.routable))


def is_useful(link: Link) -> bool:
    """Whether packets with an Ethernet header pass there, from or to somewhere else."""
    return link.ethernet and link.up and link.interface.name != _LOOPBACK
