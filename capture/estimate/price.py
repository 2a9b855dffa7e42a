"""The load of interfaces and a request -> the size and cost of a capture, before it runs.

All numbers are means per second. An unknown number is replaced by its upper bound: a filter is taken to match every
packet, and the mean of the bytes kept of a packet is at most `min(mean length, snaplen)`. `assumptions` lists the
rest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from capture.estimate.costs import Cost, Costs
from capture.estimate.load import InterfaceLoad, Load
from capture.pcapng.blocks import packet_block_bytes
from capture.wire.direction import Direction

HEADERS_LEAST, HEADERS_MOST = 54, 66
"""Bytes that headers-only keeps of most packets: Ethernet, IPv4 and TCP, without options, and with time stamps."""
CAPTURED_MOST = 65_448
"""Most bytes of one packet that fit a perf record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most packets, and bits kept of them, per second: of `direction`, or of both directions together."""

    direction: Direction = Direction.BOTH
    packets: float = math.inf
    bits: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFactors:
    """Properties of a capture that decide its price. `shares` is the part of a direction that sampling keeps, 1 if
    absent.

    The flags stand for properties that have no mean: a filter, only the first packets of each flow, control packets
    that are always kept, compression.
    """

    snaplen: int
    headers_only: bool = False
    shares: Mapping[Direction, float] = field(default_factory=dict)
    caps: Sequence[Cap] = ()
    filtered: bool = False
    first: bool = False
    keeps_control: bool = False
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A share of one CPU, and its standard error, which combines that of the coefficients and that of single
    workloads."""

    of_cpu: float
    error: float


@dataclass(frozen=True, slots=True)
class Price:
    """The CPU time in the kernel, paid by senders and receivers, and in the process that writes."""

    kernel: Share
    process: Share


def price(costs: Costs, *, seen: float, left_out: float, captured: float, captured_bytes: float) -> Price:
    """Return the price of packets per second: seen at the interface, left out by samplers, captured."""

    def share(off: float, *parts: tuple[Cost, float]) -> Share:
        paid = sum(cost.ns * count for cost, count in parts)
        error = math.hypot(off * paid, *(cost.error * count for cost, count in parts))
        return Share(paid / 1e9, error / 1e9)

    return Price(
        kernel=share(
            costs.kernel_off,
            (costs.kernel_second, 1.0 if captured else 0.0),
            (costs.kernel_seen, seen),
            (costs.kernel_left_out, left_out),
            (costs.kernel_captured, captured),
            (costs.kernel_byte, captured_bytes),
        ),
        process=share(
            costs.process_off,
            (costs.process_second, 1.0 if captured else 0.0),
            (costs.process_packet, captured),
            (costs.process_byte, captured_bytes),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Packets and bytes that a capture of `direction` writes per second, and its price."""

    direction: Direction
    forward_packets: float
    reverse_packets: float
    file_bytes: float
    price: Price

    @property
    def packets(self) -> float:
        return self.forward_packets + self.reverse_packets

    @property
    def file_bytes_per_hour(self) -> float:
        return self.file_bytes * 3600


@dataclass(frozen=True, slots=True)
class _Kept:
    """Per second: packets, the bytes kept of them, and the blocks around those."""

    packets: float = 0.0
    captured: float = 0.0
    blocks: float = 0.0

    def plus(self, other: "_Kept") -> "_Kept":
        return _Kept(self.packets + other.packets, self.captured + other.captured, self.blocks + other.blocks)

    def times(self, share: float) -> "_Kept":
        return _Kept(self.packets * share, self.captured * share, self.blocks * share)

    def within(self, caps: Sequence[Cap]) -> float:
        """Return the share that all caps allow."""
        shares = [1.0]
        if self.packets:
            shares += [cap.packets / self.packets for cap in caps]
        if self.captured:
            shares += [cap.bits / 8 / self.captured for cap in caps]
        return min(shares)


def estimate(loads: Sequence[InterfaceLoad], asked: PriceFactors, direction: Direction, costs: Costs) -> Estimate:
    """Return the size and price of a capture of one direction, or of both."""
    kept, matched = {}, 0.0
    for way, sides in (
        (Direction.FORWARD, [load.from_pod for load in loads]),
        (Direction.REVERSE, [load.to_pod for load in loads]),
    ):
        whole = _Kept()
        for side in sides if direction in (Direction.BOTH, way) else ():
            whole = whole.plus(_whole(side, asked))
        matched += whole.packets
        sampled = whole.times(asked.shares.get(way, 1.0))
        kept[way] = sampled.times(sampled.within([cap for cap in asked.caps if cap.direction is way]))
    forward, reverse = kept[Direction.FORWARD], kept[Direction.REVERSE]
    share = forward.plus(reverse).within([cap for cap in asked.caps if cap.direction is Direction.BOTH])
    total = forward.plus(reverse).times(share)
    seen = sum(load.from_pod.packets + load.to_pod.packets for load in loads)
    return Estimate(
        direction=direction,
        forward_packets=forward.packets * share,
        reverse_packets=reverse.packets * share,
        file_bytes=total.blocks,
        price=price(
            costs,
            seen=seen,
            left_out=matched - total.packets,
            captured=total.packets,
            captured_bytes=total.captured,
        ),
    )


def _whole(load: Load, asked: PriceFactors) -> _Kept:
    """Return a load of which no packet is left out."""
    if not load.packets:
        return _Kept()
    mean = load.bytes / load.packets
    captured = min(mean, asked.snaplen, HEADERS_MOST if asked.headers_only else CAPTURED_MOST)
    block = packet_block_bytes(math.ceil(captured))
    return _Kept(load.packets, load.packets * captured, load.packets * block)


def assumptions(asked: PriceFactors) -> list[str]:
    """Return the assumptions of an estimate, one line each."""
    notes = ["forward is what leaves the pod (without a pod's veth: this machine)"]
    if asked.filtered:
        notes.append("every packet matches the filter: an upper bound")
    if asked.headers_only:
        notes.append(f"headers are {HEADERS_MOST} bytes of a packet (from {HEADERS_LEAST}, without TCP options)")
    if any(share < 1 for share in asked.shares.values()):
        notes.append("sampling keeps its share of the packets; a few large flows can change that")
    if asked.first:
        notes.append("no flow is longer than its first packets that are kept: an upper bound")
    if asked.keeps_control:
        notes.append("control packets (SYN, FIN, RST, ICMP errors), which sampling always keeps, are few")
    if asked.compressed:
        notes.append("compression saves no space and costs no CPU")
    return notes
