"""Accounts per interface -> Prometheus' families of counters, with bounded labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from capture.run.account import Account, total

INTERFACES_MAX = 256
"""Interfaces that have a label of their own; those that came later are counted together."""
OTHERS = "(others)"
"""Label of these."""
_WAYS = ("forward", "reverse")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The accounts of all interfaces that a capture had, in the order in which they came."""

    names: Sequence[str]
    accounts: Sequence[Account]
    present: int
    at_seconds: float
    """Time of the snapshot, seconds since 1970."""
    started_seconds: float


def bounded(snapshot: Snapshot) -> list[tuple[str, Account]]:
    """Return label and account of the first interfaces, and the sum of the others."""
    pairs = list(zip(snapshot.names, snapshot.accounts, strict=True))
    rest = [account for _, account in pairs[INTERFACES_MAX:]]
    return pairs[:INTERFACES_MAX] + ([(OTHERS, total(rest))] if rest else [])


def families(snapshot: Snapshot, version: str) -> Iterator[Any]:
    """Return the families, as prometheus-client writes them."""
    yield InfoMetricFamily("bicap", "The program that captures.", {"version": version})
    yield GaugeMetricFamily("bicap_start_time_seconds", "Start of the capture, since 1970.", snapshot.started_seconds)
    yield GaugeMetricFamily("bicap_snapshot_time_seconds", "Time of these numbers, since 1970.", snapshot.at_seconds)
    yield GaugeMetricFamily("bicap_interfaces", "Interfaces that are captured now.", snapshot.present)
    listed = bounded(snapshot)
    for name, help, field in (
        ("bicap_seen_packets", "Packets that passed the interface.", "seen"),
        ("bicap_seen_bytes", "Bytes of these.", "seen_bytes"),
        ("bicap_unmatched_packets", "Packets that the request does not match.", "unmatched"),
    ):
        family = CounterMetricFamily(name, help, labels=["interface"])
        for interface, account in listed:
            family.add_metric([interface], getattr(account, field))
        yield family
    for name, help, field in (
        ("bicap_matched_packets", "Packets that the request matches.", "matched"),
        ("bicap_matched_bytes", "Bytes of these.", "matched_bytes"),
        ("bicap_written_packets", "Packets in the file.", "written"),
        ("bicap_written_bytes", "Bytes of these that were kept.", "written_bytes"),
        ("bicap_over_limit_packets", "Packets that matched after a limit was reached.", "over_limit"),
        ("bicap_cut_packets", "Packets kept without payload under pressure.", "cut"),
    ):
        family = CounterMetricFamily(name, help, labels=["interface", "direction"])
        for interface, account in listed:
            for way in _WAYS:
                family.add_metric([interface, way], getattr(getattr(account, way), field))
        yield family
    for name, help, label, field in (
        ("bicap_sampled_out_packets", "Packets that samplers left out.", "sampler", "sampled_by"),
        ("bicap_lost_packets", "Packets that matched and were lost by the capture.", "reason", "lost_by"),
    ):
        family = CounterMetricFamily(name, help, labels=["interface", "direction", label])
        for interface, account in listed:
            for way in _WAYS:
                for word, count in getattr(getattr(account, way), field).items():
                    family.add_metric([interface, way, word], count)
        yield family
