"""A YAML file -> its document. apiVersion and kind choose the reader; a file without them is a rule file."""

import re
from datetime import date
from typing import Any

import msgspec
import yaml

from capture.errors import SpecError
from capture.request.antrea import ANTREA_API_VERSION, AntreaPacketCapture
from capture.request.document import Document
from capture.request.fields import fields
from capture.request.own import API_VERSION, CLUSTER_KIND, KIND, PacketCapture
from capture.request.rulefile import read_rule_file

_OBJECTS: dict[tuple[str, str], type[PacketCapture | AntreaPacketCapture]] = {
    (API_VERSION, KIND): PacketCapture,
    (API_VERSION, CLUSTER_KIND): PacketCapture,
    (ANTREA_API_VERSION, KIND): AntreaPacketCapture,
}
_UNKNOWN = re.compile("unknown field `([^`]+)`")


def read_file(path: str) -> Document:
    """Read a file. Raises SpecError with the file, the place in it and the reason."""
    try:
        with open(path, "rb") as file:
            return parse_file(path, file.read())
    except OSError as error:
        raise SpecError(f"file {path} cannot be read: {error.strerror}") from None


def parse_file(path: str, text: bytes) -> Document:
    """Return the document of a file's text; `path` is for messages."""
    try:
        found = yaml.load(text, _Loader)
    except Exception as error:
        # Not only YAMLError: PyYAML also raises other errors, like ValueError for 2026-13-45.
        raise SpecError(f"file {path} is not one YAML document: {' '.join(str(error).split())}") from None
    return parse_document(path, found)


class _Loader(yaml.SafeLoader):
    """Loader that refuses a mapping with a key twice; YAML would use the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"found {repeated!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse_document(path: str, found: Any) -> Document:
    """Return the document of what YAML makes of a file: dicts, lists, words and numbers."""
    is_object = isinstance(found, dict) and ("kind" in found or "apiVersion" in found)
    label = f"{KIND} {path}" if is_object else f"rule file {path}"
    try:
        if not is_object:
            return read_rule_file(_as_json(found, keep_null=True))
        return msgspec.convert(_as_json(found), _kind(found)).document()
    except SpecError as error:
        raise SpecError(f"{label}: {error}") from None
    except msgspec.ValidationError as error:
        raise SpecError(f"{label}: {error}{_elsewhere(str(error), found)}") from None
    except RecursionError:
        raise SpecError(f"{label} contains itself; leave the alias (*) out") from None


def _kind(found: dict[str, Any]) -> type[PacketCapture | AntreaPacketCapture]:
    version_and_kind = str(found.get("apiVersion")), str(found.get("kind"))
    if version_and_kind not in _OBJECTS:
        known = " or ".join(f"apiVersion {version} with kind {kind}" for version, kind in _OBJECTS)
        raise SpecError(
            f"apiVersion {version_and_kind[0]} with kind {version_and_kind[1]} is not known; known are {known}"
        )
    return _OBJECTS[version_and_kind]


def _elsewhere(error: str, found: Any) -> str:
    """Return where to give a field that Antrea's object does not have; "" for other errors."""
    unknown = _UNKNOWN.search(error)
    if unknown is None or not isinstance(found, dict) or found.get("apiVersion") != ANTREA_API_VERSION:
        return ""
    for field in fields(Document):
        if field.declared.option and unknown[1] in (field.json_path[-1], field.key):
            return f"; Antrea's PacketCapture does not have it, give {field.declared.option.name} on the command line"
    return ""


def _as_json(value: Any, keep_null: bool = False) -> Any:
    """Return a value as Kubernetes reads it: null is not given, and a time, which YAML converts, is text."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if keep_null or inner is not None}
        return {key: _as_json(inner, keep_null) for key, inner in kept.items()}
    if isinstance(value, list):
        return [_as_json(inner, keep_null) for inner in value]
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date
