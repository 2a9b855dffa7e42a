"""The options of rules, each of which may be given again -> rules in the order of the command line."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from capture.cli.groups import option
from capture.filters.names import PROTOCOLS, TCP_FLAGS
from capture.filters.rule import Rule
from capture.filters.ruletext import RuleText

_HELP = {
    "source": ("ENDPOINT", "IP, IP/len, IP:ports, [IPv6]:ports or :ports; ports are like 80,443,8000-8100."),
    "destination": ("ENDPOINT", "As --source."),
    "protocol": ("NAME|NUMBER", f"{', '.join(PROTOCOLS)}, any, or a number."),
    "family": ("FAMILY", "ipv4, ipv6 or any."),
    "tcp_flags": (
        "FLAGS",
        f"Flags of {', '.join(TCP_FLAGS)} that are set, or with ! unset: syn,!ack; or value/mask.",
    ),
    "answer_tcp_flags": ("FLAGS", "Flags of the reverse direction.  [default: SYN-ACK answers SYN]"),
    "icmp_type": ("TYPES", "ICMP types, with /code: echo-request, destination-unreachable/port-unreachable, 3/3."),
    "answer_icmp_type": ("TYPES", "Types of the reverse direction.  [default: a reply answers its request]"),
}
RULE_OPTIONS = tuple(_HELP)


def rule_options(group: str) -> Callable[[Any], Any]:
    """All rule options, under a heading."""

    def decorate(command: Any) -> Any:
        for name, (metavar, words) in reversed(_HELP.items()):
            command = option(group, f"--{name.replace('_', '-')}", name, multiple=True, metavar=metavar, help=words)(
                command
            )
        return command

    return decorate


def group_rules(order: Sequence[str], values: Mapping[str, Sequence[str]]) -> tuple[Rule, ...]:
    """Rules from options: `order` has the name of each option given; one that a rule has already begins the next.

    An option given as nothing more than "any" still makes a rule. Raises SpecError.
    """
    rest = {name: iter(given) for name, given in values.items()}
    rules: list[dict[str, str]] = []
    for name in order:
        if name in rest:
            if not rules or name in rules[-1]:
                rules.append({})
            rules[-1][name] = next(rest[name])
    prefix = "rule {}: " if len(rules) > 1 else ""
    return tuple(RuleText(**words).rule(prefix.format(number)) for number, words in enumerate(rules, start=1))
