"""The Python files beside the protocol files are what the compiler makes of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from capture.pods import containerd_events_pb2, cri_pb2

Messages = Iterable[descriptor_pb2.DescriptorProto]

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("module", [cri_pb2, containerd_events_pb2], ids=lambda module: module.__name__)
def test_the_compiled_protocol_is_current(module: object, tmp_path: Path) -> None:
    """`make proto` compiles it anew."""
    name, out = module.DESCRIPTOR.name, tmp_path / "set"  # type: ignore[attr-defined]
    assert protoc.main(["protoc", f"-I{ROOT}", f"--descriptor_set_out={out}", str(ROOT / name)]) == 0
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    for message in _all_messages(compiled.message_type):
        for field in message.field:
            field.ClearField("json_name")  # left out of what lies in Python
    beside = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)  # type: ignore[attr-defined]
    assert compiled == beside


def _all_messages(messages: Messages) -> Iterator[descriptor_pb2.DescriptorProto]:
    for message in messages:
        yield message
        yield from _all_messages(message.nested_type)
