"""Our part of the runtime's protocol has the names, numbers and types of the whole, as containerd has it built in."""

from collections.abc import Iterable

import pytest
from google.protobuf import descriptor_pb2

from capture.pods import containerd_events_pb2, cri_pb2
from testbed.runtime_api import descriptor

PROTOCOLS = {
    "CRI": (cri_pb2, "api.proto"),
    "containerd's events": (containerd_events_pb2, "events.proto"),
}


@pytest.mark.parametrize(("module", "file"), PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_ours_is_a_part_of_theirs(module: object, file: str) -> None:
    ours = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)  # type: ignore[attr-defined]
    theirs = descriptor(ours.package, file)
    assert _fields(ours.message_type) <= _fields(theirs.message_type)
    assert _values(ours.enum_type) <= _values(theirs.enum_type)
    assert _fields(ours.message_type)


def test_the_methods_we_call_are_there() -> None:
    found = {
        (service.name, method.name, method.input_type, method.output_type, method.server_streaming)
        for service in descriptor("runtime.v1", "api.proto").service
        for method in service.method
    }
    for name in ("ListPodSandbox", "PodSandboxStatus", "ListContainers"):
        assert ("RuntimeService", name, f".runtime.v1.{name}Request", f".runtime.v1.{name}Response", False) in found
    request, answer = ".runtime.v1.GetEventsRequest", ".runtime.v1.ContainerEventResponse"
    assert ("RuntimeService", "GetContainerEvents", request, answer, True) in found


def _fields(messages: Iterable[descriptor_pb2.DescriptorProto]) -> set[tuple[object, ...]]:
    return {
        (message.name, field.name, field.number, field.type, field.label, field.type_name)
        for message in messages
        for field in message.field
    }


def _values(kinds: Iterable[descriptor_pb2.EnumDescriptorProto]) -> set[tuple[object, ...]]:
    return {(kind.name, value.name, value.number) for kind in kinds for value in kind.value}
