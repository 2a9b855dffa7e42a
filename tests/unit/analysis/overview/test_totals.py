"""Packets and sessions -> sums that agree with each other, and with what each packet says."""

import random
from collections import Counter
from typing import Any

import pytest

from capture.analysis.overview import totals
from capture.analysis.overview.totals import Totals
from capture.analysis.sessions.tracker import Tracker
from testbed import generate, packets
from tests.unit.analysis.scripted_packets import Frame, decoded


def counted(frames: list[Frame], batch: int = 50) -> tuple[Totals, Any]:
    found, tracker, tables = Totals(), Tracker(), []
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        data, rows = decoded(part, start + 1, [number % 3 for number in range(len(part))])
        found.add_packets(rows)
        tables.append(rows)
        for sessions, _ in tracker.feed(data, rows):
            found.add_sessions(sessions)
    for sessions, _ in tracker.finish():
        found.add_sessions(sessions)
    return found, tables


@pytest.mark.random
@pytest.mark.parametrize("seed", range(5))
def test_sums_of_random_packets_add_up(seed: int) -> None:
    chance = random.Random(seed)
    frames = [(float(at), generate.packet(chance, at)) for at in range(400)]
    found, tables = counted(frames)
    sizes = sum(len(frame) for _, frame in frames)
    ip = sum(int((rows["session"] > 0).sum()) for rows in tables)
    ip_bytes = sum(int(rows["original"][rows["session"] > 0].sum()) for rows in tables)
    assert (found.packets, found.bytes) == (400, sizes)
    for sums in (found.interfaces, found.protocols):
        assert sum(one.packets for one in sums.values()) == 400
        assert sum(one.bytes for one in sums.values()) == sizes
        assert sum(one.sessions for one in sums.values()) == found.sessions
    assert sum(one.packets for one in found.hosts.by_key.values()) == ip
    assert sum(one.bytes for one in found.hosts.by_key.values()) == ip_bytes
    assert sum(one.received for one in found.hosts.by_key.values()) == ip_bytes
    assert sum(one.bytes for one in found.services.by_key.values()) == ip_bytes
    sent: Counter[tuple[int, int, int]] = Counter()
    for rows in tables:
        for row in rows[rows["session"] > 0]:
            sent[int(row["family"]), int(row["source_high"]), int(row["source_low"])] += int(row["original"])
    assert {key: one.bytes for key, one in found.hosts.by_key.items() if one.bytes} == dict(sent)


def udp(ms: float, port: int, size: int) -> Frame:
    return ms, packets.udp("10.0.0.1", port, "10.0.0.2", 53, bytes(size))


def test_the_largest_sessions_come_first() -> None:
    found, _ = counted([udp(port, port, port % 700) for port in range(4000, 4300)])
    sizes = [one.client.bytes + one.server.bytes for one in found.largest(5)]
    assert sizes == sorted((42 + port % 700 for port in range(4000, 4300)), reverse=True)[:5]


def test_hosts_beyond_the_bound_are_summed_up_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST", 3)
    found, _ = counted([(ms, packets.udp(f"10.0.1.{ms}", 4000, "10.0.0.2", 53)) for ms in range(9)])
    assert len(found.hosts.by_key) == 3
    assert sum(one.bytes for one in found.hosts.by_key.values()) + found.hosts.rest.bytes == 9 * 42


def test_times_out_of_order_are_counted() -> None:
    found, _ = counted([udp(ms, 4000, 1) for ms in (1, 5, 3, 4, 6)], batch=2)
    assert found.unordered == 2
    assert (found.first_ns, found.last_ns) == (1_001 * 10**6, 1_006 * 10**6)
