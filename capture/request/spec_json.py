"""A CaptureSpec -> the `spec` of a summary: plain values, by the names that the declaration gives them."""

from enum import Enum
from typing import Any

from capture.request.document import Document
from capture.request.fields import fields
from capture.spec import CaptureSpec

_ONLY_IF_GIVEN = ("pods", "conversations", "expression", "recording")


def spec_as_json(spec: CaptureSpec) -> dict[str, Any]:
    """Return the whole spec. A field without a value is null; pods, conversations, expression and recording are left
    out."""
    plain: dict[str, Any] = {}
    for field in fields(Document):
        declared = field.declared
        if declared.meaning is None:
            continue
        first, *rest = declared.meaning.split(".")
        value = getattr(spec, first)
        if value is None and first in _ONLY_IF_GIVEN:
            continue
        for name in rest:
            value = getattr(value, name)
        *parents, key = (declared.summary or declared.meaning).split(".")
        part = plain
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = declared.written(value) if declared.written else _plain(value)
    return plain


def sampling_as_json(spec: CaptureSpec) -> dict[str, Any]:
    """Return the part that decides which of the matching packets are kept."""
    whole = spec_as_json(spec)
    meant = {field.declared.summary: field.declared.meaning or "" for field in fields(Document)}
    return {name: whole[name] for name, meaning in meant.items() if name and meaning.startswith("sampling.")}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return value if all(isinstance(item, str) for item in value) and value else [_plain(item) for item in value]
    return str(value)
