"""The same packets at several points, changed on the way as by networks -> delays, losses, and undecided packets."""

import struct
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.analysis.legs.comparison import Comparison
from capture.analysis.legs.leg import Leg
from capture.analysis.legs.observe import Observations
from capture.analysis.packets.compiled.tunnels import unwrap
from capture.analysis.packets.reading import Batch
from capture.errors import SpecError
from capture.pcapng.describe import InterfaceDescription
from capture.pcapng.reader import Reader
from testbed import packets
from tests.unit.analysis.scripted_packets import CLIENT, HANDSHAKE, MS, SERVER, A, F, Frame, decoded, segment

EXCHANGE = [
    *HANDSHAKE,
    segment(20, "client", A, 1, 1, 100, identification=1),
    segment(30, "server", A, 1, 101, 200, identification=2),
    segment(40, "client", A, 101, 201, 100, identification=3),
    segment(50, "server", A, 201, 201, 200, identification=4),
    segment(60, "client", F, 201, 401, identification=5),
    segment(70, "server", F, 401, 202, identification=6),
    segment(80, "client", A, 202, 402, identification=7),
]


def by_client(frame: bytes) -> bool:
    return ip_address(frame[26:30]) == ip_address(CLIENT[0])


def later(frames: Sequence[Frame], ms: float, but: Sequence[int] = ()) -> list[Frame]:
    """Return the frames at a second point on the server's side of the first, `ms` away; without those in `but`."""
    return [
        (at + ms if by_client(frame) else at - ms, frame)
        for number, (at, frame) in enumerate(frames)
        if number not in but
    ]


def compare(*points: Sequence[Frame], files: bool = False, one_clock: bool = False) -> Comparison:
    """Compare points, which are interfaces of one file, or files."""
    with Observations() as observations:
        groups = [[point] for point in points] if files else [points]
        for number, group in enumerate(groups):
            reader = Reader("file")
            reader.interfaces = [InterfaceDescription(1, name=f"{number}.{at}") for at in range(len(group))]
            every = sorted((frame[0], at, frame[1]) for at, point in enumerate(group) for frame in point)
            data, rows = decoded([(ms, frame) for ms, _, frame in every], 1, [at for _, at, _ in every])
            unwrap(data, rows)
            observations.add("file", [Batch(data, rows)], reader)
        return Comparison(observations, one_clock)


def shown(leg: Leg) -> tuple[str, int, float, list[int]]:
    """(way, pairs, mean delay in ms, lost)."""
    return f"{leg.source.name} > {leg.target.name}", leg.paired, leg.delays.quantile(0.5) / MS, leg.lost


def rewritten(frame: bytes, of: dict[tuple[str, int], tuple[str, int]]) -> bytes:
    """Return the frame with other addresses and ports, as a translator makes it."""
    ends = [
        (str(ip_address(frame[26 + 4 * i : 30 + 4 * i])), *struct.unpack_from("!H", frame, 34 + 2 * i))
        for i in (0, 1)
    ]
    source, destination = (of.get(end, end) for end in ends)
    addresses = ip_address(source[0]).packed + ip_address(destination[0]).packed
    return frame[:26] + addresses + struct.pack("!HH", source[1], destination[1]) + frame[38:]


DNAT = {SERVER: ("10.9.9.9", 8080)}
SNAT = {CLIENT: ("192.168.0.1", 61_000)}
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda frame: frame,
    "TTL and MAC addresses": lambda frame: bytes(12) + frame[12:22] + bytes([frame[22] - 1]) + frame[23:],
    "VLAN": lambda frame: packets.vlan(frame, (0x8100, 7)),
    "DNAT": lambda frame: rewritten(frame, DNAT),
    "SNAT": lambda frame: rewritten(frame, SNAT),
    "both": lambda frame: rewritten(frame, DNAT | SNAT),
    "VXLAN": lambda frame: packets.vxlan(("172.16.0.1", "172.16.0.2"), frame),
    "VXLAN, Linux's port": lambda frame: packets.vxlan(("172.16.0.1", "172.16.0.2"), frame, 8472),
    "Geneve": lambda frame: packets.geneve(("172.16.0.1", "172.16.0.2"), frame, bytes(8)),
    "GRE": lambda frame: packets.gre(("172.16.0.1", "172.16.0.2"), frame, key=True),
    "IP in IP": lambda frame: packets.ip_in_ip(("172.16.0.1", "172.16.0.2"), frame),
    "VXLAN in IP in IP": lambda frame: packets.ip_in_ip(
        ("1.1.1.1", "2.2.2.2"), packets.vxlan(("172.16.0.1", "172.16.0.2"), frame)
    ),
    "DNAT, then VXLAN": lambda frame: packets.vxlan(("172.16.0.1", "172.16.0.2"), rewritten(frame, DNAT)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_packet_is_recognised_after_any_change_on_its_way(change: str) -> None:
    behind = [(ms, CHANGES[change](frame)) for ms, frame in later(EXCHANGE, 4)]
    found = compare(EXCHANGE, behind)
    assert [shown(leg) for leg in found.legs] == [
        ("0.0 > 0.1", 6, pytest.approx(4, rel=0.004), []),
        ("0.1 > 0.0", 4, pytest.approx(4, rel=0.004), []),
    ]
    assert found.alone == []


def test_a_lost_packet_is_lost_on_its_leg() -> None:
    """Three points; the 4th packet does not reach the second, the 6th, which is the 5th there, not the third."""
    second = later(EXCHANGE, 2, but=(3,))
    found = compare(EXCHANGE, second, later(EXCHANGE, 3, but=(3, 5)), files=True, one_clock=True)
    assert [shown(leg) for leg in found.legs] == [
        ("0.0 > 1.0", 5, pytest.approx(2, rel=0.004), [4]),
        ("1.0 > 0.0", 4, pytest.approx(2, rel=0.004), []),
        ("1.0 > 2.0", 4, pytest.approx(1, rel=0.004), [5]),
        ("2.0 > 1.0", 4, pytest.approx(1, rel=0.004), []),
    ]


def test_a_packet_seen_only_at_the_end_of_a_leg_was_not_captured_at_its_beginning() -> None:
    found = compare([frame for at, frame in enumerate(EXCHANGE) if at != 3], later(EXCHANGE, 2))
    assert [(leg.lost, leg.not_captured) for leg in found.legs] == [([], 1), ([], 0)]


def test_segments_that_were_split_are_not_lost() -> None:
    """One of 2,000 bytes at the first point is two at the second."""
    whole, half = (
        segment(20, "client", A, 1, 1, 2000, identification=1),
        [
            segment(20, "client", A, 1, 1, 1000, identification=1),
            segment(20, "client", A, 1001, 1, 1000, identification=2),
        ],
    )
    ends = EXCHANGE[-3:]
    leg, _ = compare([*HANDSHAKE, whole, *ends], later([*HANDSHAKE, *half, *ends], 1)).legs
    assert (leg.lost, leg.not_captured, leg.resegmented) == ([], 0, 3)


def test_packets_while_the_other_capture_was_not_running_are_not_judged() -> None:
    behind = later(EXCHANGE, 1)[:-2]
    leg, _ = compare(EXCHANGE, behind, files=True, one_clock=True).legs
    assert (leg.lost, leg.undecided) == ([], 1)


def test_packets_that_look_the_same_are_counted_and_not_measured() -> None:
    """UDP, the same bytes three times, one of them lost: it is known that one is lost, but not which."""
    ends = ((*CLIENT, *SERVER), (*SERVER, *CLIENT))
    words = [(float(ms), packets.udp(*ends[0], b"same")) for ms in (1, 2, 3)]
    answer = (10.0, packets.udp(*ends[1], b"answer"))
    there, back = compare([*words, answer], later([*words, answer], 0.5, but=(1,))).legs
    assert (there.paired, there.doubtful, len(there.lost), there.delays.counts.sum()) == (2, 2, 1, 0)
    assert shown(back)[1:] == (1, pytest.approx(0.5, rel=0.004), [])


def test_identifications_separate_packets_with_the_same_bytes() -> None:
    same = packets.udp(*CLIENT, *SERVER, b"same")
    words = [(float(n), same[:18] + n.to_bytes(2, "big") + same[20:]) for n in (1, 2, 3)]
    (there,) = compare(words, later(words, 0.5, but=(1,)), files=True, one_clock=True).legs
    assert (there.paired, there.doubtful, there.lost) == (2, 0, [2])


def test_a_packet_before_and_after_a_translator_at_one_point_counts_as_two() -> None:
    """Packets behind the translator arrive; those before it belong to a session that no other point has."""
    translated = [(ms + 1 if by_client(frame) else ms - 1, rewritten(frame, SNAT)) for ms, frame in EXCHANGE]
    behind = [(ms + 3 if by_client(frame) else ms - 3, rewritten(frame, SNAT)) for ms, frame in EXCHANGE]
    found = compare([*EXCHANGE, *translated], behind)
    assert [shown(leg)[1:3] for leg in found.legs] == [
        (6, pytest.approx(2, rel=0.004)),
        (4, pytest.approx(2, rel=0.004)),
    ]
    assert [(one.point.name, one.packets) for one in found.alone] == [("0.0", len(EXCHANGE))]


@pytest.mark.parametrize(
    ("source", "group"), [("10.0.0.1", "224.0.0.251"), ("10.0.0.1", "255.255.255.255"), ("::", "ff02::16")]
)
def test_packets_to_a_group_are_left_out(source: str, group: str) -> None:
    to_group = [(1.0, packets.udp(source, 5353, group, 5353, b"x"))]
    found = compare([*EXCHANGE, *to_group], [*later(EXCHANGE, 1), *to_group])
    assert ([leg.paired for leg in found.legs], found.left_out, found.alone) == ([6, 4], 2, [])


def test_sessions_are_joined_even_if_a_later_capture_takes_the_other_side_for_the_client() -> None:
    """Ports that do not show the client, and a second point that sees the answer first."""
    ends = (("10.0.0.1", 50_001), ("10.0.0.2", 50_002))
    frames = [
        (
            10.0 * n,
            packets.udp(
                *(ends if n % 2 == 0 else ends[::-1])[0], *(ends if n % 2 == 0 else ends[::-1])[1], b"%d" % n
            ),
        )
        for n in range(6)
    ]
    seen_first = [frame for number, frame in enumerate(frames) if number != 4]
    there, back = compare(seen_first, later(frames, 2, but=(0,)), files=True, one_clock=True).legs
    assert (there.source.name, there.paired, there.undecided, there.not_captured) == ("0.0", 1, 1, 1)
    assert (back.source.name, back.paired, back.lost, back.not_captured) == ("1.0", 3, [], 0)
    assert there.delays.least == back.delays.least == 2 * MS


def test_a_clock_that_was_set_in_between_gives_no_delay() -> None:
    behind = [(ms - 500 * (number > 4), frame) for number, (ms, frame) in enumerate(later(EXCHANGE, 4))]
    for leg in compare(EXCHANGE, behind, files=True).legs:
        assert (leg.clock, leg.unplaced, leg.delays.counts.sum()) == (None, leg.paired, 0)


def test_sessions_that_only_one_point_saw_are_counted_and_not_judged() -> None:
    """Another service at the first point; another client at the second, and the same client by another route."""
    here = [segment(at, "client", packets.SYN, ports=(1, 2), identification=9) for at in (5, 6)]
    there = [(float(at), packets.tcp("10.0.0.9", 1, *SERVER, packets.SYN)) for at in (7, 8, 9)]
    there.append((20.0, packets.tcp(CLIENT[0], 1, *SERVER, packets.SYN)))
    found = compare([*EXCHANGE, *here], [*later(EXCHANGE, 1), *there])
    assert [(one.point.name, one.packets) for one in found.alone] == [("0.0", 2), ("0.1", 4)]
    assert [leg.lost for leg in found.legs] == [[], []]


def test_a_session_seen_at_one_point_gets_the_route_of_other_sessions_between_its_hosts() -> None:
    """Questions from ports of their own, each a session; the second is lost, and the third's answer."""
    frames: list[Frame] = []
    for port in (1, 2, 3, 4):
        ask, tell = (CLIENT[0], 40_000 + port), (SERVER[0], 53)
        frames += [
            (10.0 * port, packets.udp(*ask, *tell, b"?%d" % port)),
            (10.0 * port + 5, packets.udp(*tell, *ask, b"!%d" % port)),
        ]
    here = [frame for number, frame in enumerate(frames) if number not in (3, 5)]
    there = later(frames, 1, but=(2, 3))
    found = compare(here, there, files=True, one_clock=True)
    assert [(shown(leg)[0], leg.paired, leg.lost) for leg in found.legs] == [
        ("0.0 > 1.0", 3, [3]),
        ("1.0 > 0.0", 2, [4]),
    ]
    assert found.alone == []


def queries(ports: Sequence[int], answered: Sequence[int], at_ms: float = 0.0) -> list[Frame]:
    """Return questions from ports of their own, each a session, and answers to some of them."""
    frames = []
    for port in ports:
        ask, tell = (CLIENT[0], 40_000 + port), (SERVER[0], 53)
        frames.append((at_ms + 10.0 * port, packets.udp(*ask, *tell, b"?%d" % port)))
        if port in answered:
            frames.append((at_ms + 10.0 * port + 5, packets.udp(*tell, *ask, b"!%d" % port)))
    return frames


def test_a_session_that_another_host_of_the_same_address_answered_is_not_lost() -> None:
    """A Service of two backends: the second point is at one of them; questions 2 and 3 went to the other."""
    here = queries((1, 2, 3, 4, 5), (1, 2, 4, 5))
    there = later([frame for frame in here if b"2" not in frame[1][42:] and b"3" not in frame[1][42:]], 1)
    for files in (False, True):
        found = compare(here, there, files=files, one_clock=files)
        assert [(leg.paired, leg.lost) for leg in found.legs] == [(3, []), (3, [])]
        assert [(one.point.file, one.packets) for one in found.elsewhere] == [(0, 3)]
        assert found.alone == []


def test_an_answer_while_the_other_capture_was_not_running_shows_no_other_way() -> None:
    here = [*queries((1, 2, 3, 4), (1, 3, 4)), *queries((5,), (5,), 10_000)]
    there = later([frame for frame in here if frame[0] < 1000 and b"2" not in frame[1][42:]], 1)
    found = compare(here, there, files=True, one_clock=True)
    assert [leg.lost for leg in found.legs] == [[3], []]
    assert found.elsewhere == []


def test_a_direction_seen_at_one_point_gets_the_reverse_route_if_all_its_points_see_that_direction() -> None:
    dead = [(at, frame) for at, frame in EXCHANGE if by_client(frame)]
    other = [(at + 0.5, rewritten(frame, {CLIENT: (CLIENT[0], 7)})) for at, frame in EXCHANGE]
    behind = later(EXCHANGE, 1)
    there, back = compare([*dead, *other], [*behind, *later(other, 1)], files=True, one_clock=True).legs
    assert (there.lost, back.paired) == ([], 4)
    assert len(back.lost) == 4
    one_way_only = compare(dead, behind, files=True, one_clock=True)
    assert [leg.lost for leg in one_way_only.legs] == [[]]
    assert [(one.point.name, one.packets) for one in one_way_only.alone] == [("1.0", 4)]


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(st.floats(0.001, 5), min_size=len(EXCHANGE), max_size=len(EXCHANGE)),
    st.floats(-1e5, 1e5),
)
def test_the_true_delay_between_two_clocks_is_within_the_uncertainty(delays: list[float], ahead: float) -> None:
    """Whatever each packet's delay, and however far the second clock is ahead, in ms."""
    behind = [
        (ms + ahead + (delay if by_client(frame) else -delay), frame)
        for (ms, frame), delay in zip(EXCHANGE, delays, strict=True)
    ]
    there = [delay for (_, frame), delay in zip(EXCHANGE, delays, strict=True) if by_client(frame)]
    found = compare(EXCHANGE, behind, files=True)
    for leg in found.legs:
        assert leg.clock is not None
        sign = 1 if leg.source.file == 0 else -1
        uncertain = leg.clock.uncertainty_ns + 2  # times are whole nanoseconds
        assert abs(sign * leg.clock.offset_ns - ahead * MS) <= uncertain
        assert leg.early == leg.unplaced == 0
        if leg.source.file == 0:
            assert abs(leg.delays.least - min(there) * MS) <= uncertain
            assert abs(leg.delays.most - max(there) * MS) <= uncertain


def test_a_clock_that_drifts_does_not_blur_the_delays() -> None:
    """It gains 50 ppm, which is 3 ms in the minute of this capture; packets take 1 ms, and once 2 ms."""
    turns = [
        segment(100 * n + 50 * side, ("client", "server")[side], A, n, n, 1, identification=n)
        for n in range(600)
        for side in (0, 1)
    ]
    behind = later([*HANDSHAKE, *turns], 1)
    slow, frame = behind[1003]
    assert by_client(frame)
    behind[1003] = (slow + 1, frame)
    drifting = [(ms * (1 + 50e-6) + 7000, frame) for ms, frame in behind]
    there, back = compare([*HANDSHAKE, *turns], drifting, files=True).legs
    assert there.clock is not None
    assert back.clock is not None
    assert (there.clock.drift_ppm, back.clock.drift_ppm) == pytest.approx((50, -50), abs=1)
    # Half of the way there and back, and what 500 ppm are in the 50 ms between packets at the ends of a window.
    assert MS <= there.clock.uncertainty_ns < 1.1 * MS
    assert (there.delays.least, there.delays.quantile(0.5)) == pytest.approx((MS, MS), rel=0.05)
    assert there.delays.most == pytest.approx(2 * MS, rel=0.05)


def test_one_direction_between_two_clocks_gives_no_delay() -> None:
    one_way = [frame for frame in EXCHANGE if by_client(frame[1])]
    (leg,) = compare(one_way, later(one_way, 4), files=True).legs
    assert (leg.paired, leg.unplaced, leg.clock, leg.delays.counts.sum()) == (6, 6, None, 0)
    (leg,) = compare(one_way, later(one_way, 4), files=True, one_clock=True).legs
    assert shown(leg)[1:] == (6, pytest.approx(4, rel=0.004), [])


@pytest.mark.slow
@settings(deadline=None)
@given(st.sets(st.integers(0, 39), max_size=30))
def test_exactly_the_dropped_packets_are_lost(dropped: set[int]) -> None:
    frames = [segment(i, "client", A, 1 + 10 * i, 1, 10, identification=1 + i) for i in range(40)]
    numbered = [*HANDSHAKE, *((20 + ms, frame) for ms, frame in frames), segment(100, "server", A, 1, 500)]
    behind = later(numbered, 0.25, but=[3 + one for one in dropped])
    there, back = compare(numbered, behind, files=True, one_clock=True).legs
    assert there.lost == [4 + one for one in sorted(dropped)]
    assert (back.lost, there.not_captured, back.not_captured) == ([], 0, 0)


def test_too_many_points_are_an_error() -> None:
    with pytest.raises(SpecError, match="too many interfaces with packets: at most 8"):
        compare(*[EXCHANGE] * 9)
