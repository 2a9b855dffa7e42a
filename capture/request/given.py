"""Words of options -> a document. A command line and a rule file differ only in how messages name the options."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from capture.errors import SpecError
from capture.filters.podname import DEFAULT_NAMESPACE, check_namespace, parse_pod_name
from capture.filters.rule import Rule
from capture.request import parts
from capture.request.convert import check, one_direction
from capture.request.document import Document
from capture.request.fields import Field, fields, problem
from capture.request.kubernetes import PodReference
from capture.request.naming import Naming
from capture.request.overlay import built
from capture.request.rules import plain_rule
from capture.units import wall_time

RULE_FIELDS = fields(parts.RulePart)
"""Fields of a rule, whose options may be given again for the next rule."""


def document_of(
    given: Mapping[str, Any],
    naming: Naming,
    *,
    rules: Iterable[Rule] = (),
    start: datetime | None = None,
) -> Document:
    """Return the document for words by Field.parameter, where None and () are not given.

    A time of day to stop at is the next one after the start, which is `start` unless it is given. Raises SpecError
    that names the option.
    """
    at = {field.path: field for field in fields(Document)}
    words = {field: given[field.parameter] for field in at.values() if _is_given(given.get(field.parameter))}
    values: dict[Field, Any] = {}
    now = datetime.now().astimezone()
    for field, given_words in words.items():
        name = naming(field).text
        if field.type is datetime:
            values[field] = wall_time(given_words, start or now if field.path[-1] == "stop_at" else now, name)
            start = values[field].astimezone()
        else:
            values[field] = _value(field, given_words, name)
            fault = problem(field, values[field])
            if fault:
                title = field.declared.title
                raise SpecError(f"{name}: {title} {fault}" if title else f"{name} {fault}")
    _complete_pods(values, at, naming)
    values[at["rules",]] = [plain_rule(rule) for rule in rules]
    document = one_direction(built(values), _both_directions(words, at, naming))
    if document.target.own and document.target.interfaces:
        own = naming(at["target", "own"]).text
        raise SpecError(f"{own} is all interfaces of bicap's own namespace; leave -i out")
    return check(document, naming)


def _is_given(words: Any) -> bool:
    return words is not None and words not in ((), [])


def _value(field: Field, words: Any, name: str) -> Any:
    option = field.declared.option
    assert option is not None
    if option.stands_alone and not isinstance(words, str):
        words = " ".join(words)
    if option.words is not None:
        return option.words(words, name)
    return list(words) if field.is_list else words


_Fields = Mapping[tuple[str, ...], Field]


def _complete_pods(values: dict[Field, Any], at: _Fields, naming: Naming) -> None:
    """A namespace beside names of pods is theirs, unless there are containers, which are looked for in it."""
    pods, spaces, containers = (at["target", name] for name in ("pods", "namespaces", "containers"))
    namespaces: Sequence[str] = values.get(spaces, ())
    for space in namespaces:
        check_namespace(space, naming(spaces).text)
    if pods not in values:
        return
    name = naming(pods).text
    bare = [pod for pod in values[pods] if "/" not in pod]
    if bare and len(namespaces) > 1:
        raise SpecError(
            f"{name} {bare[0]} may be in {' or '.join(namespaces)}; write {name} {namespaces[0]}/{bare[0]}"
        )
    home = namespaces[0] if namespaces else DEFAULT_NAMESPACE
    parsed = [parse_pod_name(pod, name, home) for pod in values[pods]]
    values[pods] = [PodReference(name=pod.name, namespace=pod.namespace) for pod in parsed]
    if bare and containers not in values:
        values.pop(spaces, None)


def _both_directions(words: Mapping[Field, Any], at: _Fields, naming: Naming) -> str:
    """Name the two options of a direction with their words, for a message."""
    switch, direction = at["bidirectional",], at["direction",]
    name = naming(switch).text
    off = f"--no-{name[2:]}" if name.startswith("--") else f"{name} false"
    return f"{naming(direction).text} {words.get(direction)} and {name if words.get(switch) else off}"
