"""A spec, the interfaces it names and what the kernel can do -> exactly what will be loaded where.

Deterministic: the machine enters only as arguments. `describe` is what --dry-run prints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capture.errors import SpecError
from capture.filters.program import FilterProgram, filter_program, filter_text
from capture.filters.rule import Direction
from capture.sampling.program import SamplingProgram, sampling_program
from capture.spec import CaptureSpec, Hook
from capture.stream.layout import HOOKS, PACKET_RECORD
from capture.units import format_size

PAGE = 4096
RING_MIN = 128 << 10
"""A ring must hold the largest record (65,528 bytes) while the one before it is being read."""
RING_MAX = 1 << 30
WATERMARK_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as found. An ifindex is unique only within its namespace: `netns` is the namespace's inode."""

    name: str
    index: int
    netns: int
    mac: bytes = b""
    mtu: int = 0
    pod_side: bool = False
    """The host's side of a pod's veth: its peer is in another namespace, so ingress is what leaves the pod."""

    @property
    def key(self) -> tuple[int, int]:
        return self.netns, self.index


@dataclass(frozen=True, slots=True)
class PlannedInterface:
    """An interface of the capture; `slot` is its row in the counters and its id in the file."""

    slot: int
    interface: Interface
    name: str
    description: str

    @property
    def from_pod_is_ingress(self) -> bool:
        return self.interface.pod_side

    @property
    def view(self) -> str:
        return "pod" if self.interface.pod_side else "interface"


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What will run: programs with `filter`, on `interfaces`, into one ring of `ring_bytes` per CPU."""

    spec: CaptureSpec
    interfaces: tuple[PlannedInterface, ...]
    hook: Hook
    filter: FilterProgram
    sampling: SamplingProgram
    filter_text: str
    """What is matched, as a tcpdump expression; "" where every packet is."""
    cpus: tuple[int, ...]
    ring_bytes: int
    batching: bool
    """Whether small records wait on their CPU to be submitted together."""

    @property
    def watermark(self) -> int:
        """Bytes in a ring that wake the reader."""
        return min(WATERMARK_MAX, self.ring_bytes // 4)

    @property
    def rows(self) -> int:
        """Rows of the counters map."""
        return len(self.interfaces) * HOOKS

    def text_of(self, direction: Direction) -> str:
        """What one direction matches, as a tcpdump expression."""
        return filter_text(self.spec.rules, direction, self.spec.sessions, self.spec.expression)


def make_plan(
    spec: CaptureSpec, found: Sequence[Interface], hook: Hook, cpus: Sequence[int], batching: bool
) -> CapturePlan:
    """Plan a capture on interfaces that were looked up, with a hook the kernel has, on the online CPUs.

    `batching` needs a reader that may visit every CPU.
    """
    planned = tuple(
        PlannedInterface(slot, interface, name, _describe(interface))
        for slot, (interface, name) in enumerate(zip(found, _unique_names(found), strict=True))
    )
    sampling = sampling_program(spec.sampling, spec.on_pressure)
    return CapturePlan(
        spec=spec,
        interfaces=planned,
        hook=hook,
        filter=filter_program(
            spec.rules,
            spec.direction,
            sessions=spec.sessions,
            expression=spec.expression,
            inner=spec.inner,
            icmp_errors=spec.icmp_errors,
            asks_flow=sampling.asks_flow,
            asks_control=sampling.asks_control,
            asks_headers=sampling.asks_headers,
        ),
        sampling=sampling,
        filter_text=filter_text(spec.rules, spec.direction, spec.sessions, spec.expression),
        cpus=tuple(cpus),
        ring_bytes=ring_bytes(spec.buffer_bytes, len(cpus)),
        batching=batching,
    )


def ring_bytes(buffer_bytes: int, cpus: int) -> int:
    """The largest power of two that fits `cpus` times into the buffer. Raises SpecError if too small for that."""
    if buffer_bytes < RING_MIN * cpus:
        least = format_size(RING_MIN * cpus)
        raise SpecError(f"buffer {format_size(buffer_bytes)} is too small for {cpus} CPUs; give at least {least}")
    return min(RING_MAX, 1 << (buffer_bytes // cpus).bit_length() - 1)


def _unique_names(found: Sequence[Interface]) -> list[str]:
    names = [interface.name for interface in found]
    return [f"{i.name}@{i.netns}" if names.count(i.name) > 1 else i.name for i in found]


def _describe(interface: Interface) -> str:
    if interface.pod_side:
        return f"host side of a pod's veth, ifindex {interface.index}; inbound is to the pod"
    return f"ifindex {interface.index}; inbound is to this machine"


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
        "interfaces": [
            {
                "id": i.slot,
                "name": i.name,
                "ifindex": i.interface.index,
                "netns": i.interface.netns,
                "view": i.view,
                "from_pod": "ingress" if i.from_pod_is_ingress else "egress",
                "to_pod": "egress" if i.from_pod_is_ingress else "ingress",
            }
            for i in plan.interfaces
        ],
        "hook": plan.hook.value,
        "matches": directions,
        "filter": plan.filter_text or everything,
        "also": _beyond_text(plan),
        "snaplen": plan.spec.snaplen,
        "sampling": plan.spec.sampling.as_json(),
        "on_pressure": [measure.value for measure in plan.spec.on_pressure],
        "record": {
            "bytes": PACKET_RECORD.itemsize,
            "fields": {name: f"{dtype} at {at}" for name, (dtype, at, *_) in (PACKET_RECORD.fields or {}).items()},
        },
        "rings": {"cpus": list(plan.cpus), "bytes_each": plan.ring_bytes, "wake_at": plan.watermark},
        "batching": plan.batching,
    }
