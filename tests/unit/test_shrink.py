"""What is shown of a failure is as small as can be, and fails still."""

from tests.shrink import smallest, smallest_packet


def test_of_an_expression_the_part_that_fails_is_left() -> None:
    text = "not ((tcp port 80) and ((ip6 protochain 6) or (not (udp)) or (arp[6:2] = 2)))"
    assert smallest(text, lambda one: "protochain" in one) == "ip6 protochain 6"


def test_of_two_parts_that_fail_together_both_are_left() -> None:
    text = "((tcp port 80) and (udp) and (icmp)) or (arp)"
    assert smallest(text, lambda one: "tcp" in one and "icmp" in one) == "(tcp port 80) and (icmp)"


def test_a_negation_is_taken_off() -> None:
    assert smallest("not (udp)", lambda one: "udp" in one) == "udp"


def test_of_a_packet_the_bytes_that_fail_are_left() -> None:
    packet = bytes(range(1, 61))
    small = smallest_packet(packet, lambda many: [one for one in many if 40 in one and one[0] == 1])
    assert len(small) == 15
    assert small.count(0) == 13
