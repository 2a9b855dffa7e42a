"""Sessions -> a sentence that names the tunnels, if most packets are in them."""

import pytest

from capture.views.tunnel_share import TunnelShare
from testbed import packets
from tests.unit.analysis.scripted_packets import Frame, track

OUTER = ("172.16.0.1", "172.16.0.2")
INSIDE = packets.tcp("10.0.0.1", 4000, "10.0.0.2", 80)
PLAIN = packets.udp("10.0.0.1", 4000, "10.0.0.2", 53)


def sentence(frames: list[bytes]) -> str:
    timed: list[Frame] = [(float(ms), frame) for ms, frame in enumerate(frames)]
    share = TunnelShare()
    for table in track(timed).tables:
        share.add(table)
    return share.sentence


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (
            [packets.vxlan(OUTER, INSIDE)] * 9 + [PLAIN],
            "90 % of the packets are in VXLAN; --inner shows what is inside",
        ),
        (
            [packets.geneve(OUTER, INSIDE), packets.gre(OUTER, INSIDE), packets.gre(OUTER, INSIDE)],
            "100 % of the packets are in GRE and Geneve; --inner shows what is inside",
        ),
        (
            [packets.ip_in_ip(OUTER, INSIDE)] * 2 + [PLAIN],
            "66 % of the packets are in IP in IP; --inner shows what is inside",
        ),
        ([packets.vxlan(OUTER, INSIDE), PLAIN], ""),
        ([PLAIN, INSIDE], ""),
        ([], ""),
    ],
)
def test_tunnels_are_named_if_they_carry_more_than_half_of_the_packets(frames: list[bytes], expected: str) -> None:
    assert sentence(frames) == expected
