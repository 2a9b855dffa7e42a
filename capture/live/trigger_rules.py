"""The text of a rule -> what it measures, over which time and for whom, and when that fires.

    CONDITION [N times] [in DURATION] [per session|client|server|pod]

A condition is one of `bicap sessions --filter` (retransmitted>=5, handshake=refused, http_5xx>0), finding=KIND of
`bicap diagnose`, lost>N of the recorder, drop=REASON and reset-reason=REASON of the kernel,
rate(packets|bytes|sessions) OP VALUE, or server_rtt|client_rtt|first_byte > Nx: a median above N times the usual one.
With a time, counts are those of that time, over all sessions or for each client, server or pod.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from capture.analysis.diagnose.troubles import TROUBLES
from capture.analysis.query.columns import NEED_PAYLOAD
from capture.analysis.query.conditions import Filter, nearest
from capture.errors import SpecError
from capture.live.usual_medians import MEASURES
from capture.units import DECIMAL_PREFIXES, parse_duration
from capture.wire.drop_reasons import DROPPED, KNOWN_REASONS, LOSSES, PEER_RESET, RESET, KernelReason, ReasonClass

_PER = re.compile(r"\s+per\s+(\S+)\s*$")
_IN = re.compile(r"\s+in\s+(\S+)\s*$")
_TIMES = re.compile(r"\s+([0-9]{1,9})\s+times\s*$")
_FINDING = re.compile(r"\s*finding\s*=\s*([\w-]+)\s*")
_RATE = re.compile(r"\s*rate\((\w*)\)\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")
_REASON = re.compile(r"\s*(drop|reset-reason)\s*=\s*([\w-]+)\s*")
_USUAL = re.compile(r"\s*(\w+)\s*(>=?)\s*([0-9]+(?:\.[0-9]+)?)\s*[xX]\s*")
_LOST = re.compile(r"\s*lost\s*(>=|>)\s*([0-9]{1,15})\s*")
_SHORT = {"dns=failed": "dns_failed>=1", "icmp-error": "icmp_error>=1", "tls-alert": "tls_alerts>=1"}
"""Other forms of frequent conditions."""
KEYS = ("session", "client", "server", "pod")
RATES = ("packets", "bytes", "sessions")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
RATE_NS = 10**9
"""Time over which a rate is measured if the rule gives none, ns."""
RECENT_NS = 10 * 10**9
"""Time whose median is compared with the usual one if the rule gives none, ns."""
USUAL_NS = 300 * 10**9
"""Time whose mean is the usual rate, for conditions like rate(packets)>3x."""


@dataclass(frozen=True, slots=True)
class RateCondition:
    """A rate of packets, bytes or new sessions per second, or with `times_usual` in multiples of the usual one."""

    what: str
    sign: str
    value: float
    times_usual: bool

    def __call__(self, rate: float, usual: float) -> bool:
        """True if it holds."""
        return _COMPARE[self.sign](rate, self.value * usual if self.times_usual else self.value)


@dataclass(frozen=True, slots=True)
class ReasonCondition:
    """A drop, or a reset of the kernel or the peer, for one reason (NETFILTER_DROP), class (policy) or any."""

    what: tuple[str, ...]
    name: str

    def __call__(self, found: KernelReason) -> bool:
        """True for such an event."""
        if found.what not in self.what:
            return False
        if self.name == "any":
            return found.what != DROPPED or found.kind in LOSSES
        return self.name in (found.reason, found.kind)


@dataclass(frozen=True, slots=True)
class UsualCondition:
    """A median of durations (MEASURES) above `times` the usual one of the same place."""

    measure: str
    times: float


@dataclass(frozen=True, slots=True)
class TriggerRule:
    """A rule: exactly one of `condition`, `finding`, `rate`, `lost`, `reason` and `usual` is given.

    `times` is the number of sessions that it needs.
    """

    text: str
    condition: Filter | None = None
    finding: str | None = None
    rate: RateCondition | None = None
    lost: int | None = None
    times: int | None = None
    window_ns: int | None = None
    per: str = field(default="")
    reason: ReasonCondition | None = None
    usual: UsualCondition | None = None

    @property
    def needs_payload(self) -> bool:
        """True if it looks at payload."""
        return self.condition is not None and self.condition.column in NEED_PAYLOAD


def parse_rule(text: str, option: str = "--trigger") -> TriggerRule:
    """Return the rule of a text. Raises SpecError, which names the word that is not known and the nearest one."""
    rest, per, window_ns, times = text, "", None, None
    if found := _PER.search(rest):
        per, rest = found[1], rest[: found.start()]
        if per not in KEYS:
            raise SpecError(
                f"{option} {text!r}: per {per} is not known{nearest(per, KEYS)}; there is {', '.join(KEYS)}"
            )
    if found := _IN.search(rest):
        window_ns, rest = parse_duration(found[1], f"{option} {text!r}: in"), rest[: found.start()]
        if window_ns == 0:
            raise SpecError(f"{option} {text!r}: in is not longer than 0")
    if found := _TIMES.search(rest):
        times, rest = int(found[1]), rest[: found.start()]
    rest = _SHORT.get(re.sub(r"\s", "", rest), rest)
    rule = _condition(rest, text, option)
    if rule.usual is not None:
        if times is not None:
            raise SpecError(f"{option} {text!r}: times is for conditions of sessions")
        return replace(rule, window_ns=window_ns or RECENT_NS, per=per or "server")
    if rule.condition is None and (per or times):
        raise SpecError(f"{option} {text!r}: per and times are for conditions of sessions")
    if times is not None and window_ns is None:
        raise SpecError(f"{option} {text!r}: times needs a time; write {rest.strip()} {times} times in 10s")
    if per and window_ns is None:
        raise SpecError(f"{option} {text!r}: per needs a time; write {rest.strip()} in 10s per {per}")
    if rule.condition is not None and window_ns is not None and times is None and rule.condition.counts is None:
        raise SpecError(f"{option} {text!r}: that is no count; write {rest.strip()} 3 times in 10s")
    if window_ns is not None and rule.condition is None and rule.rate is None:
        raise SpecError(f"{option} {text!r}: in is for conditions of sessions and for rates")
    return replace(rule, times=times, window_ns=window_ns, per=per)


def _condition(rest: str, text: str, option: str) -> TriggerRule:
    if found := _FINDING.fullmatch(rest):
        kinds = [trouble.name for trouble in TROUBLES]
        if found[1] not in kinds:
            known = f"{nearest(found[1], kinds)}; there is {', '.join(kinds)}"
            raise SpecError(f"{option} {text!r}: there is no finding {found[1]}{known}")
        return TriggerRule(text, finding=found[1])
    if found := _REASON.fullmatch(rest):
        return TriggerRule(text, reason=_reason(found[1], found[2], text, option))
    if found := _LOST.fullmatch(rest):
        return TriggerRule(text, lost=int(found[2]) + (found[1] == ">"))
    if found := _USUAL.fullmatch(rest):
        if found[1] not in MEASURES:
            raise SpecError(
                f"{option} {text!r}: {found[1]} has no usual median{nearest(found[1], MEASURES)}; there is "
                f"{', '.join(MEASURES)}"
            )
        return TriggerRule(text, usual=UsualCondition(found[1], float(found[3])))
    if rest.lstrip().startswith("rate("):
        return TriggerRule(text, rate=_rate(rest, text, option))
    name = re.match(r"\s*([\w-]+)", rest)
    if name and re.fullmatch(r"\s*[\w-]+\s*", rest):
        near = nearest(rest.strip(), [*_SHORT])
        raise SpecError(f"{option} {text!r}: {rest.strip()!r} is no condition{near}; write COLUMN>=VALUE")
    return TriggerRule(text, condition=Filter(rest.strip(), option))


def _reason(what: str, name: str, text: str, option: str) -> ReasonCondition:
    classes = [kind.value for kind in ReasonClass]
    known = ["any", *classes, *KNOWN_REASONS]
    # Kernels have reasons that are not in our table: a name in capitals may be one.
    if name not in known and (not name.isupper() or nearest(name, KNOWN_REASONS)):
        raise SpecError(
            f"{option} {text!r}: there is no reason {name}{nearest(name, known)}; there is any, "
            f"{', '.join(classes)}, or a name of the kernel like NETFILTER_DROP"
        )
    return ReasonCondition((DROPPED,) if what == "drop" else (RESET, PEER_RESET), name)


def _rate(rest: str, text: str, option: str) -> RateCondition:
    found = _RATE.fullmatch(rest)
    if found is None:
        raise SpecError(f"{option} {text!r} is not understood; write rate(packets)>200k, or rate(bytes)>3x")
    what, sign, number, unit = found.groups()
    if what not in RATES:
        raise SpecError(
            f"{option} {text!r}: there is no rate of {what}{nearest(what, RATES)}; there is {', '.join(RATES)}"
        )
    unit = unit.lower()
    if unit == "x":
        return RateCondition(what, sign, float(number), True)
    prefix = unit.removesuffix("pps").removesuffix("b")
    if prefix not in DECIMAL_PREFIXES:
        raise SpecError(
            f"{option} {text!r}: {unit!r} is no unit of a rate; write 200k, 200kpps, 10M, or 3x the usual"
        )
    return RateCondition(what, sign, float(number) * DECIMAL_PREFIXES[prefix], False)
