"""Samplers, which choose the packets to keep from those that match: frozen, validated values.

    flow:1/10      conversations, by a hash of their canonical tuple: both directions or neither
    packet:1/100   packets, at random
    first:20       the first packets of each conversation and direction
    rate:1000pps   packets, or bits, per second

Each may be for one direction only. A packet is kept if all samplers keep it. Equal values are the same request.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from capture.errors import SpecError
from capture.wire.direction import Direction

SEED_MAX = (1 << 64) - 1
FIRST_MAX = (1 << 16) - 1
"""Largest count of packets: the kernel program counts in 16 bits."""
RATE_MAX = 10**12
BIT_RATE_MIN = 1000
"""Smallest bit rate: at this rate the time that a packet of any size takes still fits 64 bits."""


class SamplerKind(Enum):
    """The criterion of a sampler."""

    FLOW = "flow"
    PACKET = "packet"
    FIRST = "first"
    PACKET_RATE = "pps"
    BIT_RATE = "bit"


@dataclass(frozen=True, slots=True)
class Sampler:
    """One sampler: a share of 1 (flow, packet), a number of packets (first), or a number per second (rates)."""

    kind: SamplerKind
    amount: Fraction
    direction: Direction = Direction.BOTH

    def __post_init__(self) -> None:
        if self.kind in (SamplerKind.FLOW, SamplerKind.PACKET):
            if not 0 < self.amount <= 1:
                raise SpecError(f"sample {self}: a share is above 0 and at most 1")
        elif self.amount.denominator != 1 or self.amount < 1:
            raise SpecError(f"sample {self}: the number is not whole, or below 1")
        if self.kind is SamplerKind.FIRST and self.amount > FIRST_MAX:
            raise SpecError(f"sample {self}: at most {FIRST_MAX} packets are counted")
        if self.amount > RATE_MAX:
            raise SpecError(f"sample {self}: the rate is above {RATE_MAX}")
        if self.kind is SamplerKind.BIT_RATE and self.amount < BIT_RATE_MIN:
            raise SpecError(f"sample {self}: the rate is below {BIT_RATE_MIN}")
        if self.kind is SamplerKind.FLOW and self.direction is not Direction.BOTH:
            raise SpecError(f"sample {self}: flow keeps both directions of a conversation or neither; leave it out")

    def applies(self, direction: Direction) -> bool:
        return self.direction in (Direction.BOTH, direction)

    def __str__(self) -> str:
        prefix = "" if self.direction is Direction.BOTH else f"{self.direction.value}="
        if self.kind in (SamplerKind.PACKET_RATE, SamplerKind.BIT_RATE):
            return f"{prefix}rate:{self.amount}{self.kind.value}"
        if self.amount == 1 and self.kind is not SamplerKind.FIRST:
            return f"{prefix}{self.kind.value}:100%"
        return f"{prefix}{self.kind.value}:{self.amount}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """All samplers of a capture. Captures with the same `seed` choose the same conversations, on any node.

    `keep_control` keeps SYN, FIN, RST and ICMP errors regardless of the samplers.
    """

    samplers: tuple[Sampler, ...] = ()
    seed: int = 0
    keep_control: bool = True
    headers_only: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= SEED_MAX:
            raise SpecError(f"sample seed {self.seed} is not from 0 to {SEED_MAX}")

    def of(self, kind: SamplerKind, direction: Direction) -> list[Fraction]:
        """Return the amounts of the samplers of a kind that apply to one direction."""
        return [s.amount for s in self.samplers if s.kind is kind and s.applies(direction)]

    @property
    def flow_share(self) -> Fraction:
        """The share of conversations that are kept: the smallest share, which is contained in all others."""
        return min(self.of(SamplerKind.FLOW, Direction.FORWARD), default=Fraction(1))

    def packet_share(self, direction: Direction) -> Fraction:
        """Return the share of packets kept at random: the product of the shares, as samplers choose independently."""
        share = Fraction(1)
        for amount in self.of(SamplerKind.PACKET, direction):
            share *= amount
        return share

    def first(self, direction: Direction) -> int | None:
        """Return the number of first packets that are kept of each conversation; None is all."""
        return min((int(amount) for amount in self.of(SamplerKind.FIRST, direction)), default=None)
