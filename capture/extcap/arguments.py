"""The fields of the request document -> options of Wireshark's dialog; what it gives back -> words of bicap capture.

Wireshark leaves out an empty text, but always gives the value of a choice. So each choice has a value for "as bicap
does by itself", which becomes no word.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from capture.errors import SpecError
from capture.extcap.wireshark_list import ANY, CLUSTER, WAIT
from capture.request.document import Document
from capture.request.fields import LIMITS, OUTPUT, RECORD, SAMPLING, WHAT, WHERE, Field, choices, fields, is_recorded
from capture.request.given import RULE_FIELDS

TARGET, NAMESPACE, CONTEXT, TO = "--target", "--namespace", "--context", "--to"
"""Options of `kubectl bicap capture` that choose pods; TARGET stands for its words without an option."""
_IN_CLUSTER = (
    (TARGET, "Pods", "Workloads, services or pods, with spaces between: deploy/web svc/bank.", "deploy/web"),
    (NAMESPACE, "Namespace", "Namespace of these; else that of the context.", "NAMESPACE"),
    (TO, "Other end", "Only conversations with these: deploy/bank, 10.0.0.0/8:443 or :53.", "TARGET or ADDRESS"),
    (CONTEXT, "Context", "Context of the kubeconfig; else the current one.", "CONTEXT"),
)
BY_ITSELF = "default"
"""Value of a choice that stands for none."""
SUDO = "--sudo"
"""Our own option: run the capture by sudo."""
LISTED = {"--interface", "--pod"}
"""Options whose values are listed from this machine, and can be listed again."""
_WHOLE_NUMBER = "^[0-9]+$"
_TABS = (WHERE, RECORD, WHAT, SAMPLING, LIMITS)
"""Groups in the order of the dialog's tabs, where the dialog asks where to capture."""
_ABBREVIATIONS = {word: word.upper() for word in ("tcp", "icmp", "cri", "pid")} | {"netns": "network namespace"}
_WAITS = ("before", "after", "memory", "cooldown", "triggers")
"""Fields of a recorder that the dialog asks for; its folder is ours."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An option of the dialog."""

    call: str
    display: str
    help: str
    type: str
    group: str
    placeholder: str = ""
    validation: str = ""
    default: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Values and how they are shown."""
    reload: bool = False


_SUDO_ARGUMENT = Argument(
    SUDO,
    "Use sudo",
    "Run the capture by `sudo -n`, which must not need a password: a capture needs root.",
    "boolflag",
    WHERE,
)


def arguments(with_place: bool, listed: Mapping[str, Sequence[str]]) -> list[Argument]:
    """Return the options. `with_place`: those that choose where to capture, too; `listed` has values by option."""
    asked = (one for one in _asked(with_place) if one.group != RECORD)
    made = [*(_argument(one, listed) for one in asked), _SUDO_ARGUMENT]
    return sorted(made, key=_place_of_group) if with_place else made


def waiting_arguments(listed: Mapping[str, Sequence[str]]) -> list[Argument]:
    """Return the options of the entry that waits for trouble: those that a recorder can use, but for its folder."""
    asked = (one for one in _asked(True) if is_recorded(one) and (one.group != RECORD or one.path[-1] in _WAITS))
    return sorted([*(_argument(one, listed) for one in asked), _SUDO_ARGUMENT], key=_place_of_group)


def _place_of_group(one: Argument) -> int:
    """Return the place of its tab: what must be chosen is in the first."""
    return _TABS.index(one.group)


def cluster_arguments() -> list[Argument]:
    """Return the options of a capture in a cluster; it needs no sudo, and runs where the pods are."""
    where = [Argument(call, display, help, "string", WHERE, unit) for call, display, help, unit in _IN_CLUSTER]
    return where + [one for one in arguments(False, {}) if one.call != SUDO]


def _asked(with_place: bool) -> Iterator[Field]:
    """Return the fields that the dialog asks for. Wireshark has its own place for a filter expression, and writes."""
    for one in fields(Document):
        if one.path == ("rules",):
            yield from RULE_FIELDS
        elif one.declared.option is None or one.declared.option.stands_alone or one.group == OUTPUT:
            continue
        elif one.group != WHERE or with_place or one.path[-1] == "hook":
            yield one


def _argument(one: Field, listed: Mapping[str, Sequence[str]]) -> Argument:
    option = one.declared.option
    assert option is not None
    call = option.name
    display = _shown(call)
    help = option.help or one.help
    group = WHAT if one in RULE_FIELDS else one.group
    if call in LISTED:
        values = {BY_ITSELF: "(none)"} | {value: value for value in listed.get(call, ())}
        return Argument(call, display, help, "selector", group, default=BY_ITSELF, choices=values, reload=True)
    if one.type is bool:
        return Argument(call, display, help, "boolflag", group)
    if words := () if one.is_list else choices(one):
        values = {BY_ITSELF: f"({option.default})" if option.default else "(any)"} | {word: word for word in words}
        return Argument(call, display, help, "selector", group, default=BY_ITSELF, choices=values)
    if option.unit == "FILE":
        return Argument(call, display, help, "fileselect", group)
    number = _WHOLE_NUMBER if one.type is int else ""
    return Argument(call, display, help, "string", group, option.unit or "", number)


def _shown(call: str) -> str:
    """Return an option as a label: --answer-tcp-flags is Answer TCP flags."""
    words = [_ABBREVIATIONS.get(word, word) for word in call.lstrip("-").split("-")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def words_of(given: Sequence[tuple[str, str]], known: Sequence[Argument]) -> list[str]:
    """Return the words of a command of bicap, or of kubectl's, for options that Wireshark gives. Raises SpecError.

    `known` are the options of the entry.
    """
    by_call = {one.call: one for one in known}
    words = []
    for call, value in given:
        one = by_call.get(call)
        if one is None:
            raise SpecError(f"Wireshark gave the option {call}, which bicap does not know; install the extcap again")
        if call == SUDO or (one.type == "selector" and value == BY_ITSELF):
            continue
        if call == TARGET:
            words += _targets(value)
            continue
        words += [call] if one.type == "boolflag" else [call, value]
    return words


def _targets(value: str) -> list[str]:
    """Return the words of a field with targets. Raises SpecError: a target that looks like an option is none."""
    words = value.split()
    for word in words:
        if word.startswith("-"):
            raise SpecError(f"{word!r} does not name pods; write deploy/web, svc/bank or pod/client")
    return words


def arguments_of(entry: str, listed: Mapping[str, Sequence[str]] = MappingProxyType({})) -> list[Argument]:
    """Return the options of an entry of Wireshark's list; `listed` has values by option."""
    if entry == CLUSTER:
        return cluster_arguments()
    return waiting_arguments(listed) if entry == WAIT else arguments(entry == ANY, listed)


def is_switch(call: str) -> bool:
    """True if an option has no value."""
    known = (*arguments(True, {}), *waiting_arguments({}))
    return any(one.call == call and one.type == "boolflag" for one in known)
