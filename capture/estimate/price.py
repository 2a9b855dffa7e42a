"""What passes the interfaces, and what is asked of it -> what a capture would write and cost, before it runs.

Everything is a mean per second. What is not known is taken as its upper bound: a filter matches every packet, and
the mean of what is kept of each is `min(mean length, snaplen)`, which it never exceeds. `assumptions` says the rest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from capture.estimate.costs import Cost, Costs
from capture.estimate.load import InterfaceLoad, Load
from capture.pcapng.blocks import packet_block_bytes
from capture.wire.direction import Direction

HEADERS_LEAST, HEADERS_MOST = 54, 66
"""Ethernet, IPv4 and TCP, without options and with time stamps: what headers-only mostly keeps."""
CAPTURED_MOST = 65_492
"""As much of one packet as a perf record holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most so many packets, and bits of what is kept of them, per second; of `direction`, or of both together."""

    direction: Direction = Direction.BOTH
    packets: float = math.inf
    bits: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFactors:
    """What of a capture decides its price. `shares` is the part that sampling keeps of a direction, 1 if not named.

    The switches stand for what no mean can tell: a filter, the first packets of each flow, control packets that are
    kept besides, compression.
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
    """Of one CPU, and its standard error: that of the coefficients, and how far single workloads are from them."""

    of_cpu: float
    error: float


@dataclass(frozen=True, slots=True)
class Price:
    """What is paid where: in the kernel by who sends and receives, and by the process that writes."""

    kernel: Share
    process: Share


def price(costs: Costs, *, seen: float, left_out: float, captured: float, captured_bytes: float) -> Price:
    """The price of so many packets per second: seen at the interface; of these left out by samplers; captured."""

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
    """What a capture of `direction` writes per second, and its price."""

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
        """The share of this that all caps let through."""
        shares = [1.0]
        if self.packets:
            shares += [cap.packets / self.packets for cap in caps]
        if self.captured:
            shares += [cap.bits / 8 / self.captured for cap in caps]
        return min(shares)


def estimate(loads: Sequence[InterfaceLoad], asked: PriceFactors, direction: Direction, costs: Costs) -> Estimate:
    """What a capture of one direction, or of both, would write and cost."""
    kept, matched = {}, 0.0
    for one, sides in (
        (Direction.FORWARD, [load.from_pod for load in loads]),
        (Direction.REVERSE, [load.to_pod for load in loads]),
    ):
        all_of_it = _Kept()
        for side in sides if direction in (Direction.BOTH, one) else ():
            all_of_it = all_of_it.plus(_whole(side, asked))
        matched += all_of_it.packets
        sampled = all_of_it.times(asked.shares.get(one, 1.0))
        kept[one] = sampled.times(sampled.within([cap for cap in asked.caps if cap.direction is one]))
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
    """A load of which no packet is left out."""
    if not load.packets:
        return _Kept()
    mean = load.bytes / load.packets
    captured = min(mean, asked.snaplen, HEADERS_MOST if asked.headers_only else CAPTURED_MOST)
    block = packet_block_bytes(math.ceil(captured))
    return _Kept(load.packets, load.packets * captured, load.packets * block)


def assumptions(asked: PriceFactors) -> list[str]:
    """What an estimate takes for granted, a line each."""
    notes = ["forward is what leaves the pod (without a pod's veth: this machine)"]
    if asked.filtered:
        notes.append("every packet matches the filter: an upper bound")
    if asked.headers_only:
        notes.append(f"headers are {HEADERS_MOST} bytes of a packet (from {HEADERS_LEAST}, without TCP options)")
    if any(share < 1 for share in asked.shares.values()):
        notes.append("sampling keeps its share of the packets; a few large flows make that more or less")
    if asked.first:
        notes.append("no flow is longer than its first packets that are kept: an upper bound")
    if asked.keeps_control:
        notes.append("control packets (SYN, FIN, RST, ICMP errors), which sampling always keeps, are few")
    if asked.compressed:
        notes.append("nothing is gained by compression, nor does it cost CPU")
    return notes
