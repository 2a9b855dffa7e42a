"""The same programs at XDP, where a packet has no skb: the same verdicts, the same records, the same counters."""

import pytest

from capture.abi import OUTBOUND
from capture.filters.expression import parse_expression
from capture.filters.filter_h import filter_program
from capture.filters.ruletext import RuleText
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import sampling_program
from testbed import packets
from tests.kernel.harness import Programs
from tests.kernel.test_layers import CASES, LayerCase
from tests.kernel.verdicts import FORWARD, NEITHER, REVERSE, verdict

A, B = "10.0.0.1", "10.0.0.2"
REQUEST, ANSWER, OTHER = packets.tcp(A, 1000, B, 80), packets.tcp(B, 80, A, 1000), packets.tcp(A, 1000, B, 81)


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_verdicts_are_those_of_tc(case: LayerCase) -> None:
    with Programs(filter_program([case.rule], inner=case.inner), xdp=True) as programs:
        for packet, expected in case.packets:
            assert verdict(programs, packet) == expected, case.what


def test_a_record_is_that_of_tc() -> None:
    with Programs(filter_program(), xdp=True, snaplen=40) as programs:
        record = programs.run(REQUEST)
        assert record is not None
        assert record.packet == REQUEST[:40]
        assert (record.original, record.flags) == (len(REQUEST), OUTBOUND)
        counted = programs.counters()
        assert (counted["seen"], counted["seen_bytes"]) == (1, len(REQUEST))


def test_large_frames_are_whole() -> None:
    large = packets.udp(A, 1, B, 2, bytes(range(256)) * 12)
    with Programs(filter_program(), xdp=True) as programs:
        record = programs.run(large)
        assert record is not None
        assert record.packet == large


@pytest.mark.parametrize("text", ["tcp dst port 80", "ip[8] = 64 and tcp dst port 80", "greater 40 and dst port 80"])
def test_expressions_read_the_frame(text: str) -> None:
    with Programs(filter_program(expression=parse_expression(text)), xdp=True) as programs:
        assert [verdict(programs, packet) for packet in (REQUEST, ANSWER, OTHER)] == [FORWARD, REVERSE, NEITHER]


def test_samplers_and_headers_work_on_the_frame() -> None:
    sampling = sampling_program(Sampling(samplers=(parse_sampler("first:1"),), headers_only=True, keep_control=False))
    asks = {name: getattr(sampling, name) for name in ("asks_flow", "asks_control", "asks_headers")}
    request = packets.tcp(A, 1000, B, 80, payload=b"secret")
    rule = RuleText(source=A).rule()
    with Programs(filter_program([rule], **asks), xdp=True, sampling=sampling) as programs:
        record = programs.run(request)
        assert record is not None
        assert record.packet == request[: -len(b"secret")]
        assert programs.run(request) is None
        assert programs.counters()["forward"]["sampled_by_first"] == 1
