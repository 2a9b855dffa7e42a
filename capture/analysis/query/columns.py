"""Tables of sessions -> flat columns with names; sort keys and filters by those names.

A column has one value per session: a number, or a word. Text output, JSON, CSV, Parquet, --sort and --filter all
take their columns from here.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Any

import numpy as np

from capture.analysis.packets.packet_table import SESSION, SIDES, Role
from capture.analysis.query.names import CLOSES, HANDSHAKES, hosts, protocol_word, states
from capture.arrays.aliases import Table
from capture.arrays.cells import each, lines
from capture.errors import SpecError
from capture.pcapng.describe import Interface
from capture.units import parse_duration, parse_size

ROLES = {Role.ASKED: "asked", Role.PORTS: "ports", Role.FIRST: "first"}
_PLAIN = (
    *("syns", "syn_acks", "syn_packet", "syn_ack_packet", "ack_packet", "rst_packet", "icmp_packet"),
    *("icmp_type", "icmp_code", "requests", "unanswered", "repeated"),
)
_SIDE_PLAIN = tuple(name for name in SESSION["client"].names or () if name != "rtt_sum_ns")


def _mean(total: Any, count: Any) -> Any:
    """Whole nanoseconds; -1 without samples."""
    return np.where(count > 0, total // np.maximum(count, 1), -1)


def _words(names: Mapping[Any, str], numbers: Any) -> list[str]:
    return [names[number] for number in numbers.tolist()]


def _both(name: str) -> Callable[[Table], Any]:
    return lambda s: s["client"][name] + s["server"][name]


def _columns() -> dict[str, Callable[[Table], Any]]:
    """Name -> how its values come from a table: an array, or a list."""
    columns: dict[str, Callable[[Table], Any]] = {
        "session": lambda s: s["session"],
        "interface": lambda s: s["interface"],
        "protocol": lambda s: lines(each(protocol_word, s["protocol"])),
        "client": lambda s: lines(hosts(s, "client")),
        "client_port": lambda s: s["client_port"],
        "server": lambda s: lines(hosts(s, "server")),
        "server_port": lambda s: s["server_port"],
        "role": lambda s: _words(ROLES, s["role"]),
        "start_ns": lambda s: s["first_ns"],
        "duration_ns": lambda s: s["last_ns"] - s["first_ns"],
        "first_packet": lambda s: s["first_packet"],
        "last_packet": lambda s: s["last_packet"],
        "packets": _both("packets"),
        "bytes": _both("bytes"),
        "state": lambda s: lines(states(s)),
        "handshake": lambda s: _words(HANDSHAKES, s["handshake"]),
        "close": lambda s: _words(CLOSES, s["close"]),
        "server_handshake_ns": lambda s: s["server_ns"],
        "client_handshake_ns": lambda s: s["client_ns"],
        "retransmitted": _both("retransmitted"),
        "first_byte_mean_ns": lambda s: _mean(s["first_byte_sum_ns"], s["requests"]),
    }
    columns |= {name: lambda s, name=name: s[name] for name in _PLAIN}  # type: ignore[misc]
    for side in SIDES:
        columns |= {f"{side}_{name}": lambda s, side=side, name=name: s[side][name] for name in _SIDE_PLAIN}  # type: ignore[misc]
        columns[f"{side}_rtt_mean_ns"] = lambda s, side=side: _mean(s[side]["rtt_sum_ns"], s[side]["rtt_count"])  # type: ignore[misc]
    return columns


COLUMNS = _columns()
WORDS = frozenset({"protocol", "client", "server", "role", "state", "handshake", "close"})
"""Columns whose values are not numbers."""


def flat(sessions: Table, interfaces: Sequence[Interface] = ()) -> dict[str, list[Any]]:
    """All columns as plain lists; interfaces by their name in the file, where they have one."""
    plain = {name: _plain(values(sessions)) for name, values in COLUMNS.items()}
    named = [interface.name for interface in interfaces]
    plain["interface"] = [
        named[number] if number < len(named) and named[number] else str(number) for number in plain["interface"]
    ]
    return plain


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def sort_key(name: str) -> tuple[str, bool]:
    """ "bytes", or "-bytes" for the largest first -> (column, whether the largest is first). Raises SpecError."""
    column = name.removeprefix("-")
    column = {"start": "start_ns", "duration": "duration_ns"}.get(column, column)
    if column not in COLUMNS or column in WORDS:
        numbers = ", ".join(known for known in COLUMNS if known not in WORDS)
        raise SpecError(f"--sort {name!r} is no column of numbers; there are {numbers}")
    return column, name.startswith("-")


_TERM = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>)\s*(.+?)\s*")
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Filter:
    """One condition, like bytes>1MiB, handshake=refused, address=10.0.0.0/8 or port=80. Raises SpecError."""

    text: str

    def __post_init__(self) -> None:
        self._test  # noqa: B018 - a wrong text is found before any packet is read

    def __call__(self, sessions: Table) -> Any:
        """A mask over the sessions."""
        return self._test(sessions)

    @cached_property
    def _test(self) -> Callable[[Table], Any]:
        term = _TERM.fullmatch(self.text)
        if term is None:
            raise SpecError(
                f"--filter {self.text!r} is not understood; write COLUMN=VALUE, with =, !=, <, >, <= or >="
            )
        name, sign, value = term.groups()
        compare = _OPERATORS[sign]
        if name in ("duration", "start"):
            name = f"{name}_ns"
        if name not in COLUMNS and name not in ("address", "port"):
            raise SpecError(f"--filter {self.text!r}: there is no column {name}; there are {', '.join(COLUMNS)}")
        if name in ("address", *SIDES) or name in WORDS:
            if sign not in ("=", "!="):
                raise SpecError(f"--filter {self.text!r}: {name} has words, which are compared by = or !=")
            if name in ("address", *SIDES):
                return _addresses(name, value, sign == "=", self.text)
            return lambda sessions: compare(np.array(COLUMNS[name](sessions), dtype=np.str_), value.lower())
        number = self._number(name, value)
        if name == "port":
            if sign not in ("=", "!="):
                raise SpecError(f"--filter {self.text!r}: port is of either side, and compared by = or !=")
            return lambda s: ((s["client_port"] == number) | (s["server_port"] == number)) == (sign == "=")
        return lambda sessions: compare(COLUMNS[name](sessions), number)

    def _number(self, name: str, value: str) -> int:
        what = f"--filter {self.text!r}: {name}"
        if value.lstrip("-").isdecimal() and value.isascii() and len(value) < 19:
            return int(value)
        return parse_duration(value, what) if name.endswith("_ns") else parse_size(value, what)


def _addresses(name: str, value: str, wanted: bool, text: str) -> Callable[[Table], Any]:
    try:
        network = ip_network(value.strip("[]"), strict=False)
    except ValueError:
        raise SpecError(f"--filter {text!r}: {value!r} is no address or network") from None
    sides = SIDES if name == "address" else (name,)
    first, last = int(network.network_address), int(network.broadcast_address)
    low_bits = (1 << 64) - 1

    def within(sessions: Table, side: str) -> Any:
        """Both halves as unsigned numbers against the ends of the network."""
        high, low = sessions[f"{side}_high"].view(np.uint64), sessions[f"{side}_low"].view(np.uint64)

        def not_below(end: int) -> Any:
            return (high > end >> 64) | ((high == end >> 64) & (low >= end & low_bits))

        def not_above(end: int) -> Any:
            return (high < end >> 64) | ((high == end >> 64) & (low <= end & low_bits))

        return (sessions["family"] == network.version) & not_below(first) & not_above(last)

    return lambda sessions: np.logical_or.reduce([within(sessions, side) for side in sides]) == wanted
