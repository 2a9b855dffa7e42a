"""Numbers and names of protocols, TCP flags, ICMP types and codes, and the pairs of ICMP requests and replies."""

TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58

PROTOCOLS = {"icmp": ICMP, "tcp": TCP, "udp": UDP, "icmpv6": ICMPV6, "sctp": SCTP}
"""Protocol names in rules, and their numbers; other protocols have numbers only."""
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
WITH_PORTS = frozenset({TCP, UDP, SCTP})
EXTENSION_HEADERS = frozenset({0, 43, 44, 51, 60, 135, 139, 140})
"""Next-header numbers of IPv6 extension headers, which are skipped to reach the upper-layer protocol."""

TCP_FLAGS = {"fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20, "ece": 0x40, "cwr": 0x80}
"""RFC 9293, section 3.1."""
FIN, SYN, RST, ACK = (TCP_FLAGS[name] for name in ("fin", "syn", "rst", "ack"))
FAR = 1 << 30
"""Distance from which on a sequence number lies outside any window (RFC 7323: at most 2^30), and is ignored."""

ICMP_TYPES = {
    ICMP: {
        "echo-reply": 0,
        "destination-unreachable": 3,
        "source-quench": 4,
        "redirect": 5,
        "echo-request": 8,
        "router-advertisement": 9,
        "router-solicitation": 10,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "timestamp-request": 13,
        "timestamp-reply": 14,
        "information-request": 15,
        "information-reply": 16,
        "address-mask-request": 17,
        "address-mask-reply": 18,
    },
    ICMPV6: {
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "echo-request": 128,
        "echo-reply": 129,
        "multicast-listener-query": 130,
        "multicast-listener-report": 131,
        "multicast-listener-done": 132,
        "router-solicitation": 133,
        "router-advertisement": 134,
        "neighbor-solicitation": 135,
        "neighbor-advertisement": 136,
        "redirect": 137,
    },
}
"""https://www.iana.org/assignments/icmp-parameters and icmpv6-parameters."""

ICMP_CODES = {
    (ICMP, 3): {
        "network-unreachable": 0,
        "host-unreachable": 1,
        "protocol-unreachable": 2,
        "port-unreachable": 3,
        "fragmentation-needed": 4,
        "source-route-failed": 5,
        "administratively-prohibited": 13,
    },
    (ICMP, 11): {"ttl-exceeded": 0, "reassembly-timeout": 1},
    (ICMPV6, 1): {
        "no-route": 0,
        "administratively-prohibited": 1,
        "address-unreachable": 3,
        "port-unreachable": 4,
        "policy-failed": 5,
        "reject-route": 6,
    },
    (ICMPV6, 3): {"hop-limit-exceeded": 0, "reassembly-timeout": 1},
}

_ANSWERS = {
    ICMP: {8: 0, 10: 9, 13: 14, 15: 16, 17: 18},
    ICMPV6: {128: 129, 133: 134, 135: 136},
}
ICMP_ANSWERS = {
    protocol: pairs | {answer: question for question, answer in pairs.items()} for protocol, pairs in _ANSWERS.items()
}
"""By protocol: the reply of each request type, and the request of each reply type."""


def protocol_name(number: int | None) -> str:
    """Return the name of a protocol, its number if it has none here, or "any" for None."""
    return "any" if number is None else _PROTOCOL_NAMES.get(number, str(number))


def icmp_text(family: int, kind: int, code: int) -> str:
    """Return the names of a type and its code, like destination-unreachable/port-unreachable."""
    protocol = ICMP if family == 4 else ICMPV6
    name = next((name for name, number in ICMP_TYPES[protocol].items() if number == kind), f"type {kind}")
    codes = ICMP_CODES.get((protocol, kind), {})
    what = next((word for word, number in codes.items() if number == code), f"code {code}" if code else "")
    return f"{name}/{what}" if what else name
