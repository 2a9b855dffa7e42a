"""A YAML file of rules -> Rule values.

    direction: both
    sample: ["flow:1/10", "reverse=first:5"]
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


class _File(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    rules: list[_Rule] = []
    direction: Direction | None = None
    sample: list[str] = []
    sample_seed: int | None = None
    keep_control: bool | None = None
    headers_only: bool | None = None


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file says, None where it says nothing; `sample` are words for capture.sampling."""

    rules: tuple[Rule, ...] = ()
    direction: Direction | None = None
    sample: tuple[str, ...] = ()
    sample_seed: int | None = None
    keep_control: bool | None = None
    headers_only: bool | None = None


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
    return RuleFile(
        rules=tuple(rules),
        direction=found.direction,
        sample=tuple(found.sample),
        sample_seed=found.sample_seed,
        keep_control=found.keep_control,
        headers_only=found.headers_only,
    )
