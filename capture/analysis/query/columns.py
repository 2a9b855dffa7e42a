"""Tables of sessions -> flat named columns.

A column has one value per session: a number or a word. JSON, CSV, --sort and --filter all use these columns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from capture.analysis.application.message_names import DNS_CODES, DNS_TYPES, TLS_ALERTS, TLS_VERSIONS, named
from capture.analysis.query.names import CLOSES, HANDSHAKES, ROLES, hosts, states
from capture.analysis.sessions.session_table import SESSION, SIDES
from capture.arrays.aliases import Table
from capture.arrays.cells import each, lines
from capture.arrays.texts import TEXTS
from capture.pcapng.describe import InterfaceDescription
from capture.wire.drop_reasons import parse_reason
from capture.wire.protocols import protocol_name

_PLAIN = (
    *("syns", "syn_acks", "syn_packet", "syn_ack_packet", "ack_packet", "rst_packet", "icmp_packet"),
    *("icmp_type", "icmp_code", "requests", "unanswered", "repeated"),
)
_TEXTS = ("application", "server_name", "alpn", "http_method", "http_host", "http_path", "dns_name")
_COUNTED = ("http_status", "http_requests", "http_answers", "http_4xx", "http_5xx", "dns_errors", "error_packet")
_SIDE_PLAIN = tuple(name for name in SESSION["client"].names or () if name != "rtt_sum_ns")


def _mean(total: Any, count: Any) -> Any:
    """Return means in whole nanoseconds; -1 without samples."""
    return np.where(count > 0, total // np.maximum(count, 1), -1)


_PERCENT_LEAST = 20
"""Packets without which a share of them means nothing."""


def _percent(part: Any, whole: Any) -> Any:
    """Return whole percents, rounded down; 0 of fewer than _PERCENT_LEAST."""
    return np.where(whole >= _PERCENT_LEAST, 100 * part.astype(np.int64) // np.maximum(whole, 1), 0)


def _words(names: Mapping[Any, str], numbers: Any) -> list[str]:
    return [names[number] for number in numbers.tolist()]


def _reasons(numbers: Any, part: str) -> list[str]:
    """Return a part of the reasons whose texts have these numbers; "" where there is none."""
    parsed = {number: parse_reason(TEXTS.words([number])[0]) for number in set(numbers.tolist())}
    return ["" if (one := parsed[number]) is None else str(getattr(one, part)) for number in numbers.tolist()]


def _both(name: str) -> Callable[[Table], Any]:
    return lambda s: s["client"][name] + s["server"][name]


def _columns() -> dict[str, Callable[[Table], Any]]:
    """Return, by column name, the function of a table that returns an array or a list of values."""
    columns: dict[str, Callable[[Table], Any]] = {
        "session": lambda s: s["session"],
        "interface": lambda s: s["interface"],
        "vlan": lambda s: np.where(s["vlan"] >> 12 > 0, s["vlan"] >> 12, s["vlan"]),
        "inner_vlan": lambda s: np.where(s["vlan"] >> 12 > 0, s["vlan"] & 0xFFF, 0),
        "protocol": lambda s: lines(each(protocol_name, s["protocol"])),
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
    columns |= {name: lambda s, name=name: TEXTS.words(s[name].tolist()) for name in _TEXTS}  # type: ignore[misc]
    columns |= {name: lambda s, name=name: s[name] for name in _COUNTED}  # type: ignore[misc]
    columns |= {
        "tls_version": lambda s: [named(TLS_VERSIONS, n) if n else "" for n in s["tls_version"].tolist()],
        "tls_alert": lambda s: [named(TLS_ALERTS, n) if n else "" for n in s["tls_alert"].tolist()],
        "tls_alert_by": lambda s: [("", *SIDES)[n] for n in s["tls_alert_side"].tolist()],
        "dns_type": lambda s: [named(DNS_TYPES, n) if n else "" for n in s["dns_type"].tolist()],
        "dns_code": lambda s: [named(DNS_CODES, n - 1) if n else "" for n in s["dns_code"].tolist()],
    }
    columns |= {
        "drops": lambda s: s["drops"],
        "drop_packet": lambda s: s["drop_packet"],
        "drop_reason": lambda s: _reasons(s["drop_event"], "reason"),
        "drop_class": lambda s: _reasons(s["drop_event"], "kind"),
        "drop_place": lambda s: _reasons(s["drop_event"], "place"),
        "reset_packet": lambda s: s["reset_packet"],
        "reset_reason": lambda s: _reasons(s["reset_event"], "reason"),
    }
    for side in SIDES:
        columns |= {f"{side}_{name}": lambda s, side=side, name=name: s[side][name] for name in _SIDE_PLAIN}  # type: ignore[misc]
        columns[f"{side}_rtt_mean_ns"] = lambda s, side=side: _mean(s[side]["rtt_sum_ns"], s[side]["rtt_count"])  # type: ignore[misc]
    return columns


COLUMNS = _columns()
COMPUTED: dict[str, Callable[[Table], Any]] = {
    "zero_windows": _both("zero_windows"),
    "reordered": _both("reordered"),
    "retransmitted_percent": lambda s: _percent(_both("retransmitted")(s), _both("packets")(s)),
    "rst": lambda s: (s["rst_packet"] > 0).astype(np.int64),
    "icmp_error": lambda s: (s["icmp_packet"] > 0).astype(np.int64),
    "tls_alerts": lambda s: (s["tls_alert"] > 0).astype(np.int64),
    "dns_failed": lambda s: s["dns_errors"] + np.where(s["server_port"] == 53, s["unanswered"], 0),
}
"""Further names in conditions: sums of both sides, and counts. JSON, CSV and Parquet have what they are made of."""
APPLICATION = (*_TEXTS, *_COUNTED, "tls_version", "tls_alert", "tls_alert_by", "dns_type", "dns_code")
"""Names of columns that need a look at the payload (analysis.application)."""
NEED_PAYLOAD = frozenset({*APPLICATION, "tls_alerts", "dns_failed"})
"""The same, with those of COMPUTED."""
WORDS = frozenset(
    {
        *("protocol", "client", "server", "role", "state", "handshake", "close"),
        *("drop_reason", "drop_class", "drop_place", "reset_reason"),
        *(name for name in APPLICATION if name not in _COUNTED),
    }
)
"""Names of columns whose values are words."""


def flat(
    sessions: Table, interfaces: Sequence[InterfaceDescription] = (), names: Iterable[str] = tuple(COLUMNS)
) -> dict[str, list[Any]]:
    """Return columns as plain lists; interfaces by their name in the file if they have one."""
    plain = {name: _plain(COLUMNS[name](sessions)) for name in names}
    if "interface" not in plain:
        return plain
    named = [interface.name for interface in interfaces]
    plain["interface"] = [
        named[number] if number < len(named) and named[number] else str(number) for number in plain["interface"]
    ]
    return plain


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
