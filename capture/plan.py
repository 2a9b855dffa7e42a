"""A spec, the interfaces it names and the features of the kernel -> which programs will be loaded where.

The result depends only on the arguments: the machine is not read here. --dry-run prints `describe`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from capture.abi import CHUNK_HEAD, HOOKS, LARGEST_CAPTURE, PACKET_BLOCK, PACKET_BLOCK_END
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
from capture.wire.drop_reasons import EVENTS

RING_MIN = 128 << 10
"""Smallest ring, bytes: it must hold the largest record (65,528 bytes) while the record before it is being read, and
be a multiple of a page, which has up to 64 KiB."""
RING_MAX = 1 << 30
WATERMARK_MAX = 4 << 20
CHUNK_MIN, CHUNK_MAX = 64 << 10, 1 << 20
"""Bytes of a chunk of a recorder's memory, a power of two. Behind it is room for one more packet: a larger chunk
wastes less, a smaller one forgets less at a time."""
CHUNKS_LEAST = 4
"""Fewest chunks of a CPU: one is being filled, and the reader keeps away from the one that is overwritten next."""
CHUNKS_WANTED = 8
"""Chunks of a CPU below which chunks are made smaller."""
NOTHING = "less 0"
"""A tcpdump expression that matches no packet, for rules whose pods do not exist yet."""
SLOTS_FOLLOWED = 1024
"""Most interfaces that a capture of pods can have from start to end; each costs 0.4 KiB of counters per CPU."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An existing interface. An ifindex is unique only within its namespace: `netns` is the namespace's inode.

    `netns_path` is the path of the namespace, None if it is the one of the spec.
    """

    name: str
    index: int
    netns: int
    mac: bytes = b""
    mtu: int = 0
    pod_side: bool = False
    """True for the host's side of a pod's veth: its peer is in another namespace, so ingress is what leaves the
    pod."""
    inside: bool = False
    """True for the pod's own end."""
    netns_path: str | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.netns, self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An interface to capture on, with its name and description in the file.

    `shared`: pods share the interface with their node; only packets from or to the node's addresses are captured.
    """

    interface: Interface
    name: str
    description: str
    pod: Pod | None = None
    addresses: tuple[Address, ...] = ()
    """Addresses of the pod's interface; the runtime may report others."""
    shared: bool = False
    events: bool = False
    """True if this is no interface of the machine, but the place of the kernel's events in the file."""

    @property
    def key(self) -> tuple[str, int, int]:
        """Identity of the interface: a pod that is made anew may get the ifindex of an earlier pod's interface."""
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
        """Return plain values: where the programs are attached, and the pod that the interface belongs to."""
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
class PlannedMemory:
    """The memory of a recorder: `chunks` of `chunk_bytes` on each CPU, each of them with `excess` bytes more."""

    chunk_bytes: int
    excess: int
    chunks: int

    @property
    def stride(self) -> int:
        """Bytes of a chunk with its head and the room for its last packet."""
        return CHUNK_HEAD.itemsize + self.chunk_bytes + self.excess


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """A capture as it will run: programs with `filter`, on `interfaces`, into one ring of `ring_bytes` per CPU, and
    into one of `overflow_bytes` that all CPUs share."""

    spec: CaptureSpec
    interfaces: tuple[PlannedInterface, ...]
    hook: Hook
    filter: FilterProgram
    rules: tuple[Rule, ...]
    """The rules, with the addresses that pods had when the capture was planned."""
    sampling: SamplingProgram
    filter_text: str
    """A tcpdump expression for the packets that match; "" if every packet does."""
    cpus: tuple[int, ...]
    ring_bytes: int
    overflow_bytes: int
    """Bytes of the overflow ring; 0: each CPU has its ring and nothing else."""
    batching: bool
    """True if small records wait on their CPU to be submitted together."""
    slots: int
    """Most interfaces that the capture can have, including those added while it runs."""
    events: PlannedInterface | None = None
    """The interface of the kernel's reasons in the file of a capture; None without them."""
    memory: PlannedMemory | None = None
    """Memory that takes the place of the rings; None if the plan is not for a recorder."""

    @property
    def watermark(self) -> int:
        """Bytes in a ring at which the reader is woken."""
        return min(WATERMARK_MAX, self.ring_bytes // (2 if self.overflow_bytes else 4))

    @property
    def room_bytes(self) -> int:
        """Bytes that may wait for one CPU."""
        return self.ring_bytes + self.overflow_bytes

    @property
    def rows(self) -> int:
        """Rows of the counters map."""
        return self.slots * HOOKS

    def text_of(self, direction: Direction) -> str:
        """Return a tcpdump expression for the packets of one direction that match."""
        return _filter_text(self.spec, self.rules, direction)


def make_plan(
    spec: CaptureSpec,
    places: Sequence[Place],
    hook: Hook,
    cpus: Sequence[int],
    batching: bool,
    addresses: Mapping[PodName, Sequence[Address]] | None = None,
    overflows: bool = True,
) -> CapturePlan:
    """Return the plan of a capture in existing places, with a hook that the kernel has, on the online CPUs.

    `batching` needs a reader that may run on every CPU; `addresses` are the present ones of pods named in rules;
    `overflows` is False if the kernel makes no overflow ring.
    """
    planned: list[PlannedInterface] = []
    for place in places:
        planned.append(next_interface(planned, place))
    events = next_interface(planned, EVENTS_PLACE) if spec.reasons and not spec.in_memory else None
    most = max(SLOTS_FOLLOWED, len(planned)) if spec.follows else len(planned)
    ring, overflow = share_buffer(spec.buffer_bytes, len(cpus), overflows)
    rules = spelled_out(spec.rules, addresses or {})
    sampling, recording = sampling_program(spec.sampling, spec.on_pressure), spec.recording
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
        ring_bytes=ring,
        overflow_bytes=overflow,
        batching=batching,
        slots=most + (events is not None),
        events=events,
        memory=plan_memory(recording.memory_bytes, len(cpus), spec.snaplen) if recording and spec.in_memory else None,
    )


def _filter_text(spec: CaptureSpec, rules: Sequence[Rule], direction: Direction) -> str:
    if spec.rules and not (rules or spec.conversations):
        return NOTHING
    return filter_text(rules, direction, spec.conversations, spec.expression)


def next_interface(before: Sequence[PlannedInterface], place: Place) -> PlannedInterface:
    """Return a place as the interface after `before`. Names are unique in a file, and its ids are never reused."""
    same = sum(planned.place.name == place.name for planned in before)
    return PlannedInterface(len(before), f"{place.name}#{same + 1}" if same else place.name, place)


EVENTS_NAME = "drops"
EVENTS_PLACE = Place(interface=Interface(EVENTS_NAME, 0, 0), name=EVENTS_NAME, description=EVENTS, events=True)


def place_of(interface: Interface) -> Place:
    """Return the place of an interface that the spec names."""
    what = f"ifindex {interface.index}; inbound is to this machine"
    if interface.pod_side:
        what = f"host side of a pod's veth, ifindex {interface.index}; inbound is to the pod"
    return Place(interface=interface, name=interface.name, description=what)


def share_buffer(buffer_bytes: int, cpus: int, overflows: bool) -> tuple[int, int]:
    """Return the bytes of each CPU's ring, and of the overflow ring: half, or 0 where it is too small or useless.

    Raises SpecError.
    """
    half = overflow_bytes(buffer_bytes)
    if overflows and cpus > 1 and buffer_bytes - half >= RING_MIN * cpus:
        return ring_bytes(buffer_bytes - half, cpus), half
    return ring_bytes(buffer_bytes, cpus), 0


def overflow_bytes(buffer_bytes: int) -> int:
    """Return the bytes of an overflow ring: the largest power of two that is at most half of the buffer."""
    return min(RING_MAX, 1 << max(buffer_bytes.bit_length() - 2, 0))


def ring_bytes(buffer_bytes: int, cpus: int) -> int:
    """Return the bytes of one ring: the largest power of two of which `cpus` fit into the buffer. Raises
    SpecError."""
    if buffer_bytes < RING_MIN * cpus:
        least = format_size(RING_MIN * cpus)
        raise SpecError(f"buffer {format_size(buffer_bytes)} is too small for {cpus} CPUs; give at least {least}")
    return min(RING_MAX, 1 << (buffer_bytes // cpus).bit_length() - 1)


def plan_memory(memory_bytes: int, cpus: int, snaplen: int) -> PlannedMemory:
    """Return the chunks of each CPU, which take at most `memory_bytes` together. Raises SpecError."""
    around = PACKET_BLOCK.itemsize + PACKET_BLOCK_END.itemsize
    excess = (around + min(snaplen, LARGEST_CAPTURE) + 64) & ~7  # as in bpf/lib/remember.h
    for chunk_bytes in (CHUNK_MAX >> halves for halves in range((CHUNK_MAX // CHUNK_MIN).bit_length())):
        planned = PlannedMemory(chunk_bytes, excess, 0)
        chunks = memory_bytes // cpus // planned.stride
        if chunks >= (CHUNKS_WANTED if chunk_bytes > CHUNK_MIN else CHUNKS_LEAST):
            return replace(planned, chunks=chunks)
    least = format_size(CHUNKS_LEAST * cpus * planned.stride)
    raise SpecError(f"memory {format_size(memory_bytes)} is too small for {cpus} CPUs; give at least {least}")


def _beyond_text(plan: CapturePlan) -> list[str]:
    """Return the packets that rules match and that no tcpdump expression can describe."""
    switches = dict(plan.filter.switches)
    if switches["MATCH_EVERYTHING"] or switches["EXPRESSION"]:
        return []
    beyond = ["packets in VLAN tags", "packets behind IPv6 extension headers"]
    if switches["FRAGMENTS_ASKED"]:
        beyond.append("later fragments of a datagram whose first one matched")
    if switches["ERRORS_ASKED"]:
        beyond.append("ICMP errors about a packet that matches")
    if switches["INNER_ASKED"]:
        beyond.append("packets inside VXLAN, Geneve, GRE and IP in IP")
    return beyond


def describe(plan: CapturePlan) -> dict[str, Any]:
    """Return the plan as plain values, the most important first."""
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
        "block": {"bytes": PACKET_BLOCK.itemsize + PACKET_BLOCK_END.itemsize},
        "rings": {
            "cpus": list(plan.cpus),
            "bytes_each": plan.ring_bytes,
            "overflow_bytes": plan.overflow_bytes,
            "wake_at": plan.watermark,
        },
        "batching": plan.batching,
    } | ({"memory": asdict(plan.memory)} if plan.memory else {})
