"""The options of a command line, over the file that it names -> one document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from capture.filters.rule import Rule
from capture.filters.ruletext import RuleText
from capture.request.document import Document
from capture.request.forms import positive_duration
from capture.request.given import RULE_FIELDS, document_of
from capture.request.manifest import read_file
from capture.request.naming import on_line
from capture.request.overlay import overlay
from capture.request.rulefile import rule_word
from capture.units import parse_duration


def read_request(order: Sequence[str], options: Mapping[str, Any]) -> Document:
    """Return the document for options by parameter; `order` has the names of those given. Raises SpecError."""
    filename = options["filename"]
    file = read_file(filename) if filename is not None else Document()
    line = document_of(options, on_line, rules=group_rules(order, options), start=file.limits.start_at)
    return overlay(line, file)


def group_rules(order: Sequence[str], options: Mapping[str, Sequence[str]]) -> tuple[Rule, ...]:
    """Return the rules. `order` has the names of the given options; one that is given again begins the next rule.

    An option with the value "any" also makes a rule. Raises SpecError.
    """
    rest: dict[str, Iterator[str]] = {name: iter(options[name]) for name in map(rule_word, RULE_FIELDS)}
    rules: list[dict[str, str]] = []
    for name in order:
        if name in rest:
            if not rules or name in rules[-1]:
                rules.append({})
            rules[-1][name] = next(rest[name])
    prefix = "rule {}: " if len(rules) > 1 else ""
    return tuple(RuleText(**words).rule(prefix.format(number)) for number, words in enumerate(rules, start=1))


def positive_time(text: str | None, option: str) -> int | None:
    """Return a time in nanoseconds, None if the option was not given. Raises SpecError."""
    return None if text is None else parse_duration(positive_duration(text, option), option)
