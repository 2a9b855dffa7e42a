"""A file of rules -> a document.

    direction: both
    sample: ["flow:1/10", "reverse=first:5"]
    rules:
      - source: 10.0.0.0/8
        destination: ":80,443"
        protocol: tcp
        tcpFlags: syn,!ack

Keys are those of the command line's options, in the spelling that Kubernetes uses, and values are their words.
"""

from functools import cache
from typing import Any, Literal, get_origin

import msgspec

from capture.filters.ruletext import RuleText
from capture.request.document import Document
from capture.request.fields import Field, choices, fields
from capture.request.given import RULE_FIELDS, document_of
from capture.request.naming import in_rule_file

_WORDS = str | int | float | None


def read_rule_file(content: Any) -> Document:
    """Return the document of a file that YAML has parsed. Raises SpecError, or ValidationError with the path."""
    file = msgspec.convert(content, rule_file())
    rules = []
    for number, rule in enumerate(file.rules, start=1):
        given = {name: str(value) for name, value in msgspec.structs.asdict(rule).items() if value is not None}
        rules.append(RuleText(**given).rule(f"rule {number}: "))
    values = {field: getattr(file, field.parameter) for field in _optional()}
    words = {field.parameter: _text(value) if _type(field) is _WORDS else value for field, value in values.items()}
    return document_of(words, in_rule_file, rules=rules)


def _text(words: str | float | None) -> str | None:
    """Return a number as the text that it was."""
    return None if words is None else str(words)


def _optional() -> list[Field]:
    return [field for field in fields(Document) if field.declared.option]


@cache
def rule_file() -> type[Any]:
    """Return the struct that a rule file is checked against."""
    of_a_rule = {rule_word(field): (field.key, _WORDS) for field in RULE_FIELDS}
    named = {field.parameter: (field.key, _type(field)) for field in _optional()}
    return _struct("RuleFile", {"rules": ("rules", list[_struct("Rule", of_a_rule)])} | named)  # type: ignore[misc]


def _struct(name: str, members: dict[str, tuple[str, Any]]) -> type[Any]:
    """Return a struct of attributes, each with its key in the file and its type; a list is empty if not given."""
    keys = {attribute: key for attribute, (key, _) in members.items()}
    typed: list[tuple[str, Any, Any]] = [
        (attribute, kind, [] if get_origin(kind) is list else None) for attribute, (_, kind) in members.items()
    ]
    return msgspec.defstruct(name, typed, forbid_unknown_fields=True, rename=keys, kw_only=True)


def _type(field: Field) -> Any:
    option = field.declared.option
    if option and option.key_type:
        return option.key_type
    if field.is_list:
        return list[str] if field.type.__args__[0] is not int else list[int]
    if words := choices(field):
        return Literal[words] | None
    return field.type | None if field.type in (bool, int) else _WORDS


def rule_word(field: Field) -> str:
    """Return the name of a rule's option in RuleText."""
    assert field.declared.option is not None
    return field.declared.option.name.removeprefix("--").replace("-", "_")
