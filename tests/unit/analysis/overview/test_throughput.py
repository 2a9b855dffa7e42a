"""Bytes over time: nothing is lost or counted twice, however long the capture is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from capture.analysis.overview.throughput import Throughput

PACKETS = st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 65535)), min_size=1, max_size=60)
"""Time since the first packet, ns, and size."""
FIRST = 1_700_000_000 * 10**9


@given(PACKETS, st.integers(1, 100), st.integers(1, 7))
def test_bars_cover_the_capture_without_gaps_and_have_all_bytes(
    packets: list[tuple[int, int]], most: int, batch: int
) -> None:
    packets = [(0, 1), *sorted(packets)]
    throughput = Throughput()
    for start in range(0, len(packets), batch):
        times, sizes = zip(*packets[start : start + batch], strict=True)
        throughput.add(np.array(times, np.int64) + FIRST, np.array(sizes, np.int64))
    bars = throughput.bars(most)
    assert 1 <= len(bars) <= most
    assert sum(bar.bytes for bar in bars) == sum(size for _, size in packets)
    assert bars[0].start_ns == FIRST
    ends = [bar.start_ns + bar.span_ns for bar in bars]
    assert ends[:-1] == [bar.start_ns for bar in bars[1:]]
    assert ends[-1] > FIRST + packets[-1][0]
    for bar in bars:
        inside = [size for at, size in packets if bar.start_ns <= FIRST + at < bar.start_ns + bar.span_ns]
        assert bar.bytes == sum(inside)


def test_a_rate_is_the_bytes_of_a_bar_over_its_span() -> None:
    throughput = Throughput()
    seconds = np.arange(4000, dtype=np.int64) * 10**9 // 1000
    throughput.add(FIRST + seconds, np.full(4000, 1250, np.int64))
    bars = throughput.bars(4)
    assert [round(bar.bits_per_second / 1e6) for bar in bars] == [10, 10, 10, 10]


def test_a_packet_from_before_the_first_counts_in_the_first_bar() -> None:
    throughput = Throughput()
    throughput.add(np.array([FIRST, FIRST - 5, FIRST + 10**9], np.int64), np.array([1, 2, 4], np.int64))
    assert [bar.bytes for bar in throughput.bars(2)] == [3, 4]


def test_no_packet_is_no_bar() -> None:
    assert Throughput().bars(10) == []
