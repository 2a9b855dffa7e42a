"""Kubernetes label selectors, `app=web,tier!=db,env in (prod,stage),canary,!old` -> a test of labels.

The grammar and its meaning are those of k8s.io/apimachinery/pkg/labels, without its comparisons of numbers: every
requirement must hold; `!=` and `notin` also hold if the label is missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from capture.errors import SpecError

_DOMAIN = r"(?=[a-z0-9.-]{1,253}/)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*/"
_KEY = rf"(?:{_DOMAIN})?[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_PRESENCE = re.compile(rf"(!?)\s*({_KEY})")
_COMMA_OUTSIDE = re.compile(r",(?![^()]*\))")


class Operator(Enum):
    """Comparisons of a label, with the names of matchExpressions."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """True if the labels meet this condition."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Operator.NOT_IN if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case _:
                return f"{self.key} {self.operator.value.lower()} ({','.join(self.values)})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Conditions that must all hold; without conditions every pod is selected."""

    requirements: tuple[Requirement, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """True if the labels meet all conditions."""
        return all(requirement.holds(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


def parse_selector(text: str, field: str = "selector") -> LabelSelector:
    """Turn kubectl's `-l` into a LabelSelector. Raises SpecError with the part that is wrong."""
    if not text.strip():
        raise SpecError(f"{field} is empty; write app=web, or app in (web,api), or app")
    return LabelSelector(
        tuple(_requirement(part.strip(), f"{field} {text!r}") for part in _COMMA_OUTSIDE.split(text))
    )


def _requirement(part: str, field: str) -> Requirement:
    if equality := _EQUALITY.fullmatch(part):
        key, sign, value = equality.groups()
        return Requirement(key, Operator.NOT_IN if sign == "!=" else Operator.IN, (value,))
    if members := _SET.fullmatch(part):
        key, word, listed = members.groups()
        return requirement(key, Operator.IN if word == "in" else Operator.NOT_IN, listed.split(","), field)
    if presence := _PRESENCE.fullmatch(part):
        absent, key = presence.groups()
        return Requirement(key, Operator.DOES_NOT_EXIST if absent else Operator.EXISTS)
    raise SpecError(
        f"{field}: {part!r} is not understood; "
        "write key=value, key!=value, key in (a,b), key notin (a,b), key or !key"
    )


def requirement(key: str, operator: Operator, values: list[str], field: str) -> Requirement:
    """Return one of matchExpressions, checked. Raises SpecError."""
    unique = tuple(sorted({value.strip() for value in values}))
    if not re.fullmatch(_KEY, key):
        raise SpecError(f"{field}: {key!r} is not a label key")
    wrong = next((value for value in unique if not re.fullmatch(_VALUE, value)), None)
    if wrong is not None:
        raise SpecError(f"{field}: {wrong!r} is not a label value")
    if bool(unique) != (operator in (Operator.IN, Operator.NOT_IN)):
        raise SpecError(f"{field}: {key} {operator.value} needs {'no values' if unique else 'values'}")
    return Requirement(key, operator, unique)
