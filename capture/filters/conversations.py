"""A list of exact conversations, one a line -> values; `#` begins a comment.

    tcp 10.0.0.1:40000 10.0.0.2:80
    udp [fd00::1]:5353 > [fd00::2]:53
    icmp 10.0.0.1 10.0.0.2

Lists can be long, so each line costs one object. A conversation may be given from either end, not from both.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network

from capture.errors import SpecError
from capture.filters.rule import Endpoint, Ports, Rule
from capture.filters.rulewords import parse_endpoint, parse_protocol
from capture.wire.protocols import WITH_PORTS, protocol_name

CONVERSATIONS_MAX = 65_536
"""Most conversations in a list."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """An exact five-tuple; a side is (address as a number, port), with port 0 if the protocol has no ports."""

    family: int
    protocol: int
    source: tuple[int, int]
    destination: tuple[int, int]

    @property
    def canonical(self) -> "Conversation":
        """The conversation with its sides in order: the same, whichever end it was given from."""
        if self.source <= self.destination:
            return self
        return Conversation(self.family, self.protocol, self.destination, self.source)

    @property
    def rule(self) -> Rule:
        """The rule that matches the same packets."""
        return Rule(source=self._side(self.source), destination=self._side(self.destination), protocol=self.protocol)

    def _side(self, side: tuple[int, int]) -> Endpoint:
        address, port = side
        network = ip_network(address.to_bytes(4 if self.family == 4 else 16, "big"))
        return Endpoint(network, (Ports(port, port),) if self.protocol in WITH_PORTS else ())

    def __str__(self) -> str:
        return str(self.rule)


@dataclass(frozen=True, slots=True)
class ConversationList:
    """Conversations without repetition, and the file they come from: "-" is standard input, None the request
    itself."""

    name: str | None
    conversations: tuple[Conversation, ...] = field(repr=False)


def conversation_of(rule: Rule) -> Conversation:
    """Return an exact rule as a conversation."""
    sides = []
    for side in (rule.source, rule.destination):
        assert side.network is not None
        sides.append((int(side.network.network_address), side.ports[0].first if side.ports else 0))
    return Conversation(rule.family or 0, rule.protocol or 0, sides[0], sides[1])


def read_conversations(name: str) -> ConversationList:
    """Read a list from a file, or from standard input ("-"). Raises SpecError with file and line."""
    try:
        if name == "-":
            return parse_conversations(name, sys.stdin)
        with open(name, encoding="utf-8") as file:
            return parse_conversations(name, file)
    except OSError as error:
        raise SpecError(f"conversations file {name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError(f"conversations file {name} is not text; write one conversation a line") from None


def parse_conversations(name: str, lines: Iterable[str]) -> ConversationList:
    """Return the list in these lines. Raises SpecError with file and line."""
    file = f"conversations file {name}"
    texts = ((number, line.partition("#")[0]) for number, line in enumerate(lines, start=1))
    numbered = ((f"{file} line {number}", f"line {number}", text) for number, text in texts if text.strip())
    return ConversationList(name, _each_once(numbered, file))


def parse_tuples(tuples: Iterable[tuple[str, str]], where: str) -> ConversationList:
    """Return a list inside a request, from pairs of place and text. Raises SpecError that begins with place or
    `where`."""
    return ConversationList(None, _each_once(((place, place, text) for place, text in tuples), where))


def _each_once(texts: Iterable[tuple[str, str, str]], where: str) -> tuple[Conversation, ...]:
    """Return the conversations of (place in full, place in short, text), without repetitions."""
    unique: dict[Conversation, tuple[Conversation, str]] = {}
    for place, short, text in texts:
        conversation = parse_conversation(text, place)
        before, first = unique.setdefault(conversation.canonical, (conversation, short))
        if before != conversation:
            raise SpecError(f"{place}: {conversation} is the reverse of {first}; one of them finds both directions")
    if len(unique) > CONVERSATIONS_MAX:
        raise SpecError(f"{where} has {len(unique):,} conversations; at most {CONVERSATIONS_MAX:,} are possible")
    return tuple(conversation for conversation, _ in unique.values())


def parse_conversation(text: str, where: str) -> Conversation:
    """Return the conversation in one line of a list. Raises SpecError that begins with `where`."""
    words = text.replace(">", " ").split()
    if len(words) != 3:
        raise SpecError(f"{where}: {' '.join(words)!r} is not: protocol source destination")
    protocol = parse_protocol(words[0], f"{where}: protocol")
    if protocol is None:
        raise SpecError(f"{where}: a conversation has one protocol, not any")
    sides, families = [], set()
    for text in words[1:]:
        side = parse_endpoint(text, f"{where}:")
        port = side.ports[0].first if side.ports else 0
        if not side.exact or side.network is None or bool(side.ports) != (protocol in WITH_PORTS):
            form = "address:port" if protocol in WITH_PORTS else "address without a port"
            raise SpecError(f"{where}: {text!r} is not an exact {form}, as {protocol_name(protocol)} needs")
        sides.append((int(side.network.network_address), port))
        families.add(side.network.version)
    if len(families) > 1:
        raise SpecError(f"{where}: {words[1]} and {words[2]} are of different IP families")
    return Conversation(families.pop(), protocol, sides[0], sides[1])
