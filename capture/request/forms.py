"""Values of a document -> values of a CaptureSpec (`read_...`), and words of options -> values of a document.

A `read_` function gets the value and the FieldName, the others get the words and the option's name. A value that is
wrong raises a SpecError that begins with the name.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from capture.errors import SpecError
from capture.filters.conversations import ConversationList, parse_tuples, read_conversations
from capture.filters.expression import Expression, parse_expression
from capture.filters.podname import DEFAULT_NAMESPACE, PodName, check_namespace
from capture.request import parts
from capture.request.kubernetes import DIRECTIONS, POINTS, DirectionWord, PodReference, PointWord
from capture.request.naming import FieldName
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_measures, parse_sampler
from capture.sampling.sampler import Sampler
from capture.selection.labels import LabelSelector, Operator, parse_selector, requirement
from capture.selection.selection import PodEnd, parse_container
from capture.spec import SNAPLEN_MAX, Hook
from capture.storage import MinFree, parse_file_size, parse_min_free
from capture.store_url import StoreUrl, parse_store_url
from capture.units import parse_duration, parse_size
from capture.wire.direction import Direction

DIRECTION_WORDS: dict[str, DirectionWord] = {value.value: word for word, value in DIRECTIONS.items()}
POINT_WORDS: dict[str, PointWord] = {value.value: word for word, value in POINTS.items()}


def read_size(value: int | str, field: FieldName) -> int:
    """Return bytes."""
    return parse_size(str(value), field.text)


def read_duration(value: int | str, field: FieldName) -> int:
    """Return nanoseconds."""
    return parse_duration(str(value), field.text)


def positive_duration(text: str, name: str) -> str:
    """Return the words of a time, which must be longer than 0."""
    if parse_duration(text, name) == 0:
        raise SpecError(f"{name} is not longer than 0")
    return text


def read_time(at: datetime, field: FieldName) -> int:
    """Return nanoseconds since 1970."""
    return round(at.timestamp() * 10**9)


def file_size(text: str, name: str) -> int:
    """Return bytes from the words of -C."""
    return parse_file_size(text, name)


def read_min_free(value: int | str, field: FieldName) -> MinFree:
    """Return a share of the disk, or a size."""
    return parse_min_free(str(value), field.text)


def read_store_url(value: str, field: FieldName) -> StoreUrl:
    """Return a place in a store."""
    return parse_store_url(value, field.text)


def snaplen(length: int, name: str) -> int:
    """Return bytes from the number of -s, where 0 is all, as for tcpdump."""
    return length or SNAPLEN_MAX


def read_samplers(texts: Sequence[str], field: FieldName) -> tuple[Sampler, ...]:
    """Return samplers in their order."""
    return tuple(parse_sampler(text, field.text) for text in texts)


def read_measures(measures: Sequence[OnPressure], field: FieldName) -> tuple[OnPressure, ...]:
    """Return measures in their order."""
    return parse_measures((measure.value for measure in measures), field.text)


def measures(texts: Sequence[str], name: str) -> list[OnPressure]:
    """Return measures from words like "truncate,sample"."""
    return list(parse_measures(texts, name))


@lru_cache(maxsize=8)
def _compiled(text: str) -> Expression:
    return parse_expression(text)


def read_expression(text: str, field: FieldName) -> Expression:
    """Return the expression and its mirror."""
    return _compiled(text)


def read_direction(word: DirectionWord, field: FieldName) -> Direction:
    """Return the direction of a word."""
    return DIRECTIONS[word]


def read_point(word: PointWord, field: FieldName) -> PodEnd:
    """Return the end of a conversation."""
    return POINTS[word]


def direction(word: str, name: str) -> DirectionWord:
    """Return Both, SourceToDestination or DestinationToSource for both, forward or reverse."""
    return DIRECTION_WORDS[word]


def point(word: str, name: str) -> PointWord:
    """Return Source, Destination or Both for source, destination or both."""
    return POINT_WORDS[word]


def hook(word: str, name: str) -> Hook:
    """Return a hook from its name."""
    return Hook(word)


def read_pods(pods: Sequence[PodReference], field: FieldName) -> tuple[PodName, ...]:
    """Return names of pods; those without a namespace are in the default one."""
    return tuple(pod.pod(field.item(number), DEFAULT_NAMESPACE) for number, pod in enumerate(pods))


def read_namespaces(names: Sequence[str], field: FieldName) -> tuple[str, ...]:
    """Return names of namespaces."""
    return tuple(check_namespace(name, field.items) for name in names)


def read_containers(words: Sequence[str], field: FieldName) -> tuple[str, ...]:
    """Return names or IDs of containers."""
    return tuple(parse_container(word, field.items) for word in words)


def read_selector(selector: parts.Selector, field: FieldName) -> LabelSelector:
    """Return the conditions on labels, at least one."""
    where = field.text
    conditions = [requirement(key, Operator.IN, [value], where) for key, value in selector.match_labels.items()]
    conditions += [
        requirement(given.key, given.operator, given.values, where) for given in selector.match_expressions
    ]
    if not conditions:
        raise SpecError(f"{where} is empty, and selects every pod; give allPods: true, or name namespaces")
    return LabelSelector(tuple(conditions))


def selector(text: str, name: str) -> parts.Selector:
    """Return a selector from words like kubectl's."""
    return parts.Selector(
        match_expressions=[
            parts.MatchExpression(key=label.key, operator=label.operator, values=list(label.values))
            for label in parse_selector(text, name).requirements
        ]
    )


def sockets(paths: Sequence[str], name: str) -> list[str]:
    """Return the paths, none of which may be empty."""
    if "" in paths:
        raise SpecError(f"{name} is empty; give a path like /run/containerd/containerd.sock")
    return list(paths)


def conversations(words: str | Sequence[str], name: str) -> parts.ConversationsPart:
    """Return the name of a file of them, or the list itself."""
    if isinstance(words, str):
        return parts.ConversationsPart(file=words)
    return parts.ConversationsPart(tuples=list(words))


def check_conversations(value: parts.ConversationsPart, field: FieldName) -> ConversationList | None:
    """Return the list itself, or None for a file, which is not opened."""
    if value.tuples and value.file is not None:
        raise SpecError(f"{field.text}: file and tuples do not combine; give one of them")
    if value.file is not None:
        return None
    if not value.tuples:
        raise SpecError(f"{field.text} is empty; give a file or tuples")
    where = f"{field.text}.tuples" if field.is_path else field.text
    return parse_tuples(((f"{where}[{number}]", text) for number, text in enumerate(value.tuples)), where)


def read_listed(value: parts.ConversationsPart, field: FieldName) -> ConversationList:
    """Return the conversations; a file of them is read."""
    return check_conversations(value, field) or read_conversations(value.file or "")


def plain_conversations(found: ConversationList | None) -> dict[str, Any] | None:
    """Return their origin and number; the list itself may have many thousands."""
    if found is None:
        return None
    return {"from": found.name, "conversations": len(found.conversations)}
