"""The texts of one rule, from the command line or a file -> a Rule."""

from dataclasses import dataclass

from capture.errors import SpecError
from capture.filters.rule import Endpoint, Rule
from capture.filters.rulewords import parse_endpoint, parse_family, parse_icmp_types, parse_protocol, parse_tcp_flags


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """The texts of a rule by the names of their options; None is not given. An endpoint may be parsed already."""

    source: str | Endpoint | None = None
    destination: str | Endpoint | None = None
    protocol: str | None = None
    family: str | None = None
    tcp_flags: str | None = None
    answer_tcp_flags: str | None = None
    icmp_type: str | None = None
    answer_icmp_type: str | None = None

    def rule(self, where: str = "") -> Rule:
        """Return the rule. Raises SpecError that begins with `where`."""
        try:
            return self._rule()
        except SpecError as error:
            raise SpecError(f"{where}{error}") from None

    def _rule(self) -> Rule:
        protocol = parse_protocol(self.protocol) if self.protocol is not None else None
        flags, answer = (
            parse_tcp_flags(text, field) if text is not None else None
            for text, field in ((self.tcp_flags, "tcp-flags"), (self.answer_tcp_flags, "answer-tcp-flags"))
        )
        types, answer_types = (
            parse_icmp_types(text, protocol, field) if text is not None else None
            for text, field in ((self.icmp_type, "icmp-type"), (self.answer_icmp_type, "answer-icmp-type"))
        )
        return Rule(
            source=_endpoint(self.source, "source"),
            destination=_endpoint(self.destination, "destination"),
            protocol=protocol,
            family=parse_family(self.family) if self.family is not None else None,
            tcp_flags=flags,
            answer_flags=answer,
            icmp=types or (),
            answer_icmp=answer_types,
        )


def _endpoint(words: str | Endpoint | None, field: str) -> Endpoint:
    if isinstance(words, str):
        return parse_endpoint(words, field)
    return words or Endpoint()
