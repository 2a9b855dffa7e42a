"""Words of --sample and --on-pressure -> samplers and measures."""

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
    """One sampler, like flow:1/10 or reverse=rate:1mbit. Raises SpecError."""
    found = _SAMPLER.fullmatch(text.strip())
    names = [direction.value for direction in Direction]
    if found is None or (found["direction"] or "both") not in names:
        raise SpecError(f"{field} {text!r} is not understood; {_EXAMPLES}")
    amount = found["amount"]
    if found["kind"] in (SamplerKind.FLOW.value, SamplerKind.PACKET.value):
        kind, value = SamplerKind(found["kind"]), _share(amount)
    elif found["kind"] == "first":
        kind, value = SamplerKind.FIRST, Fraction(amount) if _NUMBER.fullmatch(amount) else None
    else:
        kind, value = _rate(amount) if found["kind"] == "rate" else (SamplerKind.FIRST, None)
    if value is None:
        raise SpecError(f"{field} {text!r} is not understood; {_EXAMPLES}")
    return Sampler(kind, value, Direction(found["direction"] or "both"))


def _share(text: str) -> Fraction | None:
    found = _SHARE.fullmatch(text)
    if found is None or found[2] == "0" * len(found[2] or "-"):
        return None
    return Fraction(found[3]) / 100 if found[3] else Fraction(int(found[1]), int(found[2]))


def _rate(text: str) -> tuple[SamplerKind, Fraction | None]:
    found = _RATE.fullmatch(text)
    if found is None:
        return SamplerKind.PACKET_RATE, None
    return SamplerKind(found[3][:3].lower()), Fraction(found[1]) * DECIMAL_PREFIXES[found[2].lower()]


def parse_measures(texts: Iterable[str], field: str = "--on-pressure") -> tuple[OnPressure, ...]:
    """Measures in the order in which they are taken, like "truncate,sample". Raises SpecError."""
    words = [word.strip() for text in texts for word in text.split(",")]
    measures = []
    for word in words:
        if word not in [measure.value for measure in OnPressure]:
            known = ", ".join(measure.value for measure in OnPressure)
            raise SpecError(f"{field} {word!r} is not one of {known}; write them in the order wanted, with commas")
        measures.append(OnPressure(word))
    if len(set(measures)) < len(measures):
        raise SpecError(f"{field} {','.join(words)} says the same twice")
    if OnPressure.LOSE in measures[:-1]:
        raise SpecError(f"{field} {','.join(words)}: nothing comes after lose")
    return tuple(measures)
