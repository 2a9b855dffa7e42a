"""A file of rules -> what it asks for.

    direction: both
    sample: ["flow:1/10", "reverse=first:5"]
    rules:
      - source: 10.0.0.0/8
        destination: ":80,443"
        protocol: tcp
        tcpFlags: syn,!ack

Keys are those of the command line's options, in the spelling that Kubernetes uses.
"""

import msgspec

from capture.filters.rule import Direction
from capture.filters.ruletext import RuleText
from capture.manifest.asked import Asked
from capture.sampling.words import parse_sampler


class Rule(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One rule in the file: the words of the options."""

    source: str | None = None
    destination: str | None = None
    protocol: str | int | None = None
    family: str | int | None = None
    tcp_flags: str | None = None
    answer_tcp_flags: str | None = None
    icmp_type: str | int | None = None
    answer_icmp_type: str | int | None = None


class RuleFile(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The whole file."""

    rules: list[Rule] = []
    direction: Direction | None = None
    sample: list[str] = []
    sample_seed: int | None = None
    keep_control: bool | None = None
    headers_only: bool | None = None

    def asked(self) -> Asked:
        """What it asks for. Raises SpecError."""
        rules = []
        for number, words in enumerate(self.rules, start=1):
            given = {name: str(value) for name, value in msgspec.structs.asdict(words).items() if value is not None}
            rules.append(RuleText(**given).rule(f"rule {number}: "))
        return Asked(
            rules=tuple(rules),
            direction=self.direction,
            samplers=tuple(parse_sampler(text, "sample") for text in self.sample),
            sample_seed=self.sample_seed,
            keep_control=self.keep_control,
            headers_only=self.headers_only,
        )
