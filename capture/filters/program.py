"""What a spec asks for -> the filter of the kernel program: C text, switches, and entries of the sessions map.

Every switch of bpf/ that concerns matching is set here, so that an unused ability costs no instruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from capture.filters import code, text
from capture.filters.expression import Expression
from capture.filters.rule import Direction, Rule
from capture.filters.sessions import SESSIONS_MAX, Conversation, SessionList, conversation_of

EXACT_AS_CODE = 4
"""So many exact rules are compared one by one; more of them are found by one look-up instead."""
TEXT_MAX = 64
"""So many conversations are spelled out in a tcpdump expression."""

_WANTED = {Direction.BOTH: "FORWARD | REVERSE", Direction.FORWARD: "FORWARD", Direction.REVERSE: "REVERSE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterProgram:
    """What the loader needs: filter.h, -D switches, and what goes into the sessions map.

    `listed` conversations are those of a list, which may change while the capture runs; `exact` come from rules.
    """

    header: str
    switches: tuple[tuple[str, int], ...]
    listed: tuple[Conversation, ...] = ()
    exact: tuple[Conversation, ...] = ()


def filter_program(
    rules: Sequence[Rule] = (),
    direction: Direction = Direction.BOTH,
    *,
    sessions: SessionList | None = None,
    expression: Expression | None = None,
    inner: bool = False,
    icmp_errors: bool = True,
    asks_flow: bool = False,
    asks_control: bool = False,
    asks_headers: bool = False,
) -> FilterProgram:
    """The program for rules and sessions, or for an expression; for neither it matches every packet.

    `asks_flow`, `asks_control` and `asks_headers`: what else must be found out about a packet that matches.
    """
    everything = not (rules or sessions or expression)
    exact: tuple[Conversation, ...] = ()
    if sessions or sum(rule.exact for rule in rules) > EXACT_AS_CODE:
        exact = tuple(conversation_of(rule) for rule in rules if rule.exact)
        rules = [rule for rule in rules if not rule.exact]
    by_rules = not everything and expression is None
    header = f"#define WANTED ({_WANTED[direction]})\n"
    if expression:
        header += expression.code(direction)
    elif not everything:
        header += code.match_rules(rules)
    asks_transport = bool(exact or sessions) or any(rule.asks_transport for rule in rules)
    switches = {
        "MATCH_EVERYTHING": everything,
        "EXPRESSION": expression is not None,
        "PARSED": by_rules or asks_flow or asks_control or asks_headers,
        "SESSIONS": SESSIONS_MAX if sessions else len(exact),
        "TCP_FLAGS_ASKED": asks_control or any(rule.tcp_flags for rule in rules),
        "FRAGMENTS_ASKED": asks_flow or (by_rules and asks_transport),
        "ERRORS_ASKED": not by_rules or icmp_errors,
        "INNER_ASKED": by_rules and inner,
    }
    return FilterProgram(
        header=header,
        switches=tuple((name, int(value)) for name, value in switches.items()),
        listed=sessions.conversations if sessions else (),
        exact=exact,
    )


def filter_text(
    rules: Sequence[Rule],
    direction: Direction,
    sessions: SessionList | None = None,
    expression: Expression | None = None,
) -> str:
    """The tcpdump expression for what is matched in the directions asked for; "" where everything is."""
    if expression:
        return expression.text(direction)
    listed = list(sessions.conversations) if sessions else []
    if len(listed) > TEXT_MAX:
        more = f"one of {len(listed):,} conversations of {sessions.name if sessions else ''}"
        return " or ".join(filter(None, [text.rules_text(rules, direction), f"({more})"]))
    return text.rules_text([*rules, *(conversation.rule for conversation in listed)], direction)
