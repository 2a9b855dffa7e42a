"""A CRD's schema and an object -> what an API server with CEL says of it: Google's implementation runs the rules.

The server compiles a rule against the types of the schema, so that a name which is not there is an error of the CRD;
here the schema becomes a protobuf message for that. The rules then run on plain values, as on the server: an empty
list is there, and a field without a value is not.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2

_ESCAPED = {"namespace": "__namespace__"}
_SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "integer": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "boolean": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}
_VALUES = cel.NewEnv(variables={"self": cel.Type.DYN})


def schema_rules(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """Return path, schema, rule and message of all rules of a schema."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield path, node, rule["rule"], rule["message"]
    for name, child in node.get("properties", {}).items():
        yield from schema_rules(child, f"{path}.{name}" if path else name)
    if "items" in node:
        yield from schema_rules(node["items"], f"{path}[]")


def compile_typed(node: dict[str, Any], rule: str) -> Any:
    """Compile a rule against the types of a schema; raises if a name or a type is wrong."""
    file = descriptor_pb2.FileDescriptorProto(name="schema.proto", package="schema", syntax="proto2")
    file.dependency.extend([timestamp_pb2.DESCRIPTOR.name, struct_pb2.DESCRIPTOR.name])
    _message(file.message_type.add(name="Self"), node, ".schema.Self")
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, struct_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    environment = cel.NewEnv(descriptor_pool=pool, variables={"self": cel.Type("schema.Self")})
    return environment.compile(rule)


def _message(message: Any, node: dict[str, Any], full_name: str) -> None:
    for number, (name, child) in enumerate(node.get("properties", {}).items(), start=1):
        is_list = child.get("type") == "array"
        inner = child["items"] if is_list else child
        field = message.field.add(name=_ESCAPED.get(name, name), number=number)
        field.label = field.LABEL_REPEATED if is_list else field.LABEL_OPTIONAL
        if inner.get("format") == "date-time":
            field.type, field.type_name = field.TYPE_MESSAGE, ".google.protobuf.Timestamp"
        elif inner.get("type") in _SCALARS:
            field.type = _SCALARS[inner["type"]]
        elif "properties" in inner:
            nested = message.nested_type.add(name=f"T{number}")
            field.type, field.type_name = field.TYPE_MESSAGE, f"{full_name}.T{number}"
            _message(nested, inner, field.type_name)
        elif "additionalProperties" in inner:
            field.type, field.type_name = field.TYPE_MESSAGE, ".google.protobuf.Struct"
        else:
            field.type, field.type_name = field.TYPE_MESSAGE, ".google.protobuf.Value"


def refusals(node: dict[str, Any], value: Any) -> Iterator[str]:
    """Return the messages of the rules that an object breaks; its defaults are filled in."""
    for rule in node.get("x-kubernetes-validations", ()):
        activation = {"self": _plain(node, value)}
        result = _compiled(rule["rule"]).eval(data=activation).value()
        assert isinstance(result, bool), f"{rule['rule']} is {result!r} for {value}"
        if not result:
            yield rule["message"]
    for name, child in node.get("properties", {}).items():
        if name in value:
            yield from refusals(child, value[name])
    if "items" in node:
        for item in value:
            yield from refusals(node["items"], item)


@cache
def _compiled(rule: str) -> Any:
    return _VALUES.compile(rule)


def with_defaults(node: dict[str, Any], value: Any) -> Any:
    """Return a value with the defaults of its schema, as the API server fills them in."""
    if isinstance(value, list):
        return [with_defaults(node["items"], item) for item in value]
    if not isinstance(value, dict) or "properties" not in node:
        return value
    defaults = {name: child["default"] for name, child in node["properties"].items() if "default" in child}
    return {name: with_defaults(node["properties"][name], inner) for name, inner in (defaults | value).items()}


def _plain(node: dict[str, Any], value: Any) -> Any:
    """Return a value as rules have it: names escaped, times as numbers, which compare alike."""
    if isinstance(value, list):
        return [_plain(node.get("items", {}), item) for item in value]
    if isinstance(value, dict):
        children = node.get("properties", {})
        return {_ESCAPED.get(name, name): _plain(children.get(name, {}), inner) for name, inner in value.items()}
    return datetime.fromisoformat(value).timestamp() if node.get("format") == "date-time" else value
