"""Sampling and measures under pressure -> sampling.h and the switches of the kernel program.

A sampler that is not requested costs no instruction and no map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from capture.sampling.levels import HALVES, OnPressure, PressureLevels, pressure_levels
from capture.sampling.sampler import Sampler, SamplerKind, Sampling
from capture.wire.direction import Direction

_WAYS = (Direction.FORWARD, Direction.REVERSE)
_SECOND_NS = 10**9
_BYTE_SHIFT = 20
"""Bits of the fraction in the cost of a byte, which is in nanoseconds."""


@dataclass(frozen=True, slots=True)
class SamplingProgram:
    """The input of the loader, sampling.h and -D switches; and the properties of packets that samplers need."""

    header: str
    switches: tuple[tuple[str, int], ...]
    asks_flow: bool
    """True if the conversation of a packet is needed."""
    asks_control: bool
    """True if it must be known which packets are control packets."""
    asks_headers: bool
    """True if the end of the headers is needed."""
    levels: PressureLevels


def sampling_program(sampling: Sampling, measures: Sequence[OnPressure] = ()) -> SamplingProgram:
    """Return the program that keeps the packets that `sampling` chooses, and fewer under pressure."""
    levels = pressure_levels(measures)
    firsts = {way: sampling.first(way) or 0 for way in _WAYS}
    rates = [
        sampler for sampler in sampling.samplers if sampler.kind in (SamplerKind.PACKET_RATE, SamplerKind.BIT_RATE)
    ]
    asks_flow = sampling.flow_share < 1 or any(firsts.values()) or levels.samples_from > 0
    samples = asks_flow or bool(rates) or any(sampling.packet_share(way) < 1 for way in _WAYS)
    asks_headers = sampling.headers_only or levels.cuts_from > 0
    asks_control = samples and sampling.keep_control
    header = [
        f"#define FLOW_SHARE {_of_32_bits(sampling.flow_share)}ULL",
        f"#define FLOW_SEED {sampling.seed}ULL",
        f"#define PACKET_SHARE(direction) {per_direction(lambda way: _of_32_bits(sampling.packet_share(way)))}",
        f"#define FIRST(direction) {per_direction(firsts.__getitem__)}",
        f"#define TAKES(direction, bytes) ({' && '.join(_take(n, rate) for n, rate in enumerate(rates)) or 1})",
    ]
    switches = {
        "SAMPLED": asks_flow or asks_control,
        "KEEP_CONTROL": asks_control,
        "PACKET_SAMPLED": any(sampling.packet_share(way) < 1 for way in _WAYS),
        "FIRST_ASKED": any(firsts.values()),
        "RATES": len(rates),
        "HEADERS_ONLY": sampling.headers_only,
        "HEADERS_ASKED": asks_headers,
        "PRESSURE_LEVELS": levels.top,
        "PRESSURE_CUTS_FROM": levels.cuts_from,
        "PRESSURE_SAMPLES_FROM": levels.samples_from,
        "PRESSURE_HALVES": HALVES,
    }
    return SamplingProgram(
        header="\n".join(header) + "\n",
        switches=tuple((name, int(value)) for name, value in switches.items()),
        asks_flow=asks_flow,
        asks_control=asks_control,
        asks_headers=asks_headers,
        levels=levels,
    )


def per_direction(value: Callable[[Direction], int]) -> str:
    """Return a C expression for a number that depends on `direction`."""
    forward, reverse = value(Direction.FORWARD), value(Direction.REVERSE)
    return f"{forward}ULL" if forward == reverse else f"((direction) == REVERSE ? {reverse}ULL : {forward}ULL)"


def _of_32_bits(share: Fraction) -> int:
    """Return a share as a bound for uniform 32-bit numbers; at least 1, because a share is above 0."""
    return max(1, round(share * (1 << 32)))


def _take(bucket: int, rate: Sampler) -> str:
    """Return C that takes the cost of a packet from a token bucket, if the rate applies to its direction."""
    if rate.kind is SamplerKind.PACKET_RATE:
        cost = f"{round(_SECOND_NS / rate.amount)}ULL"
    else:
        cost = f"((bytes) * {round((8 * _SECOND_NS << _BYTE_SHIFT) / rate.amount)}ULL >> {_BYTE_SHIFT})"
    if rate.direction is Direction.BOTH:
        return f"take({bucket}, {cost})"
    return f"((direction) != {rate.direction.name} || take({bucket}, {cost}))"
