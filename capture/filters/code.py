"""Rules -> C over the canonical tuple: the function match_rules() of filter.h.

A rule between two exact endpoints is put in canonical order here, so that one comparison in the program covers both
directions; a rule with wildcards is tried in both orders. `tuple->family` is a constant where the function is
inlined, so a packet pays only for the rules of its family.
"""

from collections import defaultdict
from collections.abc import Sequence

from capture.filters.podname import PodName
from capture.filters.rule import Endpoint, Network, Rule

MANY = 4
"""Most rules with the same kind of key that are compared one by one; more of them are found by a search."""
KEYS_MAX = 8
"""Most ports of a rule that has a key."""

# The end of the tuple for each side of a rule, by the end that is the rule's source.
_ENDS = {
    "LOW_IS_SOURCE": {"source": "low", "destination": "high"},
    "HIGH_IS_SOURCE": {"source": "high", "destination": "low"},
}


def match_rules(rules: Sequence[Rule], pods: Sequence[PodName] = ()) -> str:
    """Return the text of the function; `pods` are those that rules name, in the order of their groups."""
    keyed: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        keyed[_key(rule)].append(rule)
    searched = {key: sharing for key, sharing in keyed.items() if key != _NO_KEY and len(sharing) > MANY}
    tests = "".join(_test(rule, side, pods) for rule in rules if _key(rule) not in searched for side in _ENDS)
    tests += "".join(_search(key, sharing, side, pods) for key, sharing in searched.items() for side in _ENDS)
    groups = "".join(f"    u64 {end}_groups = groups_of(tuple->family, &tuple->{end});\n" for end in ("low", "high"))
    return (
        "static __always_inline u32 match_rules(CONTEXT *ctx, const struct tuple *tuple, u32 detail) {\n"
        f"    u32 source = 0;\n{groups if pods else ''}{tests}    return source;\n}}\n"
    )


_NO_KEY = ("", "")


def _key(rule: Rule) -> tuple[str, str]:
    """Return the key to find a rule by among many: (side, "port" or "low"); low is the low word of an address."""
    for side in ("destination", "source"):
        ports = getattr(rule, side).ports
        if 0 < len(ports) <= KEYS_MAX and all(span.first == span.last for span in ports):
            return side, "port"
    for side in ("destination", "source"):
        if getattr(rule, side).host:
            return side, "low"
    return _NO_KEY


def _search(key: tuple[str, str], rules: Sequence[Rule], side: str, pods: Sequence[PodName]) -> str:
    """Return a switch over the key, which clang compiles to a search tree; each case compares the whole rules.

    The verifier must not recognise the key as a field of the tuple, or it would follow each value to the end.
    """
    end, field = key
    cases: dict[int, list[Rule]] = defaultdict(list)
    for rule in rules:
        endpoint: Endpoint = getattr(rule, end)
        values = [span.first for span in endpoint.ports] if field == "port" else [_low_word(endpoint)]
        for value in values:
            cases[value].append(rule)
    body = "".join(
        f"    case {value:#x}ULL:\n{''.join(_test(rule, side, pods) for rule in sharing)}        break;\n"
        for value, sharing in sorted(cases.items())
    )
    return f"    switch (tuple->{_ENDS[side][end]}.{field} ^ unknown_zero(ctx)) {{\n{body}    }}\n"


def _low_word(side: Endpoint) -> int:
    assert side.network is not None
    return int(side.network.network_address) & (1 << 64) - 1


def _test(rule: Rule, side: str, pods: Sequence[PodName]) -> str:
    """Return the test of one rule, with one end of the tuple as its source; "" if the order excludes it."""
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
    """Return the test of TCP flags or ICMP types, which depends on the direction of the packet."""
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
