"""Packets of a running capture -> counters that only grow, from files that grow."""

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from capture.analysis.packets.reading import Batch, CaptureFile
from capture.metrics.bounded_labels import INTERFACES_MAX, OTHERS
from capture.metrics.families import Snapshot, families
from capture.metrics.file_follower import FileFollower
from capture.metrics.session_numbers import BOUNDS_SECONDS, SETTLED_NS, SessionCounts, SessionNumbers
from capture.pcapng.describe import InterfaceDescription
from capture.wire.drop_reasons import DROPPED, PEER_RESET, KernelReason
from capture.wire.link_types import ETHERNET
from testbed.sessions_file import write
from tests.unit.analysis.scripted_packets import HANDSHAKE, A, F, Frame, R, S, decoded, segment

SECOND = 10**9
AT_NS = SECOND
"""Time of scripted packets at 0 ms."""


def counts(interfaces: int = 1) -> SessionCounts:
    return SessionCounts([InterfaceDescription(ETHERNET, name=f"eth{n}") for n in range(interfaces)])


def fed(frames: Sequence[Frame], interfaces: Sequence[int] = ()) -> SessionCounts:
    made = counts(max(interfaces, default=0) + 1)
    made.feed(Batch(*decoded(frames, interfaces=interfaces)))
    return made


def values(listed: Any) -> dict[tuple[str, ...], int]:
    return {one.labels: one.count for one in listed}


REFUSED = [segment(0, "client", S), segment(1, "server", R | A, 0, 1)]
UNANSWERED = [segment(ms, "client", S, identification=number) for number, ms in enumerate((0, 1000, 3000), start=1)]
CLOSED = [*HANDSHAKE, segment(20, "client", F, 1, 1), segment(21, "server", F, 1, 2), segment(22, "client", A, 2, 2)]


@pytest.mark.parametrize(
    ("frames", "verdict"), [(REFUSED, "refused"), (UNANSWERED, "unanswered"), (HANDSHAKE, "complete")]
)
def test_a_verdict_is_counted_once_when_the_session_is_old_enough(frames: list[Frame], verdict: str) -> None:
    made = fed(frames)
    last_ns = AT_NS + int(frames[-1][0] * 1e6)
    made.look(last_ns + SETTLED_NS - 1)
    assert made.numbers().sessions == []
    for seconds in (0, 1, 7200):
        made.look(last_ns + SETTLED_NS + 1 + seconds * SECOND)
        assert values(made.numbers().sessions) == {("eth0", "tcp", verdict): 1}


def test_a_session_that_ends_earlier_is_counted_at_its_end_and_not_again() -> None:
    made = fed(CLOSED)
    made.feed(Batch(*decoded([segment(200_000, "client", S, ports=(40_001, 80))], 7)))
    # Times of the silence that ends it: both FINs were seen.
    made.look(AT_NS + 200 * SECOND)
    numbers = made.numbers()
    assert values(numbers.sessions)["eth0", "tcp", "complete"] == 1
    assert sum(values(numbers.sessions).values()) + numbers.open - 1 <= 2
    made.look(AT_NS + 400 * SECOND)
    assert values(made.numbers().sessions)["eth0", "tcp", "complete"] == 1


def test_round_trips_are_in_the_bucket_of_their_length_by_side() -> None:
    made = fed(HANDSHAKE)
    made.look(AT_NS)
    found = {one.labels: one for one in made.numbers().round_trips}
    assert set(found) == {("eth0", "handshake", "server"), ("eth0", "handshake", "client")}
    server, client = found["eth0", "handshake", "server"], found["eth0", "handshake", "client"]
    assert server.buckets.index(1) == BOUNDS_SECONDS.index(0.01)  # its bound is in it
    assert client.buckets.index(1) == BOUNDS_SECONDS.index(0.005)
    assert (server.sum_seconds, client.sum_seconds) == pytest.approx((0.010, 0.003))


def test_what_is_sent_again_is_counted_by_side() -> None:
    again = [segment(20, "client", A, 1, 1, 100), segment(400, "client", A, 1, 1, 100, identification=9)]
    assert values(fed([*HANDSHAKE, *again]).numbers().retransmitted) == {("eth0", "client"): 1}


def test_interfaces_that_come_later_are_counted_together() -> None:
    wide = INTERFACES_MAX + 2
    frames = [segment(n, "client", S, ports=(1000 + n, 80)) for n in range(wide)]
    made = fed(frames, range(wide))
    made.look(AT_NS + 2 * SETTLED_NS)
    sessions = values(made.numbers().sessions)
    assert len(sessions) == INTERFACES_MAX + 1
    assert sessions[OTHERS, "tcp", "unanswered"] == 2


def test_prometheus_reads_histograms_whose_buckets_add_up_and_reasons_by_class() -> None:
    made = fed(CLOSED)
    made.look(AT_NS + 2 * SETTLED_NS)
    reasons = {
        KernelReason(DROPPED, "NETFILTER_DROP", "nft_do_chain"): 2,
        KernelReason(DROPPED, "NETFILTER_DROP", "ipt_do_table"): 3,
        KernelReason(PEER_RESET, "PEER_RESET", ""): 1,
    }
    snapshot = Snapshot([], [], 0, 0, 0, reasons, made.numbers())

    class Page:
        def collect(self) -> Any:
            return families(snapshot, "1")

    registry = CollectorRegistry()
    registry.register(Page())
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    trip = ("interface", "eth0"), ("measure", "handshake"), ("side", "server")
    name = "bicap_round_trip_seconds"
    buckets = [value for key, value in samples.items() if key[0] == f"{name}_bucket" and set(trip) < set(key)]
    assert len(buckets) == len(BOUNDS_SECONDS) + 1
    assert buckets == sorted(buckets)
    assert buckets[-1] == samples[f"{name}_count", *trip] == 1
    assert samples["bicap_kernel_dropped_packets_total", ("class", "policy"), ("reason", "NETFILTER_DROP")] == 5
    assert sum(value for key, value in samples.items() if key[0] == "bicap_kernel_resets_total") == 1


def test_files_that_grow_are_followed_in_their_order(tmp_path: Path) -> None:
    """The first is written in two parts, the second was removed, the third is whole."""
    made, grows = tmp_path / "made.pcapng", tmp_path / "grows.pcapng"
    write(made, 40, group=5)
    content = made.read_bytes()
    with CaptureFile(str(made)) as file:
        packets = sum(len(batch.packets) for batch in file)
    grows.write_bytes(content[: len(content) // 2])
    paths, name_fd = os.pipe()
    numbers_fd, answers = os.pipe()
    follower = threading.Thread(target=FileFollower(paths, answers, look_seconds=0.01).run)
    follower.start()

    def name(path: Path) -> None:
        os.write(name_fd, json.dumps(str(path)).encode() + b"\n")

    def until(true: Callable[[SessionNumbers], bool]) -> SessionNumbers:
        return next(one for line in lines if true(one := msgspec.json.decode(line, type=SessionNumbers)))

    with os.fdopen(numbers_fd, "rb") as lines:
        name(grows)
        first = until(lambda numbers: numbers.packets > 0)
        assert first.packets < packets
        with grows.open("ab") as rest:
            rest.write(content[len(content) // 2 :])
        name(tmp_path / "removed.pcapng")
        name(made)
        last = until(lambda numbers: numbers.packets == 2 * packets)
        assert last.unread_files == 1
        assert {one.labels[0] for one in last.round_trips} == {"bench0"}
        os.close(name_fd)
        follower.join()
        os.close(answers)
    os.close(paths)
