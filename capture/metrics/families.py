"""Accounts, the kernel's reasons and numbers of sessions -> Prometheus' families, with bounded labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from capture.metrics.bounded_labels import INTERFACES_MAX, OTHERS
from capture.metrics.session_numbers import BOUNDS_SECONDS, SessionNumbers
from capture.run.account import Account, total
from capture.wire.drop_reasons import DROPPED, KernelReason

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
    reasons: Mapping[KernelReason, int] | None = None
    """The kernel's drops and resets of captured conversations; None: not recorded."""
    sessions: SessionNumbers | None = None
    """None: no sessions are followed."""


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
    yield from _accounts(snapshot)
    if snapshot.reasons is not None:
        yield from _kernel(snapshot.reasons)
    if snapshot.sessions is not None:
        yield from _sessions(snapshot.sessions)


def _accounts(snapshot: Snapshot) -> Iterator[Any]:
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


def _kernel(reasons: Mapping[KernelReason, int]) -> Iterator[Any]:
    """Return counters by reason and class: the kernel's source says which there are, so packets cannot add any."""
    drops = CounterMetricFamily(
        "bicap_kernel_dropped_packets",
        "Packets of captured conversations that this node's kernel dropped.",
        labels=["reason", "class"],
    )
    resets = CounterMetricFamily(
        "bicap_kernel_resets",
        "Captured connections that this node's kernel reset, or whose peer did.",
        labels=["what", "reason", "class"],
    )
    of_drops: Counter[tuple[str, ...]] = Counter()
    of_resets: Counter[tuple[str, ...]] = Counter()
    for one, count in reasons.items():
        if one.what == DROPPED:
            of_drops[one.reason, one.kind] += count
        else:
            of_resets[one.what, one.reason, one.kind] += count
    for family, counts in ((drops, of_drops), (resets, of_resets)):
        for labels, count in counts.items():
            family.add_metric(list(labels), count)
        yield family


def _sessions(numbers: SessionNumbers) -> Iterator[Any]:
    yield CounterMetricFamily(
        "bicap_analyzed_packets", "Packets of the files that sessions were followed in so far.", numbers.packets
    )
    yield CounterMetricFamily(
        "bicap_unread_files", "Files that were removed before they were read, or are damaged.", numbers.unread_files
    )
    yield GaugeMetricFamily("bicap_open_sessions", "Sessions that have not ended.", numbers.open)
    for name, help, labels, counts in (
        ("sessions", "Sessions, with the verdict on their handshake.", ["protocol", "handshake"], numbers.sessions),
        ("closed_sessions", "Sessions that ended.", ["protocol", "close"], numbers.closed),
        ("retransmitted_packets", "Packets of TCP that were sent again.", ["side"], numbers.retransmitted),
    ):
        counter = CounterMetricFamily(f"bicap_{name}", help, labels=["interface", *labels])
        for one in counts:
            counter.add_metric(list(one.labels), one.count)
        yield counter
    for name, help, durations in (
        ("round_trip", "From this node to the side and back.", numbers.round_trips),
        ("response", "From a request to its answer.", numbers.responses),
    ):
        histogram = HistogramMetricFamily(f"bicap_{name}_seconds", help, labels=["interface", "measure", "side"])
        for series in durations:
            bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(series.buckets), strict=True))
            histogram.add_metric(list(series.labels), buckets, series.sum_seconds)
        yield histogram
