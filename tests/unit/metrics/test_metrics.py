"""Accounts -> Prometheus' text, whose sums hold and whose labels are bounded; addresses -> where it is served."""

import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from capture.cli.metrics import each
from capture.errors import SpecError
from capture.metrics.bounded_labels import INTERFACES_MAX, OTHERS
from capture.metrics.families import Snapshot
from capture.metrics.serving import MetricsServer, parse_address
from capture.run.account import Account, DirectionAccount

LABELS = ("interface", "direction", "sampler", "reason", "version")
FORWARD = DirectionAccount(matched=9, matched_bytes=900, written=5, sampled_by_flow=1, lost_ring_full=2, over_limit=1)
REVERSE = DirectionAccount(matched=3, written=2, lost_writing=1)
ACCOUNT = Account(seen=20, seen_bytes=2000, unmatched=8, forward=FORWARD, reverse=REVERSE)


def scraped(server: MetricsServer) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name and labels, as Prometheus' own parser reads the page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as page:
        text = page.read().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[
                tuple(sample.labels[name] for name in LABELS if name in sample.labels)
            ] = sample.value
    return found


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer("0")
    made.start()
    yield made
    made.close()


def test_the_account_adds_up_on_the_page(server: MetricsServer) -> None:
    server.show(Snapshot(["eth0", "eth1"], [ACCOUNT, Account()], 2, 1.5, 0.5))
    found = scraped(server)
    assert found["bicap_seen_packets_total"] == {("eth0",): 20, ("eth1",): 0}
    matched = found["bicap_matched_packets_total"]
    assert matched["eth0", "forward"] == 9
    fates: Counter[tuple[str, ...]] = Counter()
    for name in ("written", "over_limit", "sampled_out", "lost"):
        for labels, value in found[f"bicap_{name}_packets_total"].items():
            fates[labels[:2]] += value
    assert fates == matched
    assert found["bicap_seen_packets_total"]["eth0",] == found["bicap_unmatched_packets_total"]["eth0",] + 12
    assert found["bicap_lost_packets_total"]["eth0", "forward", "ring_full"] == 2
    assert (found["bicap_interfaces"][()], found["bicap_start_time_seconds"][()]) == (2, 0.5)


def test_interfaces_that_come_later_share_a_label(server: MetricsServer) -> None:
    count = INTERFACES_MAX + 10
    server.show(Snapshot([f"pod{n}" for n in range(count)], [ACCOUNT] * count, 1, 0, 0))
    seen = scraped(server)["bicap_seen_packets_total"]
    assert len(seen) == INTERFACES_MAX + 1
    assert (seen["pod0",], seen[OTHERS,]) == (20, 200)


def test_before_the_first_snapshot_there_are_no_counters(server: MetricsServer) -> None:
    assert not {name for name in scraped(server) if name.startswith("bicap")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9464", ("::1", 9464)),
        ("node-1:80", ("node-1", 80)),
    ],
)
def test_an_address_is_loopback_unless_it_says_more(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1.2.3.4", "1.2.3.4:", "1:2:3", "::1:80", "70000", "-1", "٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="--metrics"):
        parse_address(text)


def test_an_address_in_use_is_one_line(server: MetricsServer) -> None:
    with pytest.raises(
        SpecError, match=rf"--metrics 127.0.0.1:{server.port}: cannot listen there: Address already in use"
    ):
        MetricsServer(f"127.0.0.1:{server.port}")


def test_a_reader_that_says_nothing_does_not_stop_the_end(server: MetricsServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        server.show(Snapshot([], [], 0, 0, 0))
    server.close()
    with pytest.raises(urllib.error.URLError):
        scraped(server)


def test_ticks_of_several_intervals_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    tick, interval = each([(1.0, lambda _: calls.append("a")), (3.0, lambda _: calls.append("b"))])
    assert interval == 1.0
    for second in range(7):
        now[0] = float(second)
        tick(None)
    assert Counter(calls) == {"a": 7, "b": 3}
    assert each([])[0] is None
