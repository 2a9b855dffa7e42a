"""Words of options -> a document. A command line and a rule file differ only in how messages name the options."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from capture.errors import SpecError
from capture.filters.podname import DEFAULT_NAMESPACE, check_namespace, parse_pod_name
from capture.filters.rule import Rule
from capture.filters.words import agreed_direction
from capture.request import parts
from capture.request.convert import check
from capture.request.document import Document
from capture.request.fields import Field, fields, problem
from capture.request.kubernetes import DIRECTIONS, PodReference
from capture.request.naming import Naming
from capture.request.overlay import built
from capture.request.rules import plain_rule
from capture.units import wall_time

RULE_FIELDS = fields(parts.RulePart)
"""Those of a rule, whose options may be given again."""


def document_of(
    given: Mapping[str, Any],
    naming: Naming,
    *,
    rules: Iterable[Rule] = (),
    start: datetime | None = None,
) -> Document:
    """The document for words by Field.parameter; None and () are not given. Raises SpecError that names the option.

    A time of day to stop at is the next one after the start, which is `start` unless it is given.
    """
    at = {field.path: field for field in fields(Document)}
    words = {field: given[field.parameter] for field in at.values() if _is_given(given.get(field.parameter))}
    values: dict[Field, Any] = {}
    begin = datetime.now().astimezone()
    for field, said in words.items():
        name = naming(field).text
        if field.type is datetime:
            values[field] = wall_time(said, start or begin if field.path[-1] == "stop_at" else begin, name)
            start = values[field].astimezone()
        else:
            values[field] = _value(field, said, name)
            wrong = problem(field, values[field])
            if wrong:
                title = field.declared.title
                raise SpecError(f"{name}: {title} {wrong}" if title else f"{name} {wrong}")
    _complete_pods(values, at, naming)
    _settle_direction(words, values, at, naming)
    values[at["rules",]] = [plain_rule(rule) for rule in rules]
    found = check(built(values), naming)
    if found.target.own and found.target.interfaces:
        own = naming(at["target", "own"]).text
        raise SpecError(f"{own} is all interfaces of bicap's own namespace; leave -i out")
    return found


def _is_given(words: Any) -> bool:
    return words is not None and words not in ((), [])


def _value(field: Field, said: Any, name: str) -> Any:
    option = field.declared.option
    assert option is not None
    if option.stands_alone and not isinstance(said, str):
        said = " ".join(said)
    if option.words is not None:
        return option.words(said, name)
    return list(said) if field.is_list else said


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
    found = [parse_pod_name(pod, name, home) for pod in values[pods]]
    values[pods] = [PodReference(name=pod.name, namespace=pod.namespace) for pod in found]
    if bare and containers not in values:
        values.pop(spaces, None)


def _settle_direction(words: Mapping[Field, Any], values: dict[Field, Any], at: _Fields, naming: Naming) -> None:
    """`bidirectional` is another word for a direction."""
    both, one = at["bidirectional",], at["direction",]
    if both not in values:
        return
    name, is_both = naming(both).text, values.pop(both)
    off = f"--no-{name[2:]}" if name.startswith("--") else f"{name} false"
    said = f"{naming(one).text} {words.get(one)} and {name if is_both else off}"
    direction = agreed_direction(DIRECTIONS[values[one]] if one in values else None, is_both, said)
    values[one] = next(word for word, value in DIRECTIONS.items() if value is direction)
