"""A YAML file of rules -> Rule values.

    direction: both
    rules:
      - source: 10.0.0.0/8
        destination: ":80,443"
        protocol: tcp
        tcpFlags: syn,!ack

Keys are those of the command line's options, in the spelling that Kubernetes uses.
"""

from dataclasses import dataclass

import msgspec

from capture.errors import SpecError
from capture.filters.rule import Direction, Rule
from capture.filters.ruletext import RuleText


class _Rule(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One rule in the file: the words of the options."""

    source: str | None = None
    destination: str | None = None
    protocol: str | int | None = None
    family: str | int | None = None
    tcp_flags: str | None = None
    answer_tcp_flags: str | None = None
    icmp_type: str | int | None = None
    answer_icmp_type: str | int | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    rules: list[_Rule]
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file says; `direction` is None where it says nothing of it."""

    rules: tuple[Rule, ...]
    direction: Direction | None


def read_rules(path: str) -> RuleFile:
    """Read a file. Raises SpecError with the file, the place in it and the reason."""
    try:
        with open(path, "rb") as file:
            return parse_rules(path, file.read())
    except OSError as error:
        raise SpecError(f"rule file {path} cannot be read: {error.strerror}") from None


def parse_rules(path: str, text: bytes) -> RuleFile:
    """The text of a file."""
    try:
        found = msgspec.yaml.decode(text, type=_File)
    except msgspec.ValidationError as error:
        raise SpecError(f"rule file {path}: {error}") from None
    except msgspec.DecodeError as error:
        raise SpecError(f"rule file {path} is not YAML: {' '.join(str(error).split())}") from None
    rules = []
    for number, words in enumerate(found.rules, start=1):
        given = {name: str(value) for name, value in msgspec.structs.asdict(words).items() if value is not None}
        rules.append(RuleText(**given).rule(f"rule file {path} rule {number}: "))
    return RuleFile(tuple(rules), found.direction)
