"""Packets with VLAN tags -> sessions: the same five-tuple in two VLANs is two, whatever way the answers take."""

from itertools import chain

import pytest

from testbed import packets
from tests.unit.analysis.scripted_packets import HANDSHAKE, SA, A, Frame, S, Tracked, segment, track

TAG = 0x8100


def tagged(frame: Frame, *vlans: int) -> Frame:
    """Return a frame with tags, the outer one first; without any if there are no VLANs."""
    ms, data = frame
    kinds = (0x88A8, TAG) if len(vlans) > 1 else (TAG,)
    return ms, packets.vlan(data, *zip(kinds, vlans, strict=True)) if vlans else data


def seen(found: Tracked) -> list[tuple[int, int, int]]:
    """Return of each session its VLAN, and the packets of client and server."""
    return [(session.vlan, session.client.packets, session.server.packets) for session in found.sessions]


def test_two_vlans_with_the_same_addresses_and_ports_are_two_sessions() -> None:
    both = chain.from_iterable((tagged(frame, 10), tagged(frame, 20)) for frame in HANDSHAKE)
    assert seen(track(both)) == [(10, 2, 1), (20, 2, 1)]


def test_a_second_tag_tells_sessions_apart() -> None:
    both = chain.from_iterable((tagged(frame, 10, 1), tagged(frame, 10, 2)) for frame in HANDSHAKE)
    assert seen(track(both)) == [(10 << 12 | 1, 2, 1), (10 << 12 | 2, 2, 1)]


ONE_SESSION = [
    # VLANs of SYN, SYN-ACK and ACK, and the one of the session
    ("answers come in another VLAN", ((10,), (20,), (10,)), 10),
    ("answers have no tag", ((10,), (), (10,)), 10),
    ("questions have no tag", ((), (10,), ()), 10),
    ("a tag that says a priority only", ((0,), (), (0,)), 0),
    ("some packets have lost their tag", ((), (10,), (10,)), 10),
]


@pytest.mark.parametrize(("vlans", "vlan"), [case[1:] for case in ONE_SESSION], ids=[case[0] for case in ONE_SESSION])
def test_what_is_one_session_all_the_same(vlans: tuple[tuple[int, ...], ...], vlan: int) -> None:
    found = track(tagged(frame, *of) for frame, of in zip(HANDSHAKE, vlans, strict=True))
    assert seen(found) == [(vlan, 2, 1)]


def test_a_packet_before_and_behind_a_router_between_vlans_is_no_copy() -> None:
    passing = [
        frame
        for ms, sender, flags, number in ((0, "client", S, 0), (10, "server", SA, 0), (20, "client", A, 1))
        for frame in (
            tagged(segment(ms, sender, flags, number, 1), 10 if sender == "client" else 20),
            tagged(segment(ms + 0.1, sender, flags, number, 1), 20 if sender == "client" else 10),
        )
    ]
    found = track(passing)
    assert seen(found) == [(10, 2, 1), (20, 2, 1)]
    assert [session.client.duplicated + session.client.retransmitted for session in found.sessions] == [0, 0]


def test_an_icmp_error_from_another_vlan_is_evidence() -> None:
    (_, syn) = HANDSHAKE[0]
    error = packets.icmp_error("10.9.9.9", syn)
    found = track([tagged((0, syn), 10), tagged((1, error), 30)]).sessions
    assert found[0].icmp_packet == 2
