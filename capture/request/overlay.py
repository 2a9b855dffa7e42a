"""One document over another -> one document: the command line over a file.

The upper one goes before the lower where both say what can only be one thing; rules and samplers add up. Where to
capture is one thing: a choice of interfaces or pods in the upper document takes the place of the whole choice below.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from capture.request.declaration import Merge
from capture.request.document import Document
from capture.request.fields import Field, fields


def overlay(upper: Document, lower: Document) -> Document:
    """Return what both ask for together."""
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
    parts = {one.name: one.type for one in msgspec.structs.fields(kind)}
    return kind(**{name: _struct(parts[name], one) if isinstance(one, dict) else one for name, one in tree.items()})
