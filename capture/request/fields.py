"""The structs of a document -> its Fields, one for each that is declared; and what their types allow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from capture.request.declaration import DECLARED, Declared

WHERE, WHAT, SAMPLING, LIMITS, OUTPUT, RECORD = "Where", "What", "Sampling", "Limits", "Output", "Record"
_GROUPS = {
    "target": WHERE,
    "sampling": SAMPLING,
    "limits": LIMITS,
    "storage": OUTPUT,
    "store": OUTPUT,
    "record": RECORD,
    "triggers": RECORD,
}

_OF_RING = frozenset(
    {
        *(("storage", name) for name in ("path", "file_size", "file_time", "files_kept")),
        ("limits", "buffer"),
        ("sampling", "on_pressure"),
    }
)
"""Fields about files that grow, and about rings that are read, which only a recorder on disk has."""
_NOT_RECORDED = frozenset(
    {
        ("storage", "compress"),
        *(("limits", name) for name in ("packets", "forward_packets", "reverse_packets", "bytes")),
        *(("store", name) for name in ("name", "url", "credentials", "known_hosts", "delete", "retry")),
    }
)
"""Fields that no recorder has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """One field of a document; its path from the root is in Python's names and in JSON's."""

    path: tuple[str, ...]
    json_path: tuple[str, ...]
    type: Any
    """Without None."""
    help: str
    declared: Declared
    limits: tuple[Meta, ...] = field(repr=False)
    """Ranges and patterns of the value, or of each value of a list."""

    @property
    def parameter(self) -> str:
        """Unique name of the option's value."""
        return "_".join(self.path)

    @property
    def key(self) -> str:
        """Key in a rule file: the option's long name as Kubernetes would spell it, else the field's name."""
        name = self.declared.option.name if self.declared.option else ""
        name = name[2:].replace("-", "_") if name.startswith("--") else self.path[-1]
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def group(self) -> str:
        """Heading above its option."""
        return _GROUPS.get(self.path[0], WHAT)

    @property
    def is_list(self) -> bool:
        """True if its value is a list."""
        return get_origin(self.type) is list

    def of(self, document: Any) -> Any:
        """Return its value in a document; None or an empty list if it is not given."""
        for name in self.path:
            document = getattr(document, name)
        return document


def is_recorded(field: Field) -> bool:
    """True if a recorder in memory can use the field."""
    return not is_of_ring(field) and field.path not in _NOT_RECORDED


def is_of_ring(field: Field) -> bool:
    """True if only a recorder can use the field that keeps packets in a ring of files."""
    return field.path in _OF_RING


@cache
def fields(document: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the declared fields of a document, those of its parts in their place."""
    return tuple(_walk(document, (), ()))


def _walk(struct: type[msgspec.Struct], path: tuple[str, ...], json_path: tuple[str, ...]) -> Iterator[Field]:
    hints = get_type_hints(struct, include_extras=True)
    for name, json_name in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True):
        hint = hints[name]
        here, in_json = (*path, name), (*json_path, json_name)
        for meta in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
            if meta.extra and DECLARED in meta.extra:
                kind = _without_none(get_args(hint)[0])
                yield Field(
                    path=here,
                    json_path=in_json,
                    type=_bare(kind),
                    help=meta.description,
                    declared=meta.extra[DECLARED],
                    limits=tuple(_metas(kind)),
                )
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _walk(hint, here, in_json)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007 - made while running


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _metas(hint: Any) -> Iterator[Meta]:
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        yield from metas
        yield from _metas(inner)
    elif get_origin(hint) is list:
        yield from _metas(get_args(hint)[0])


def problem(field: Field, value: Any) -> str | None:
    """Return the fault of a value of the right type, like "0 is not at least 1", or None."""
    for meta in field.limits:
        most = (meta.extra or {}).get("le", meta.le)
        for number in value if isinstance(value, list) else [value]:
            if meta.ge is not None and most is not None and not meta.ge <= number <= most:
                return f"{number} is not from {meta.ge} to {most}"
            if meta.ge is not None and number < meta.ge:
                return f"{number} is not at least {meta.ge}"
            if most is not None and number > most:
                return f"{number} is not at most {most}"
            if meta.pattern is not None and not re.search(meta.pattern, number):
                return f"{number!r} does not match {meta.pattern}"
    return None


def choices(field: Field) -> tuple[str, ...]:
    """Return the words that its option accepts; () if it accepts any word."""
    kind = field.type
    if field.declared.option and field.declared.option.choices:
        return field.declared.option.choices
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(member.value for member in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()
