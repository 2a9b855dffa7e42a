"""The rules of a spec -> the filter of the kernel program: C text, switches, and entries of the conversations map.

Every switch of bpf/ that concerns matching is set here, so a feature that is not used costs no instruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from capture.errors import SpecError
from capture.filters import code, text
from capture.filters.conversations import CONVERSATIONS_MAX, Conversation, ConversationList, conversation_of
from capture.filters.expression import Expression
from capture.filters.podname import PodName
from capture.filters.rule import Rule
from capture.wire.direction import Direction

EXACT_AS_CODE = 4
"""Most exact rules that are compared one by one; more of them are found by one look-up instead."""
TEXT_MAX = 64
"""Most conversations that are written out in a tcpdump expression."""
PODS_MAX = 63
"""Most pods that rules can name: the bits of a group, less the node's (enum group in bpf/abi.h)."""
ADDRESSES_MAX = 4096
"""Most addresses that pods named in rules, and the node, can have together."""

_WANTED = {Direction.BOTH: "FORWARD | REVERSE", Direction.FORWARD: "FORWARD", Direction.REVERSE: "REVERSE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterProgram:
    """The input of the loader: filter.h, -D switches, and the content of the conversations and the groups map.

    `listed` conversations are those of a list, which may change while the capture runs; `exact` ones come from rules.
    `pods` are the pods that rules name, in the order of their bits.
    """

    header: str
    switches: tuple[tuple[str, int], ...]
    listed: tuple[Conversation, ...] = ()
    exact: tuple[Conversation, ...] = ()
    pods: tuple[PodName, ...] = ()


def filter_program(
    rules: Sequence[Rule] = (),
    direction: Direction = Direction.BOTH,
    *,
    conversations: ConversationList | None = None,
    expression: Expression | None = None,
    inner: bool = False,
    icmp_errors: bool = True,
    asks_flow: bool = False,
    asks_control: bool = False,
    asks_headers: bool = False,
    shared: bool = False,
) -> FilterProgram:
    """Return the program for rules and conversations, or for an expression; without any, it matches every packet.

    `asks_flow`, `asks_control` and `asks_headers` say what the program must find out about a packet that matches: its
    conversation, if it is a control packet, the end of its headers. `shared`: the program must also work on
    interfaces that pods share with their node. Raises SpecError.
    """
    pods = pods_of(rules)
    if len(pods) > PODS_MAX:
        raise SpecError(f"rules name {len(pods)} pods; at most {PODS_MAX} are possible")
    everything = not (rules or conversations or expression)
    exact: tuple[Conversation, ...] = ()
    if conversations or sum(rule.exact for rule in rules) > EXACT_AS_CODE:
        exact = tuple(conversation_of(rule) for rule in rules if rule.exact)
        rules = [rule for rule in rules if not rule.exact]
    by_rules = not everything and expression is None
    header = f"#define WANTED ({_WANTED[direction]})\n"
    if expression:
        header += expression.code(direction)
    elif not everything:
        header += code.match_rules(rules, pods)
    asks_transport = bool(exact or conversations) or any(rule.asks_transport for rule in rules)
    switches = {
        "MATCH_EVERYTHING": everything,
        "EXPRESSION": expression is not None,
        "PARSED": by_rules or asks_flow or asks_control or asks_headers,
        "CONVERSATIONS": CONVERSATIONS_MAX if conversations else len(exact),
        "TCP_FLAGS_ASKED": asks_control or any(rule.tcp_flags for rule in rules),
        "FRAGMENTS_ASKED": asks_flow or (by_rules and asks_transport),
        "ERRORS_ASKED": not by_rules or icmp_errors,
        "INNER_ASKED": by_rules and inner,
        "SHARED": shared,
        "GROUPS": ADDRESSES_MAX if pods or shared else 0,
    }
    return FilterProgram(
        header=header,
        switches=tuple((name, int(value)) for name, value in switches.items()),
        listed=conversations.conversations if conversations else (),
        exact=exact,
        pods=pods,
    )


def pods_of(rules: Sequence[Rule]) -> tuple[PodName, ...]:
    """Return the pods that rules name, without repetitions."""
    named = [side.pod for rule in rules for side in (rule.source, rule.destination) if side.pod is not None]
    return tuple(dict.fromkeys(named))


def filter_text(
    rules: Sequence[Rule],
    direction: Direction,
    conversations: ConversationList | None = None,
    expression: Expression | None = None,
) -> str:
    """Return a tcpdump expression for the packets that match in these directions; "" if every packet does."""
    if expression:
        return expression.text(direction)
    listed = list(conversations.conversations) if conversations else []
    if len(listed) > TEXT_MAX:
        source = f" of {conversations.name}" if conversations and conversations.name else ""
        more = f"one of {len(listed):,} conversations{source}"
        return " or ".join(filter(None, [text.rules_text(rules, direction), f"({more})"]))
    return text.rules_text([*rules, *(conversation.rule for conversation in listed)], direction)
