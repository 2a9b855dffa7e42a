"""The texts of --sample and --on-pressure -> values, or one line with examples."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_measures, parse_sampler
from capture.sampling.sampler import Sampler, SamplerKind
from capture.wire.direction import Direction

BOTH, FORWARD, REVERSE = Direction.BOTH, Direction.FORWARD, Direction.REVERSE

SAMPLERS = [
    # words, what goes by, how much, which direction
    ("flow:1/10", SamplerKind.FLOW, Fraction(1, 10), BOTH),
    ("flow:10%", SamplerKind.FLOW, Fraction(1, 10), BOTH),
    ("flow:3/4", SamplerKind.FLOW, Fraction(3, 4), BOTH),
    ("flow:1/1", SamplerKind.FLOW, Fraction(1), BOTH),
    ("flow:100%", SamplerKind.FLOW, Fraction(1), BOTH),
    ("flow:0.001%", SamplerKind.FLOW, Fraction(1, 100_000), BOTH),
    (" flow:1/10 ", SamplerKind.FLOW, Fraction(1, 10), BOTH),
    ("both=flow:1/10", SamplerKind.FLOW, Fraction(1, 10), BOTH),
    ("packet:1/100", SamplerKind.PACKET, Fraction(1, 100), BOTH),
    ("packet:2.5%", SamplerKind.PACKET, Fraction(1, 40), BOTH),
    ("forward=packet:1%", SamplerKind.PACKET, Fraction(1, 100), FORWARD),
    ("packet:1/999999999999", SamplerKind.PACKET, Fraction(1, 999_999_999_999), BOTH),
    ("first:20", SamplerKind.FIRST, Fraction(20), BOTH),
    ("reverse=first:5", SamplerKind.FIRST, Fraction(5), REVERSE),
    ("first:65535", SamplerKind.FIRST, Fraction(65_535), BOTH),
    ("rate:1000pps", SamplerKind.PACKET_RATE, Fraction(1000), BOTH),
    ("rate:1pps", SamplerKind.PACKET_RATE, Fraction(1), BOTH),
    ("rate:1.5kpps", SamplerKind.PACKET_RATE, Fraction(1500), BOTH),
    ("rate:2Mpps", SamplerKind.PACKET_RATE, Fraction(2 * 10**6), BOTH),
    ("rate:10mbit", SamplerKind.BIT_RATE, Fraction(10**7), BOTH),
    ("rate:10Mbit/s", SamplerKind.BIT_RATE, Fraction(10**7), BOTH),
    ("rate:10mbitps", SamplerKind.BIT_RATE, Fraction(10**7), BOTH),
    ("reverse=rate:1gbit", SamplerKind.BIT_RATE, Fraction(10**9), REVERSE),
    ("rate:64000bit", SamplerKind.BIT_RATE, Fraction(64_000), BOTH),
]

NO_SAMPLERS = [
    # what is wrong, words
    ("nothing", ""),
    ("only a kind", "flow"),
    ("no amount", "flow:"),
    ("no kind", ":1/10"),
    ("an unknown kind", "host:1/10"),
    ("a kind of the value only", "pps:1000"),
    ("an unknown direction", "up=first:5"),
    ("no direction", "=first:5"),
    ("two directions", "forward=reverse=first:5"),
    ("capitals", "FLOW:1/10"),
    ("two samplers", "flow:1/10,first:5"),
    ("a space", "flow: 1/10"),
    ("a share as a number", "flow:0.1"),
    ("a whole number as a share", "flow:10"),
    ("a share of nothing", "flow:1/0"),
    ("a share of a longer nothing", "flow:1/000"),
    ("half a share", "flow:1/"),
    ("a share of three", "flow:1/2/3"),
    ("a negative share", "packet:-1/10"),
    ("a negative percentage", "packet:-5%"),
    ("a percentage twice", "packet:5%%"),
    ("a percentage without a number", "packet:%"),
    ("a comma for a point", "packet:2,5%"),
    ("more digits than any share needs", "flow:1/1234567890123"),
    ("digits of another script", "flow:\u0661/10"),
    ("a number that is none", "first:many"),
    ("part of a packet", "first:2.5"),
    ("a negative number", "first:-1"),
    ("a number of another script", "first:\u0665"),
    ("a number as a share", "first:1/2"),
    ("far too large a number", "first:" + "9" * 5000),
    ("a rate without a unit", "rate:1000"),
    ("bps, which is bits to some and bytes to tc", "rate:10mbps"),
    ("bytes", "rate:10MB"),
    ("packets per second per second", "rate:10pps/s"),
    ("a unit twice", "rate:10ppsps"),
    ("a letter that lower() makes an s", "rate:10pp\u017f"),
    ("a prefix that does not exist", "rate:1tbit"),
    ("a binary prefix", "rate:1Kipps"),
    ("a negative rate", "rate:-1pps"),
    ("no number", "rate:pps"),
    ("an exponent", "rate:1e6pps"),
    ("a rate as a share", "rate:1/10"),
]

IMPOSSIBLE = [
    # words that are understood, the error about them
    ("flow:0%", "sample flow:0: a share is above 0 and at most 1"),
    ("flow:0/10", "a share is above 0"),
    ("packet:11/10", "sample packet:11/10: a share is above 0 and at most 1"),
    ("packet:100.1%", "a share is above 0 and at most 1"),
    ("first:0", "sample first:0: the number is not whole, or below 1"),
    ("first:65536", "sample first:65536: at most 65535 packets are counted"),
    ("rate:0pps", "sample rate:0pps: the number is not whole, or below 1"),
    ("rate:0.5pps", "the number is not whole"),
    ("rate:1.0001kpps", "the number is not whole"),
    ("rate:0bit", "the number is not whole, or below 1"),
    ("rate:999bit", "sample rate:999bit: the rate is below 1000"),
    ("rate:1001gbit", "the rate is above 1000000000000"),
    ("forward=flow:1/10", "sample forward=flow:1/10: flow keeps both directions"),
    ("reverse=flow:1/10", "flow keeps both directions of a conversation or neither"),
]


@pytest.mark.parametrize(("words", "kind", "amount", "direction"), SAMPLERS, ids=[case[0] for case in SAMPLERS])
def test_a_sampler(words: str, kind: SamplerKind, amount: Fraction, direction: Direction) -> None:
    assert parse_sampler(words) == Sampler(kind, amount, direction)


@pytest.mark.parametrize(("what", "words"), NO_SAMPLERS, ids=[case[0] for case in NO_SAMPLERS])
def test_text_that_is_not_a_sampler_is_refused(what: str, words: str) -> None:
    with pytest.raises(SpecError, match=r"^--sample '.*' is not understood; write it like flow:1/10,") as refused:
        parse_sampler(words)
    assert repr(words) in str(refused.value)


@pytest.mark.parametrize(("words", "message"), IMPOSSIBLE, ids=[case[0] for case in IMPOSSIBLE])
def test_an_impossible_sampler_is_refused(words: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_sampler(words)
    assert message in str(refused.value)


def test_the_error_names_the_source_of_the_text() -> None:
    with pytest.raises(SpecError, match=r"^rule file f\.yaml: sample 'x' is not understood"):
        parse_sampler("x", "rule file f.yaml: sample")


SHARES = st.fractions(0, 1, max_denominator=10**12 - 1).filter(bool)
AMOUNTS = {
    SamplerKind.FLOW: SHARES,
    SamplerKind.PACKET: SHARES,
    SamplerKind.FIRST: st.integers(1, 65_535).map(Fraction),
    SamplerKind.PACKET_RATE: st.integers(1, 10**12 - 1).map(Fraction),
    SamplerKind.BIT_RATE: st.integers(1000, 10**12 - 1).map(Fraction),
}


def written(kind: SamplerKind, amount: Fraction) -> str:
    """Return an amount in full, as a person would write it."""
    if kind in (SamplerKind.FLOW, SamplerKind.PACKET):
        return f"{amount.numerator}/{amount.denominator}"
    return f"{amount}{'' if kind is SamplerKind.FIRST else kind.value}"


@given(
    st.sampled_from(SamplerKind).flatmap(lambda kind: st.tuples(st.just(kind), AMOUNTS[kind])),
    st.sampled_from(Direction),
)
def test_the_text_of_a_sampler_is_that_sampler(sampler: tuple[SamplerKind, Fraction], direction: Direction) -> None:
    kind, amount = sampler
    direction = BOTH if kind is SamplerKind.FLOW else direction
    name = "rate" if kind in (SamplerKind.PACKET_RATE, SamplerKind.BIT_RATE) else kind.value
    prefix = "" if direction is BOTH else f"{direction.value}="
    found = parse_sampler(f"{prefix}{name}:{written(kind, amount)}")
    assert found == Sampler(kind, amount, direction)
    assert parse_sampler(str(found)) == found


MEASURES = [
    (["truncate"], [OnPressure.TRUNCATE]),
    (["truncate,sample"], [OnPressure.TRUNCATE, OnPressure.SAMPLE]),
    (["sample, truncate"], [OnPressure.SAMPLE, OnPressure.TRUNCATE]),
    (["truncate", "sample,lose"], [OnPressure.TRUNCATE, OnPressure.SAMPLE, OnPressure.LOSE]),
    (["lose"], [OnPressure.LOSE]),
]

NO_MEASURES = [
    ([""], "--on-pressure '' is not one of truncate, sample, lose"),
    (["drop"], "--on-pressure 'drop' is not one of"),
    (["truncate,"], "--on-pressure '' is not one of"),
    (["Truncate"], "'Truncate' is not one of"),
    (["truncate;sample"], "'truncate;sample' is not one of"),
    (["truncate,truncate"], "truncate,truncate has a measure twice"),
    (["truncate", "sample", "truncate"], "truncate,sample,truncate has a measure twice"),
    (["lose,truncate"], "lose,truncate: lose must be the last measure"),
]


@pytest.mark.parametrize(("words", "measures"), MEASURES, ids=lambda case: " ".join(map(str, case)))
def test_measures_keep_their_order(words: list[str], measures: list[OnPressure]) -> None:
    assert parse_measures(words) == tuple(measures)


@pytest.mark.parametrize(("words", "message"), NO_MEASURES, ids=[case[1] for case in NO_MEASURES])
def test_wrong_measures_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_measures(words)
    assert message in str(refused.value)
