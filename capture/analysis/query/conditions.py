"""Conditions as a user writes them -> masks over tables: bytes>1MiB, handshake=refused, address=10.0.0.0/8."""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from ipaddress import ip_network
from typing import Any

import numpy as np

from capture.analysis.query.columns import COLUMNS, COMPUTED, WORDS
from capture.analysis.sessions.session_table import SIDES
from capture.arrays.aliases import Table
from capture.errors import SpecError
from capture.units import parse_duration, parse_size

_TERM = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>)\s*(.+?)\s*")


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


_VALUES = {**COLUMNS, **COMPUTED}


def _column_name(name: str) -> str:
    return f"{name}_ns" if name in ("duration", "start") else name


def nearest(name: str, known: Iterable[str]) -> str:
    """Return words like "; do you mean retransmitted?" about the most similar known word, "" if none is similar."""
    similar = get_close_matches(name, list(known), n=1)
    return f"; do you mean {similar[0]}?" if similar else ""


def no_column(asked: str, name: str, known: Iterable[str], page: str = "docs/analysis.md") -> SpecError:
    """Return the error that there is no such column. `asked` is the option that names it, `page` lists columns."""
    return SpecError(f"{asked}: there is no column {name}{nearest(name, known) or f'; {page} lists them'}")


@dataclass(frozen=True)
class Filter:
    """A condition like bytes>1MiB, handshake=refused, address=10.0.0.0/8 or port=80. Raises SpecError.

    `option` is where it was given, for messages.
    """

    text: str
    option: str = "--filter"

    def __post_init__(self) -> None:
        self._test  # noqa: B018 - a wrong text fails before any packet is read

    @property
    def column(self) -> str:
        """Name of the column that is compared."""
        term = _TERM.fullmatch(self.text)
        return term[1] if term else ""

    def __call__(self, sessions: Table) -> Any:
        """Return a mask of the sessions for which it is true."""
        return self._test(sessions)

    def values(self, sessions: Table) -> Any:
        """Return the values that are compared; None where they are addresses or ports."""
        column = _VALUES.get(_column_name(self.column))
        return None if column is None else column(sessions)

    @property
    def counts(self) -> int | None:
        """The number that a count has to exceed or reach, like 5 of retransmitted>=5; None for other conditions."""
        term = _TERM.fullmatch(self.text)
        if term is None or term[2] not in (">", ">=") or _column_name(term[1]) in WORDS:
            return None
        if term[1].endswith(("_ns", "_percent")):
            return None
        return self._number(term[1], term[3]) + (term[2] == ">")

    @cached_property
    def _test(self) -> Callable[[Table], Any]:
        term = _TERM.fullmatch(self.text)
        if term is None:
            raise SpecError(
                f"{self.option} {self.text!r} is not understood; write COLUMN=VALUE, with =, !=, <, >, <= or >="
            )
        name, sign, value = term.groups()
        compare = _OPERATORS[sign]
        name = _column_name(name)
        if name not in _VALUES and name not in ("address", "port"):
            raise no_column(f"{self.option} {self.text!r}", name, (*_VALUES, "address", "port"))
        if name in ("address", *SIDES) or name in WORDS:
            if sign not in ("=", "!="):
                raise SpecError(f"{self.option} {self.text!r}: {name} can only be compared by = or !=")
            if name in ("address", *SIDES):
                return _addresses(name, value, sign == "=", f"{self.option} {self.text!r}")
            return _words(name, value.lower(), sign == "=")
        number = self._number(name, value)
        if name == "port":
            if sign not in ("=", "!="):
                raise SpecError(f"{self.option} {self.text!r}: port can only be compared by = or !=")
            return lambda s: ((s["client_port"] == number) | (s["server_port"] == number)) == (sign == "=")
        return lambda sessions: compare(_VALUES[name](sessions), number)

    def _number(self, name: str, value: str) -> int:
        what = f"{self.option} {self.text!r}: {name}"
        if value.lstrip("-").isdecimal() and value.isascii() and len(value) < 19:
            return int(value)
        return parse_duration(value, what) if name.endswith("_ns") else parse_size(value, what)


def _words(name: str, value: str, wanted: bool) -> Callable[[Table], Any]:
    """Return the comparison of a column of words, without regard to case; a * stands for any letters."""

    def same(sessions: Table) -> Any:
        found = [word.lower() for word in COLUMNS[name](sessions)]
        if "*" in value:
            pattern = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)
            return np.array([pattern.fullmatch(word) is not None for word in found], np.bool_) == wanted
        return (np.array(found, dtype=np.str_) == value) == wanted

    return same


def _addresses(name: str, value: str, wanted: bool, text: str) -> Callable[[Table], Any]:
    try:
        network = ip_network(value.strip("[]"), strict=False)
    except ValueError:
        raise SpecError(f"{text}: {value!r} is not an address or network") from None
    sides = SIDES if name == "address" else (name,)
    first, last = int(network.network_address), int(network.broadcast_address)
    low_bits = (1 << 64) - 1

    def within(sessions: Table, side: str) -> Any:
        """Return a mask of sessions with a side in the network; halves are compared as unsigned numbers."""
        high, low = sessions[f"{side}_high"].view(np.uint64), sessions[f"{side}_low"].view(np.uint64)

        def not_below(end: int) -> Any:
            return (high > end >> 64) | ((high == end >> 64) & (low >= end & low_bits))

        def not_above(end: int) -> Any:
            return (high < end >> 64) | ((high == end >> 64) & (low <= end & low_bits))

        return (sessions["family"] == network.version) & not_below(first) & not_above(last)

    return lambda sessions: np.logical_or.reduce([within(sessions, side) for side in sides]) == wanted
