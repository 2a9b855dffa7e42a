"""One document over another -> one document: the command line over a file.

A value in the upper document overrides the one in the lower; rules and samplers add up. Where to capture counts as
one value: a choice of interfaces or pods in the upper document replaces the whole choice of the lower one.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from capture.request.declaration import Merge
from capture.request.document import Document
from capture.request.fields import Field, fields


def overlay(upper: Document, lower: Document) -> Document:
    """Return the document that both make together."""
    declared = fields(Document)
    chosen = any(field.declared.merge is Merge.CHOOSES and field.of(upper) for field in declared)
    return built({field: _merged(field, upper, lower, chosen) for field in declared})


def _merged(field: Field, upper: Document, lower: Document, chosen: bool) -> Any:
    own, other = field.of(upper), field.of(lower)
    match field.declared.merge:
        case Merge.ADDED:
            return own + other
        case Merge.CHOOSES | Merge.WITH_CHOICE if chosen:
            return own
        case _:
            return other if own is None or own == [] else own


def built(values: Mapping[Field, Any]) -> Document:
    """Return a document with these values."""
    tree: dict[str, Any] = {}
    for field, value in values.items():
        branch = tree
        for name in field.path[:-1]:
            branch = branch.setdefault(name, {})
        branch[field.path[-1]] = value
    document: Document = _struct(Document, tree)
    return document


def _struct(kind: type[Any], tree: Mapping[str, Any]) -> Any:
    types = {member.name: member.type for member in msgspec.structs.fields(kind)}
    return kind(
        **{name: _struct(types[name], value) if isinstance(value, dict) else value for name, value in tree.items()}
    )
