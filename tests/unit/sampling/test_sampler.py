"""Several samplers -> the packets kept of each direction; and impossible values."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.request.spec_json import sampling_as_json
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import SEED_MAX, Sampler, SamplerKind, Sampling
from capture.sampling.sampling_h import per_direction
from capture.spec import CaptureSpec
from capture.wire.direction import Direction

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE
WAYS = (FORWARD, REVERSE)


def sampling(*words: str) -> Sampling:
    return Sampling(samplers=tuple(parse_sampler(word) for word in words))


COMBINED = [
    # samplers, share of conversations, then forward and reverse: share of packets, first, packets/s, bits/s
    ("", "1", ("1", None, None, None), ("1", None, None, None)),
    ("flow:1/10", "1/10", ("1", None, None, None), ("1", None, None, None)),
    ("flow:1/10 flow:1/4", "1/10", ("1", None, None, None), ("1", None, None, None)),
    ("packet:1/10 packet:1/4", "1", ("1/40", None, None, None), ("1/40", None, None, None)),
    ("packet:1/2 reverse=packet:1/5", "1", ("1/2", None, None, None), ("1/10", None, None, None)),
    ("first:20 first:30", "1", ("1", 20, None, None), ("1", 20, None, None)),
    ("first:20 reverse=first:5", "1", ("1", 20, None, None), ("1", 5, None, None)),
    ("first:5 reverse=first:20", "1", ("1", 5, None, None), ("1", 5, None, None)),
    ("reverse=first:5", "1", ("1", None, None, None), ("1", 5, None, None)),
    ("forward=first:5", "1", ("1", 5, None, None), ("1", None, None, None)),
    ("rate:10pps rate:7pps rate:1mbit", "1", ("1", None, 7, 10**6), ("1", None, 7, 10**6)),
    ("forward=rate:10pps reverse=rate:1mbit", "1", ("1", None, 10, None), ("1", None, None, 10**6)),
    ("flow:50% packet:50% first:2 rate:9pps", "1/2", ("1/2", 2, 9, None), ("1/2", 2, 9, None)),
]


@pytest.mark.parametrize(
    ("words", "flows", "forward", "reverse"), COMBINED, ids=[case[0] or "none" for case in COMBINED]
)
def test_samplers_of_a_direction_must_all_agree(
    words: str, flows: str, forward: tuple[str, int, int, int], reverse: tuple[str, int, int, int]
) -> None:
    values = sampling(*words.split())
    assert values.flow_share == Fraction(flows)
    for way, (share, first, packets, bits) in zip(WAYS, (forward, reverse), strict=True):
        assert values.packet_share(way) == Fraction(share)
        assert values.first(way) == first
        lowest = [min(values.of(kind, way), default=None) for kind in (SamplerKind.PACKET_RATE, SamplerKind.BIT_RATE)]
        assert lowest == [packets, bits]


SAMPLERS = st.sampled_from(
    ["flow:1/2", "flow:1/3", "packet:1/5", "forward=packet:1/7", "reverse=packet:3/4", "first:9", "reverse=first:2"]
)


@given(st.lists(SAMPLERS, max_size=5), SAMPLERS)
def test_another_sampler_never_keeps_more(words: list[str], another: str) -> None:
    few, more = sampling(*words), sampling(*words, another)
    assert more.flow_share <= few.flow_share
    for way in WAYS:
        assert more.packet_share(way) <= few.packet_share(way)
        assert (more.first(way) or 10) <= (few.first(way) or 10)


@given(st.permutations(["flow:1/2", "packet:1/5", "reverse=packet:3/4", "first:9", "rate:7pps", "rate:5pps"]))
def test_their_order_does_not_matter(words: list[str]) -> None:
    values, sorted_ones = sampling(*words), sampling(*sorted(words))
    assert values.flow_share == sorted_ones.flow_share
    for way in WAYS:
        assert values.packet_share(way) == sorted_ones.packet_share(way)
        assert values.first(way) == sorted_ones.first(way)
        assert sorted(values.of(SamplerKind.PACKET_RATE, way)) == sorted(sorted_ones.of(SamplerKind.PACKET_RATE, way))


def test_by_default_everything_is_kept_and_control_packets_are_exempt_from_sampling() -> None:
    assert (Sampling().samplers, Sampling().keep_control, Sampling().headers_only) == ((), True, False)


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1])
def test_a_seed_has_64_bits(seed: int) -> None:
    Sampling(seed=SEED_MAX)
    with pytest.raises(SpecError, match=f"sample seed {seed} is not from 0 to {SEED_MAX}"):
        Sampling(seed=seed)


VALUES = [
    # a sampler that cannot be, also where no words are parsed
    (SamplerKind.FLOW, Fraction(0), Direction.BOTH, "a share is above 0"),
    (SamplerKind.PACKET, Fraction(3, 2), FORWARD, "sample forward=packet:3/2: a share is above 0 and at most 1"),
    (SamplerKind.FLOW, Fraction(1, 2), FORWARD, "flow keeps both directions"),
    (SamplerKind.FIRST, Fraction(1, 2), REVERSE, "sample reverse=first:1/2: the number is not whole"),
    (SamplerKind.FIRST, Fraction(65_536), Direction.BOTH, "at most 65535 packets"),
    (SamplerKind.PACKET_RATE, Fraction(10**12 + 1), Direction.BOTH, "the rate is above 1000000000000"),
    (SamplerKind.BIT_RATE, Fraction(999), Direction.BOTH, "sample rate:999bit: the rate is below 1000"),
    (SamplerKind.BIT_RATE, Fraction(2001, 2), Direction.BOTH, "the number is not whole"),
]


@pytest.mark.parametrize(("kind", "amount", "direction", "message"), VALUES)
def test_impossible_values_are_refused(
    kind: SamplerKind, amount: Fraction, direction: Direction, message: str
) -> None:
    with pytest.raises(SpecError) as refused:
        Sampler(kind, amount, direction)
    assert message in str(refused.value)


def test_json_has_the_texts_of_the_options() -> None:
    samplers = tuple(parse_sampler(words) for words in ("flow:10%", "reverse=first:5", "rate:10mbit"))
    sampling = Sampling(samplers=samplers, seed=7, keep_control=False, headers_only=True)
    assert sampling_as_json(CaptureSpec(interfaces=("eth0",), sampling=sampling)) == {
        "sample": ["flow:1/10", "reverse=first:5", "rate:10000000bit"],
        "sample_seed": 7,
        "keep_control": False,
        "headers_only": True,
    }


def test_a_number_that_depends_on_the_direction_is_a_choice_in_c() -> None:
    assert per_direction(lambda way: 5) == "5ULL"
    assert per_direction(lambda way: 5 if way is FORWARD else 6) == "((direction) == REVERSE ? 6ULL : 5ULL)"
