"""Rules -> C over the canonical tuple: the function match_rules() of filter.h.

A rule between two exact endpoints is put in canonical order here, so that the program compares once and has both
directions; wildcards are tried both ways round. `tuple->family` is a constant where the function is inlined, so
that a packet pays only for the rules of its family.
"""

from collections import defaultdict
from collections.abc import Sequence

from capture.filters.podname import PodName
from capture.filters.rule import Endpoint, Network, Rule

MANY = 4
"""So many rules with the same kind of key are compared one by one; more of them are found by a search."""
KEYS_MAX = 8
"""A rule with more ports than these has no key."""

# Which end of the tuple a side of a rule is, by which end is the rule's source.
_ENDS = {
    "LOW_IS_SOURCE": {"source": "low", "destination": "high"},
    "HIGH_IS_SOURCE": {"source": "high", "destination": "low"},
}


def match_rules(rules: Sequence[Rule], pods: Sequence[PodName] = ()) -> str:
    """The function's text; `pods` are those that rules name, in the order of their groups."""
    keyed: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        keyed[_key(rule)].append(rule)
    searched = {key: some for key, some in keyed.items() if key != _NO_KEY and len(some) > MANY}
    tests = "".join(_test(rule, side, pods) for rule in rules if _key(rule) not in searched for side in _ENDS)
    tests += "".join(_search(key, some, side, pods) for key, some in searched.items() for side in _ENDS)
    groups = "".join(f"    u64 {end}_groups = groups_of(tuple->family, &tuple->{end});\n" for end in ("low", "high"))
    return (
        "static __always_inline u32 match_rules(CONTEXT *ctx, const struct tuple *tuple, u32 detail) {\n"
        f"    u32 source = 0;\n{groups if pods else ''}{tests}    return source;\n}}\n"
    )


_NO_KEY = ("", "")


def _key(rule: Rule) -> tuple[str, str]:
    """The field by which a rule is found among many: (side, "port" or "low", the low word of an address)."""
    for side in ("destination", "source"):
        ports = getattr(rule, side).ports
        if 0 < len(ports) <= KEYS_MAX and all(span.first == span.last for span in ports):
            return side, "port"
    for side in ("destination", "source"):
        if getattr(rule, side).host:
            return side, "low"
    return _NO_KEY


def _search(key: tuple[str, str], rules: Sequence[Rule], side: str, pods: Sequence[PodName]) -> str:
    """A switch, which clang makes a search tree of; in the case that is left, the whole rule is compared.

    The verifier must not know the key to be the tuple's own field, or it would follow each value to the end.
    """
    end, field = key
    cases: dict[int, list[Rule]] = defaultdict(list)
    for rule in rules:
        asked: Endpoint = getattr(rule, end)
        values = [span.first for span in asked.ports] if field == "port" else [_low_word(asked)]
        for value in values:
            cases[value].append(rule)
    body = "".join(
        f"    case {value:#x}ULL:\n{''.join(_test(rule, side, pods) for rule in some)}        break;\n"
        for value, some in sorted(cases.items())
    )
    return f"    switch (tuple->{_ENDS[side][end]}.{field} ^ unknown_zero(ctx)) {{\n{body}    }}\n"


def _low_word(side: Endpoint) -> int:
    assert side.network is not None
    return int(side.network.network_address) & (1 << 64) - 1


def _test(rule: Rule, side: str, pods: Sequence[PodName]) -> str:
    """One rule, with one end of the tuple as its source."""
    if rule.exact and rule.source != rule.destination:
        in_order = _order(rule.source) < _order(rule.destination)
        if in_order != (side == "LOW_IS_SOURCE"):
            return ""
    tests = [f"tuple->family == {rule.family}"] if rule.family else []
    if rule.protocol is not None:
        tests.append(f"tuple->protocol == {rule.protocol}")
    ends = _ENDS[side]
    tests += _side(ends["source"], rule.source, pods) + _side(ends["destination"], rule.destination, pods)
    tests += _details(rule, side == "LOW_IS_SOURCE")
    return f"    /* {rule} */\n    if ({' && '.join(tests) or '1'})\n        ADD({side});\n"


def _order(side: Endpoint) -> tuple[int, int]:
    assert side.network is not None
    return int(side.network.network_address), side.ports[0].first if side.ports else 0


def _details(rule: Rule, low_is_source: bool) -> list[str]:
    """What is asked of TCP flags or ICMP types, which differs with the packet's way."""
    forward, reverse = _detail(rule), _detail(rule.mirror)
    if forward == reverse:
        return [forward] if forward else []
    unswapped, swapped = (forward, reverse) if low_is_source else (reverse, forward)
    return [f"(tuple->swapped ? {swapped or '1'} : {unswapped or '1'})"]


def _detail(rule: Rule) -> str:
    if rule.tcp_flags:
        return f"(detail & (NO_DETAIL | {rule.tcp_flags.mask:#x})) == {rule.tcp_flags.value:#x}"
    kinds = [
        f"(detail & (NO_DETAIL | 0xff00)) == {kind.type << 8:#x}"
        if kind.code is None
        else f"detail == {kind.type << 8 | kind.code:#x}"
        for kind in rule.icmp
    ]
    return f"({' || '.join(kinds)})" if kinds else ""


def _side(name: str, side: Endpoint, pods: Sequence[PodName]) -> list[str]:
    tests = _network(f"tuple->{name}", side.network) if side.network else []
    if side.pod is not None:
        tests.append(f"IN_GROUP({name}_groups, GROUP_PODS + {pods.index(side.pod)})")
    if side.ports:
        port = f"tuple->{name}.port"
        spans = [
            f"SAME({port}, {span.first})" if span.first == span.last else f"WITHIN({port}, {span.first}, {span.last})"
            for span in side.ports
        ]
        tests.append(f"({' || '.join(spans)})" if len(spans) > 1 else spans[0])
    return tests


def _network(name: str, network: Network) -> list[str]:
    address, mask = int(network.network_address), int(network.netmask)
    words = [("low", 0, 32)] if network.version == 4 else [("low", 0, 64), ("high", 64, 64)]
    tests = []
    for word, shift, size in words:
        bits, value = mask >> shift & (1 << size) - 1, address >> shift & (1 << size) - 1
        if bits == (1 << size) - 1:
            tests.append(f"SAME({name}.{word}, {value:#x}ULL)")
        elif bits:
            tests.append(f"SAME({name}.{word} & {bits:#x}ULL, {value:#x}ULL)")
    return tests
