"""Totals and findings of captures -> an overview as lines for a person, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from capture.analysis.diagnose.trouble import Finding
from capture.analysis.overview.throughput import Bar
from capture.analysis.overview.totals import MOST, Sum, Totals
from capture.analysis.packets.completeness import Completeness
from capture.analysis.query.names import CLOSES, HANDSHAKES
from capture.pcapng.describe import Description
from capture.units import format_count, format_duration, format_size
from capture.views.moments import Clock
from capture.wire.addresses import Names, place_text
from capture.wire.protocols import protocol_name

_TOP = 10
"""Hosts and services that are shown; of sessions and findings half of that."""
_BARS, _ROWS = 60, 4
"""Size of the chart in characters."""
_LEVELS = " ▁▂▃▄▅▆▇█"
_JSON_BARS = 120


def summary_lines(
    totals: Totals,
    findings: Sequence[Finding],
    description: Description,
    completeness: Completeness,
    names: Names,
    clock: Clock,
) -> list[str]:
    """Return the lines."""
    if not totals.packets:
        return ["no packets"]
    span = totals.last_ns - totals.first_ns
    lines = [
        f"{format_count(totals.packets, 'packet')}, {format_size(totals.bytes)}, "
        f"{format_count(totals.sessions, 'session')}; {clock.dated_text(totals.first_ns)} to "
        f"{clock.dated_text(totals.last_ns)} ({format_duration(span)})",
        str(completeness),
    ]
    if totals.unordered:
        lines.append(
            f"{format_count(totals.unordered, 'packet has', 'packets have')} a time before an earlier packet's"
        )
    lines += ["", *_chart(totals.throughput.bars(_BARS), clock)]
    interfaces = [
        (description.interfaces[number].name or str(number), one) for number, one in sorted(totals.interfaces.items())
    ]
    lines += _table("INTERFACE", interfaces)
    protocols = sorted(totals.protocols.items(), key=lambda one: -one[1].bytes)
    lines += _table("PROTOCOL", [("no IP" if key is None else protocol_name(key), one) for key, one in protocols])
    hosts = [(place_text(*key, 0, names), one) for key, one in totals.hosts.largest(_TOP)]
    lines += _table("HOST", hosts, len(totals.hosts.by_key), sent=True)
    services = [
        (f"{protocol_name(protocol)} {place_text(family, high, low, port, names)}", one)
        for (protocol, family, high, low, port), one in totals.services.largest(_TOP)
    ]
    lines += _table("SERVICE", services, len(totals.services.by_key))
    lines += ["", f"{'SESSION':>9}  {'BYTES':>10}  {'DURATION':>9}  CLIENT > SERVER"]
    for one in totals.largest(_TOP // 2):
        ends = " > ".join(_end(one, side, names) for side in ("client", "server"))
        size, took = format_size(one.client.bytes + one.server.bytes), format_duration(one.last_ns - one.first_ns)
        lines.append(f"{one.session:>9}  {size:>10}  {took:>9}  {protocol_name(one.protocol)} {ends}")
    lines.append("")
    for number, finding in enumerate(findings[: _TOP // 2], start=1):
        lines.append(f"{number}. {finding.what}")
    more = len(findings) - _TOP // 2
    if more > 0:
        lines.append(f"{format_count(more, 'more finding')}: see `bicap diagnose`")
    return lines if findings else [*lines, "no problems found"]


def _end(session: Any, side: str, names: Names) -> str:
    high, low, port = (getattr(session, f"{side}_{part}") for part in ("high", "low", "port"))
    return place_text(session.family, high, low, port, names)


def _table(title: str, rows: Sequence[tuple[str, Sum]], of: int = 0, sent: bool = False) -> list[str]:
    """Return a heading and rows. `of`: number of all rows; `sent`: bytes are those sent, and there are others."""
    width = max([len(title), *(len(name) for name, _ in rows)])
    head = ("SENT", "RECEIVED") if sent else ("BYTES",)
    lines = ["", f"{title:{width}}  {'SESSIONS':>9}  {'PACKETS':>9}" + "".join(f"  {name:>10}" for name in head)]
    for name, one in rows:
        sizes = (one.bytes, one.received) if sent else (one.bytes,)
        amounts = "".join(f"  {format_size(size):>10}" for size in sizes)
        lines.append(f"{name:{width}}  {one.sessions:>9,}  {one.packets:>9,}{amounts}")
    if of > len(rows):
        lines.append(f"and {of - len(rows):,} more{' or more' if of == MOST else ''}")
    return lines


def _chart(bars: Sequence[Bar], clock: Clock) -> list[str]:
    """Return bits per second over time, as columns of block characters."""
    if not bars:
        return []
    rates = [bar.bits_per_second for bar in bars]
    highest = max(rates)
    steps = len(_LEVELS) - 1
    heights = [round(rate / highest * _ROWS * steps) if highest else 0 for rate in rates]
    mean = sum(bar.bytes for bar in bars) * 8e9 / sum(bar.span_ns for bar in bars)
    top = bars[rates.index(highest)]
    lines = [
        f"{_rate(mean)} on average; at most {_rate(highest)} over {format_duration(top.span_ns)}, "
        f"at {clock.text(top.start_ns)}"
    ]
    for row in reversed(range(_ROWS)):
        levels = (min(max(height - row * steps, 0), steps) for height in heights)
        lines.append("".join(_LEVELS[level] for level in levels).rstrip())
    return lines


def _rate(bits_per_second: float) -> str:
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits_per_second < 999.5:
            return f"{bits_per_second:.3g} {unit}"
        bits_per_second /= 1000
    return f"{bits_per_second:.3g} Gbit/s"


def summary_json(
    totals: Totals,
    findings: Sequence[Finding],
    description: Description,
    completeness: Completeness,
) -> dict[str, Any]:
    """Return plain values."""

    def plain(one: Sum, **more: Any) -> dict[str, Any]:
        return more | {"sessions": one.sessions, "packets": one.packets, "bytes": one.bytes}

    return {
        "packets": totals.packets,
        "bytes": totals.bytes,
        "sessions": totals.sessions,
        "first_ns": totals.first_ns,
        "last_ns": totals.last_ns,
        "unordered": totals.unordered,
        "complete": completeness.complete,
        "completeness": str(completeness),
        "throughput": [asdict(bar) for bar in totals.throughput.bars(_JSON_BARS)],
        "interfaces": [
            plain(one, interface=description.interfaces[number].name or number)
            for number, one in sorted(totals.interfaces.items())
        ],
        "protocols": [
            plain(one, protocol=None if number is None else protocol_name(number))
            for number, one in sorted(totals.protocols.items(), key=lambda one: -one[1].bytes)
        ],
        "hosts": [
            plain(one, address=place_text(*key, 0), received=one.received)
            for key, one in totals.hosts.largest(len(totals.hosts.by_key))
        ],
        "services": [
            plain(one, protocol=protocol_name(protocol), server=place_text(family, high, low, 0), server_port=port)
            for (protocol, family, high, low, port), one in totals.services.largest(len(totals.services.by_key))
        ],
        "largest": [
            {
                "session": one.session,
                "protocol": protocol_name(one.protocol),
                "client": _end(one, "client", {}),
                "server": _end(one, "server", {}),
                "packets": one.client.packets + one.server.packets,
                "bytes": one.client.bytes + one.server.bytes,
                "start_ns": one.first_ns,
                "duration_ns": one.last_ns - one.first_ns,
                "handshake": HANDSHAKES[one.handshake],
                "close": CLOSES[one.close],
            }
            for one in totals.largest(_TOP)
        ],
        "findings": [asdict(finding) for finding in findings],
    }
