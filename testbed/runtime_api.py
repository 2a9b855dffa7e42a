"""A CRI v1 client that has the whole interface, read from the descriptor in containerd's own binary.

So it owes nothing to capture/pods/cri.proto, and can be held against it.
"""

import zlib
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from testbed.patience import PATIENCE

_BINARY = "/usr/bin/containerd"
_GZIP = b"\x1f\x8b\x08"
_DESCRIPTOR_MAX = 1 << 20


@cache
def descriptor(package: str, file: str) -> descriptor_pb2.FileDescriptorProto:
    """A compressed .proto of a package, without the options of gogoproto, whose own file is elsewhere."""
    content = Path(_BINARY).read_bytes()
    at = content.find(_GZIP)
    while at >= 0:
        found = descriptor_pb2.FileDescriptorProto()
        try:
            found.ParseFromString(zlib.decompressobj(31).decompress(content[at : at + _DESCRIPTOR_MAX]))
        except Exception:
            found.Clear()  # a gzip header by chance, or another file
        if found.package == package and found.name.endswith(file):
            return _without_options(found)
        at = content.find(_GZIP, at + 1)
    raise LookupError(f"{_BINARY} holds no {file} of {package}")


def _without_options(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    del file.dependency[:]
    file.ClearField("options")
    for kind in file.enum_type:
        kind.ClearField("options")
        for value in kind.value:
            value.ClearField("options")
    messages = list(file.message_type)
    for message in messages:
        messages += message.nested_type
        if not message.options.map_entry:
            message.ClearField("options")
        for field in message.field:
            field.ClearField("options")
    return file


class RuntimeApi:
    """Calls by name, with plain values: `api("StopPodSandbox", pod_sandbox_id=...)`."""

    def __init__(self, socket: str) -> None:
        file = descriptor("runtime.v1", "api.proto")
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._message: Any = lambda name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(name.lstrip("."))
        )
        self._methods = {
            method.name: (service.name, method.input_type, method.output_type)
            for service in file.service
            for method in service.method
        }
        self._channel = grpc.insecure_channel(f"unix://{socket}", options=[("grpc.default_authority", "localhost")])

    def __call__(self, method: str, **values: Any) -> Any:
        service, request, answer = self._methods[method]
        call = self._channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self._message(answer).FromString,
        )
        return call(json_format.ParseDict(values, self._message(request)()), timeout=PATIENCE)

    def close(self) -> None:
        self._channel.close()
