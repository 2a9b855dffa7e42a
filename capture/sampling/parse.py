"""The texts of --sample and --on-pressure -> samplers and measures."""

import re
from collections.abc import Iterable
from fractions import Fraction

from capture.errors import SpecError
from capture.sampling.levels import OnPressure
from capture.sampling.sampler import Sampler, SamplerKind
from capture.units import DECIMAL_PREFIXES
from capture.wire.direction import Direction

_NUMBER = re.compile(r"[0-9]{1,12}")
_EXAMPLES = "write it like flow:1/10, packet:1%, first:20, rate:1000pps, rate:10mbit or reverse=first:5"
_SAMPLER = re.compile(r"(?:(?P<direction>[a-z]+)=)?(?P<kind>[a-z]+):(?P<amount>\S+)")
_SHARE = re.compile(r"([0-9]{1,12})/([0-9]{1,12})|([0-9]{1,3}(?:\.[0-9]{1,9})?)%")
_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([kmg]?)(pps|bit(?:/s|ps)?)", re.IGNORECASE | re.ASCII)


def parse_sampler(text: str, field: str = "--sample") -> Sampler:
    """Turn one sampler, like flow:1/10 or reverse=rate:1mbit, into a Sampler. Raises SpecError."""
    match = _SAMPLER.fullmatch(text.strip())
    names = [direction.value for direction in Direction]
    if match is None or (match["direction"] or "both") not in names:
        raise SpecError(f"{field} {text!r} is not understood; {_EXAMPLES}")
    amount = match["amount"]
    if match["kind"] in (SamplerKind.FLOW.value, SamplerKind.PACKET.value):
        kind, value = SamplerKind(match["kind"]), _share(amount)
    elif match["kind"] == "first":
        kind, value = SamplerKind.FIRST, Fraction(amount) if _NUMBER.fullmatch(amount) else None
    else:
        kind, value = _rate(amount) if match["kind"] == "rate" else (SamplerKind.FIRST, None)
    if value is None:
        raise SpecError(f"{field} {text!r} is not understood; {_EXAMPLES}")
    return Sampler(kind, value, Direction(match["direction"] or "both"))


def _share(text: str) -> Fraction | None:
    match = _SHARE.fullmatch(text)
    if match is None or match[2] == "0" * len(match[2] or "-"):
        return None
    return Fraction(match[3]) / 100 if match[3] else Fraction(int(match[1]), int(match[2]))


def _rate(text: str) -> tuple[SamplerKind, Fraction | None]:
    match = _RATE.fullmatch(text)
    if match is None:
        return SamplerKind.PACKET_RATE, None
    return SamplerKind(match[3][:3].lower()), Fraction(match[1]) * DECIMAL_PREFIXES[match[2].lower()]


def parse_measures(texts: Iterable[str], field: str = "--on-pressure") -> tuple[OnPressure, ...]:
    """Turn measures like "truncate,sample", in the order in which to take them, into values. Raises SpecError."""
    words = [word.strip() for text in texts for word in text.split(",")]
    measures = []
    for word in words:
        if word not in [measure.value for measure in OnPressure]:
            known = ", ".join(measure.value for measure in OnPressure)
            raise SpecError(f"{field} {word!r} is not one of {known}; write them in the order wanted, with commas")
        measures.append(OnPressure(word))
    if len(set(measures)) < len(measures):
        raise SpecError(f"{field} {','.join(words)} has a measure twice")
    if OnPressure.LOSE in measures[:-1]:
        raise SpecError(f"{field} {','.join(words)}: lose must be the last measure")
    return tuple(measures)
