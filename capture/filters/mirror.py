"""A tcpdump expression -> the tcpdump expression for answers: packets with the two ends exchanged.

`src` and `dst` are exchanged, and so are the accessors of addresses and ports: ip[12:4] and ip[16:4], tcp[0:2] and
tcp[2:2]. An ICMP type becomes the type that answers it. A computed index is assumed to be behind the ports, as in
every well-formed packet. The result is None if there is no such expression; the kernel program then exchanges the
bytes of the packet (bpf/lib/mirror.h).
"""

import re

from capture.wire.protocols import ICMP, ICMP_ANSWERS, ICMPV6

_TOKEN = re.compile(r"\\?[A-Za-z0-9_.:/-]+|\s+|[!<>=]=|&&|\|\||<<|>>|.", re.DOTALL)

# Accessor -> (offset, offset, length) of the fields that are exchanged.
_ENDS: dict[str, list[tuple[int, int, int]]] = {
    "ether": [(0, 6, 6)],
    "link": [(0, 6, 6)],
    "ip": [(12, 16, 4)],
    "ip6": [(8, 24, 16)],
    "arp": [(8, 18, 6), (14, 24, 4)],
    "rarp": [(8, 18, 6), (14, 24, 4)],
    "tcp": [(0, 2, 2)],
    "udp": [(0, 2, 2)],
    "sctp": [(0, 2, 2)],
    "icmp": [],
    "icmp6": [],
}
# From these offsets on, an accessor of a lower layer could read fields of a higher layer that are exchanged.
_OPAQUE_FROM = {"ether": 14, "link": 14, "ip": 20, "ip6": 40}
# `broadcast` and `multicast` test the destination; these expressions test the source.
_GROUP_SOURCES = {
    "ether": {"broadcast": "ether src ff:ff:ff:ff:ff:ff", "multicast": "ether[6] & 1 != 0"},
    "link": {"broadcast": "ether src ff:ff:ff:ff:ff:ff", "multicast": "ether[6] & 1 != 0"},
    "ip": {"broadcast": "ip broadcast", "multicast": "ip[12] >= 224"},
    "ip6": {"broadcast": "ip6 broadcast", "multicast": "ip6[8] = 255"},
}
_TYPE_FIELDS = {
    "icmp": (ICMP, {"0", "icmptype"}, {"icmp-echoreply": 0, "icmp-echo": 8, "icmp-routeradvert": 9,
             "icmp-routersolicit": 10, "icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15,
             "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18}),
    "icmp6": (ICMPV6, {"0", "icmp6type"}, {"icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-routersolicit": 133,
              "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136}),
}  # fmt: skip


def mirror_text(text: str) -> str | None:
    """Return the expression for the answers, None if there is none."""
    tokens = _TOKEN.findall(text)
    out: list[str] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token in ("src", "dst"):
            out.append("dst" if token == "src" else "src")
            at += 1
        elif token in ("broadcast", "multicast"):
            layer = next((word for word in reversed(out) if not word.isspace()), "")
            if layer in _GROUP_SOURCES:
                while out.pop() != layer:
                    pass
            out.append(_GROUP_SOURCES.get(layer, _GROUP_SOURCES["ether"])[token])
            at += 1
        elif token in _ENDS and _opens(tokens, at):
            end = _closing(tokens, at)
            mirrored = None if end is None else _accessor(tokens, at, end)
            if mirrored is None:
                return None
            words, at = mirrored
            out.append(words)
        else:
            out.append(token)
            at += 1
    return "".join(out)


def _opens(tokens: list[str], at: int) -> bool:
    rest = [token for token in tokens[at + 1 : at + 3] if not token.isspace()]
    return bool(rest) and rest[0] == "["


def _closing(tokens: list[str], at: int) -> int | None:
    depth = 0
    for position in range(at, len(tokens)):
        depth += {"[": 1, "]": -1}.get(tokens[position], 0)
        if depth == 0 and tokens[position] == "]":
            return position
    return None


def _accessor(tokens: list[str], at: int, end: int) -> tuple[str, int] | None:
    """Return the accessor proto[index:size] in tokens `at` to `end`, mirrored, and the next token; None if there is
    none."""
    proto = tokens[at]
    inside = "".join(tokens[at + 1 : end]).strip().removeprefix("[").strip()
    if proto in _TYPE_FIELDS and (field := inside.partition(":"))[0].strip() in _TYPE_FIELDS[proto][1]:
        return _type_relation(tokens, end, proto) if field[2].strip() in ("", "1") else None
    match = re.fullmatch(r"(\w+)(?:\s*:\s*(\w+))?", inside)
    if match is None:
        nested = mirror_text(inside)
        return None if nested is None else (f"{proto}[{nested}]", end + 1)
    index, size = _number(match[1]), _number(match[2] or "1")
    if index is None or size is None:  # a named offset, like tcpflags: none of those fields is exchanged
        return f"{proto}[{inside}]", end + 1
    if index + size > _OPAQUE_FROM.get(proto, 1 << 32):
        return None
    for low, high, length in _ENDS[proto]:
        for here, there in ((low, high), (high, low)):
            if here <= index and index + size <= here + length:
                return f"{proto}[{index - here + there}{f':{size}' if match[2] else ''}]", end + 1
    if any(index < here + length and here < index + size for *ends, length in _ENDS[proto] for here in ends):
        return None  # it covers only a part of a field that is exchanged
    return f"{proto}[{inside}]", end + 1


def _type_relation(tokens: list[str], end: int, proto: str) -> tuple[str, int] | None:
    """Return icmp[icmptype] compared with a constant, mirrored: with the type that answers; None if there is none."""
    protocol, _, names = _TYPE_FIELDS[proto]
    rest = [(at, tokens[at]) for at in range(end + 1, len(tokens)) if not tokens[at].isspace()][:3]
    if len(rest) < 2 or rest[0][1] not in ("=", "==", "!="):
        return None
    value = names.get(rest[1][1], _number(rest[1][1]))
    if value is None or (len(rest) > 2 and rest[2][1] in (*"+-*/&|^%", "<<", ">>")):
        return None
    answer = ICMP_ANSWERS[protocol].get(value, value)
    return f"{proto}[0] {rest[0][1]} {answer}", rest[1][0] + 1


def _number(word: str) -> int | None:
    try:
        return int(word, 0)
    except ValueError:
        return None
