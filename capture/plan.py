"""A spec, the interfaces it names and what the kernel can do -> exactly what will be loaded where.

Deterministic: the machine enters only as arguments. `describe` is what --dry-run prints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capture.abi import HOOKS, PACKET_RECORD
from capture.errors import SpecError
from capture.filters.filter_h import FilterProgram, filter_program, filter_text
from capture.filters.podname import PodName
from capture.filters.rule import Address, Rule
from capture.filters.text import spelled_out
from capture.request.spec_json import sampling_as_json, spec_as_json
from capture.sampling.sampling_h import SamplingProgram, sampling_program
from capture.selection.pod import Pod
from capture.spec import CaptureSpec, Hook
from capture.units import format_size
from capture.wire.direction import Direction

RING_MIN = 128 << 10
"""A ring must hold the largest record (65,528 bytes) while the one before it is being read; pages of 64 KiB fit."""
RING_MAX = 1 << 30
WATERMARK_MAX = 1 << 20
NOTHING = "less 0"
"""The tcpdump expression of rules whose pods are not there yet."""
SLOTS_FOLLOWED = 1024
"""Interfaces that a capture of pods can have in its life; each costs 0.4 KiB of counters per CPU."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as found. An ifindex is unique only within its namespace: `netns` is the namespace's inode.

    `netns_path` is where to open the namespace, None if it is the one of the spec.
    """

    name: str
    index: int
    netns: int
    mac: bytes = b""
    mtu: int = 0
    pod_side: bool = False
    """The host's side of a pod's veth: its peer is in another namespace, so ingress is what leaves the pod."""
    inside: bool = False
    """The pod's own end."""
    netns_path: str | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.netns, self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An interface to capture on, and what the file says of it.

    `shared`: the pods there share it with their node, and only packets from or to the node's addresses are theirs.
    """

    interface: Interface
    name: str
    description: str
    pod: Pod | None = None
    addresses: tuple[Address, ...] = ()
    """Of the pod's interface, beside those that the runtime tells."""
    shared: bool = False

    @property
    def key(self) -> tuple[str, int, int]:
        """Whose interface this is: a pod that is made again may get the number of an earlier one."""
        return self.pod.sandbox if self.pod and not self.shared else "", *self.interface.key


@dataclass(frozen=True, slots=True)
class PlannedInterface:
    """An interface of the capture; `slot` is its row in the counters and its id in the file."""

    slot: int
    name: str
    place: Place

    @property
    def interface(self) -> Interface:
        return self.place.interface

    @property
    def description(self) -> str:
        return self.place.description

    @property
    def from_pod_is_ingress(self) -> bool:
        return self.interface.pod_side

    @property
    def view(self) -> str:
        return "pod" if self.interface.pod_side or self.interface.inside else "interface"

    def as_json(self) -> dict[str, Any]:
        """Plain values: where the programs sit, and whose interface it is."""
        ingress, egress = ("from_pod", "to_pod") if self.from_pod_is_ingress else ("to_pod", "from_pod")
        return {
            "id": self.slot,
            "name": self.name,
            "description": self.description,
            "interface": self.interface.name,
            "ifindex": self.interface.index,
            "netns": self.interface.netns,
            "view": self.view,
            ingress: "ingress",
            egress: "egress",
            "shared": self.place.shared,
            "pod": self.place.pod.as_json() if self.place.pod else None,
        }


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What will run: programs with `filter`, on `interfaces`, into one ring of `ring_bytes` per CPU."""

    spec: CaptureSpec
    interfaces: tuple[PlannedInterface, ...]
    hook: Hook
    filter: FilterProgram
    rules: tuple[Rule, ...]
    """The rules, with the addresses that pods had when it was planned."""
    sampling: SamplingProgram
    filter_text: str
    """What is matched, as a tcpdump expression; "" where every packet is."""
    cpus: tuple[int, ...]
    ring_bytes: int
    batching: bool
    """Whether small records wait on their CPU to be submitted together."""
    slots: int
    """How many interfaces the capture can have, those included that come while it runs."""

    @property
    def watermark(self) -> int:
        """Bytes in a ring that wake the reader."""
        return min(WATERMARK_MAX, self.ring_bytes // 4)

    @property
    def rows(self) -> int:
        """Rows of the counters map."""
        return self.slots * HOOKS

    def text_of(self, direction: Direction) -> str:
        """What one direction matches, as a tcpdump expression."""
        return _filter_text(self.spec, self.rules, direction)


def make_plan(
    spec: CaptureSpec,
    found: Sequence[Place],
    hook: Hook,
    cpus: Sequence[int],
    batching: bool,
    addresses: Mapping[PodName, Sequence[Address]] | None = None,
) -> CapturePlan:
    """Plan a capture in places that were looked up, with a hook the kernel has, on the online CPUs.

    `batching` needs a reader that may visit every CPU; `addresses` are those that pods named in rules have now.
    """
    planned: list[PlannedInterface] = []
    for place in found:
        planned.append(next_interface(planned, place))
    rules = spelled_out(spec.rules, addresses or {})
    sampling = sampling_program(spec.sampling, spec.on_pressure)
    return CapturePlan(
        spec=spec,
        interfaces=tuple(planned),
        hook=hook,
        filter=filter_program(
            spec.rules,
            spec.direction,
            conversations=spec.conversations,
            expression=spec.expression,
            inner=spec.inner,
            icmp_errors=spec.icmp_errors,
            asks_flow=sampling.asks_flow,
            asks_control=sampling.asks_control,
            asks_headers=sampling.asks_headers,
            shared=spec.follows,
        ),
        rules=rules,
        sampling=sampling,
        filter_text=_filter_text(spec, rules, spec.direction),
        cpus=tuple(cpus),
        ring_bytes=ring_bytes(spec.buffer_bytes, len(cpus)),
        batching=batching,
        slots=max(SLOTS_FOLLOWED, len(planned)) if spec.follows else len(planned),
    )


def _filter_text(spec: CaptureSpec, rules: Sequence[Rule], direction: Direction) -> str:
    if spec.rules and not (rules or spec.conversations):
        return NOTHING
    return filter_text(rules, direction, spec.conversations, spec.expression)


def next_interface(before: Sequence[PlannedInterface], place: Place) -> PlannedInterface:
    """A place after those that the capture has: the names in a file are unique, and its ids are never used again."""
    same = sum(planned.place.name == place.name for planned in before)
    return PlannedInterface(len(before), f"{place.name}#{same + 1}" if same else place.name, place)


def place_of(interface: Interface) -> Place:
    """An interface that was asked for by its name."""
    what = f"ifindex {interface.index}; inbound is to this machine"
    if interface.pod_side:
        what = f"host side of a pod's veth, ifindex {interface.index}; inbound is to the pod"
    return Place(interface=interface, name=interface.name, description=what)


def ring_bytes(buffer_bytes: int, cpus: int) -> int:
    """The largest power of two that fits `cpus` times into the buffer. Raises SpecError if too small for that."""
    if buffer_bytes < RING_MIN * cpus:
        least = format_size(RING_MIN * cpus)
        raise SpecError(f"buffer {format_size(buffer_bytes)} is too small for {cpus} CPUs; give at least {least}")
    return min(RING_MAX, 1 << (buffer_bytes // cpus).bit_length() - 1)


def _beyond_text(plan: CapturePlan) -> list[str]:
    """What rules find and no tcpdump expression says."""
    switches = dict(plan.filter.switches)
    if switches["MATCH_EVERYTHING"] or switches["EXPRESSION"]:
        return []
    found = ["packets in VLAN tags", "packets behind IPv6 extension headers"]
    if switches["FRAGMENTS_ASKED"]:
        found.append("later fragments of a datagram whose first one matched")
    if switches["ERRORS_ASKED"]:
        found.append("ICMP errors about a packet that matches")
    if switches["INNER_ASKED"]:
        found.append("packets inside VXLAN, Geneve, GRE and IP in IP")
    return found


def describe(plan: CapturePlan) -> dict[str, Any]:
    """The plan as plain values, in the order a reader wants them."""
    everything = "every packet"
    directions = {
        direction.value: plan.text_of(direction) or everything
        for direction in (Direction.FORWARD, Direction.REVERSE)
        if plan.spec.direction in (Direction.BOTH, direction)
    }
    return {
        "interfaces": [interface.as_json() for interface in plan.interfaces],
        "hook": plan.hook.value,
        "matches": directions,
        "filter": plan.filter_text or everything,
        "also": _beyond_text(plan),
        "snaplen": plan.spec.snaplen,
        "sampling": sampling_as_json(plan.spec),
        "on_pressure": spec_as_json(plan.spec)["on_pressure"],
        "record": {
            "bytes": PACKET_RECORD.itemsize,
            "fields": {name: f"{dtype} at {at}" for name, (dtype, at, *_) in (PACKET_RECORD.fields or {}).items()},
        },
        "rings": {"cpus": list(plan.cpus), "bytes_each": plan.ring_bytes, "wake_at": plan.watermark},
        "batching": plan.batching,
    }
