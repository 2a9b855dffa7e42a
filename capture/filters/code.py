"""Rules -> C over the canonical tuple: the function match_rules() of filter.h.

A rule between two exact endpoints is put in canonical order here, so that the program compares once and has both
directions; wildcards are tried both ways round. `tuple->family` is a constant where the function is inlined, so
that a packet pays only for the rules of its family.
"""

from collections.abc import Sequence

from capture.filters.rule import Endpoint, Network, Rule


def match_rules(rules: Sequence[Rule]) -> str:
    """The function's text."""
    tests = "".join(f"    /* {rule} */\n{_rule(rule)}" for rule in rules)
    return (
        "static __always_inline u32 match_rules(const struct tuple *tuple, u32 detail) {\n"
        f"    u32 source = 0;\n{tests}    return source;\n}}\n"
    )


def _rule(rule: Rule) -> str:
    sides = {
        "LOW_IS_SOURCE": _side("low", rule.source) + _side("high", rule.destination),
        "HIGH_IS_SOURCE": _side("high", rule.source) + _side("low", rule.destination),
    }
    if rule.exact and rule.source != rule.destination:
        only = "LOW_IS_SOURCE" if _order(rule.source) < _order(rule.destination) else "HIGH_IS_SOURCE"
        sides = {only: sides[only]}
    common = [f"tuple->family == {rule.family}"] if rule.family else []
    if rule.protocol is not None:
        common.append(f"tuple->protocol == {rule.protocol}")
    return "".join(
        f"    if ({' && '.join([*common, *tests, *_details(rule, side == 'LOW_IS_SOURCE')]) or '1'})\n"
        f"        ADD({side});\n"
        for side, tests in sides.items()
    )


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


def _side(name: str, side: Endpoint) -> list[str]:
    tests = _network(f"tuple->{name}", side.network) if side.network else []
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
