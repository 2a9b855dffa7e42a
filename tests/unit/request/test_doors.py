"""Every field can be given in every form, or is refused there with its reason; the line overrides a file."""

import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from capture.errors import SpecError
from capture.request.convert import spec_of
from capture.request.crd import schema
from capture.request.declaration import Option
from capture.request.document import Document, as_json
from capture.request.fields import Field, choices, fields
from capture.request.kubernetes import DIRECTIONS
from capture.request.manifest import parse_document
from capture.request.naming import FieldName
from capture.request.overlay import overlay
from capture.request.rules import plain_rule, read_rules
from capture.request.spec_json import spec_as_json
from capture.spec import CaptureSpec
from capture.wire.direction import Direction
from testbed import generate
from tests.unit.request.asked import line, line_context

DECLARED = fields(Document)
OPTIONS = [field for field in DECLARED if field.declared.option]
SWITCHES = [field for field in OPTIONS if field.type is bool]
RANGES = [field for field in OPTIONS if any(meta.ge is not None for meta in field.limits)]
OBJECT = {"apiVersion": "bicap.io/v1alpha1", "kind": "PacketCapture", "metadata": {"name": "pc"}}
ANTREA = OBJECT | {"apiVersion": "crd.antrea.io/v1alpha1"}


def names(declared: list[Field]) -> list[str]:
    return [".".join(field.path) for field in declared]


def option_of(field: Field) -> Option:
    assert field.declared.option is not None
    return field.declared.option


def written(tmp_path: Path, found: dict[str, Any]) -> str:
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(found))
    return str(tmp_path / "f.yaml")


def nested(field: Field, value: Any) -> dict[str, Any]:
    *parents, name = field.json_path
    found = {name: value}
    for parent in reversed(parents):
        found = {parent: found}
    return found


# A value of each field: words of the option, the value in a rule file, the value in an object.
VALUES: dict[str, tuple[list[str], Any, Any]] = {
    "bidirectional": (["--bidirectional"], True, True),
    "direction": (["--direction", "reverse"], "reverse", "DestinationToSource"),
    "target.pods": (["--pod", "shop/web-0"], ["shop/web-0"], [{"namespace": "shop", "name": "web-0"}]),
    "target.namespaces": (["--namespace", "shop"], ["shop"], ["shop"]),
    "target.selector": (["-l", "app"], "app", {"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
    "target.containers": (["--container", "nginx"], ["nginx"], ["nginx"]),
    "target.interfaces": (["-i", "eth0"], ["eth0"], ["eth0"]),
    "target.pids": (["--pid", "7"], [7], [7]),
    "target.all_pods": (["--all-pods"], True, True),
    "target.own": (["--self"], True, True),
    "target.point": (["--point", "both"], "both", "Both"),
    "target.wait": (["--wait"], True, True),
    "target.cri_sockets": (["--cri-socket", "/run/a"], ["/run/a"], ["/run/a"]),
    "target.pods_file": (["--pods-file", "pods.json"], "pods.json", "pods.json"),
    "target.netns": (["--netns", "pods"], "pods", "pods"),
    "target.hook": (["--hook", "xdp"], "xdp", "xdp"),
    "conversations": (["--conversations", "list.txt"], "list.txt", {"file": "list.txt"}),
    "expression": (["udp", "port", "53"], "udp port 53", "udp port 53"),
    "inner": (["--inner"], True, True),
    "icmp_errors": (["--no-icmp-errors"], False, False),
    "reasons": (["--reasons"], True, True),
    "sampling.samplers": (["--sample", "flow:1/10"], ["flow:1/10"], ["flow:1/10"]),
    "sampling.seed": (["--sample-seed", "7"], 7, 7),
    "sampling.keep_control": (["--no-keep-control"], False, False),
    "sampling.headers_only": (["--headers-only"], True, True),
    "sampling.snaplen": (["-s", "128"], 128, 128),
    "sampling.on_pressure": (["--on-pressure", "truncate,sample"], ["truncate,sample"], ["truncate", "sample"]),
    "limits.packets": (["-c", "5"], 5, 5),
    "limits.forward_packets": (["--count-forward", "5"], 5, 5),
    "limits.reverse_packets": (["--count-reverse", "5"], 5, 5),
    "limits.bytes": (["--max-bytes", "1MB"], "1MB", "1MB"),
    "limits.duration": (["--duration", "90s"], "90s", "90s"),
    "limits.start_at": (["--start-at", "2090-01-01T00:00:00Z"], "2090-01-01T00:00:00Z", "2090-01-01T00:00:00Z"),
    "limits.stop_at": (["--stop-at", "2090-01-01T00:00:00Z"], "2090-01-01T00:00:00Z", "2090-01-01T00:00:00Z"),
    "limits.buffer": (["--buffer", "8MiB"], "8MiB", "8MiB"),
    "storage.path": (["-w", "f.pcapng"], "f.pcapng", "f.pcapng"),
    "storage.file_size": (["-C", "64MiB"], "64MiB", 64 << 20),
    "storage.file_time": (["-G", "1h"], "1h", "1h"),
    "storage.files_kept": (["-W", "3"], 3, 3),
    "storage.compress": (["--compress", "zstd"], "zstd", "zstd"),
    "storage.unique": (["--unique"], True, True),
    "storage.comment": (["--capture-comment", "before the change"], "before the change", "before the change"),
    "storage.user": (["--user", "nobody"], "nobody", "nobody"),
    "storage.min_free": (["--min-free", "5%"], "5%", "5%"),
    "store.url": (["--store", "s3://captures/shop"], "s3://captures/shop", "s3://captures/shop"),
    "store.credentials": (["--store-credentials", "/etc/bicap/s3"], "/etc/bicap/s3", "/etc/bicap/s3"),
    "store.known_hosts": (["--store-known-hosts", "/etc/bicap/hosts"], "/etc/bicap/hosts", "/etc/bicap/hosts"),
    "store.delete": (["--store-delete"], True, True),
    "store.retry": (["--store-retry", "10m"], "10m", "10m"),
    "record.before": (["--before", "90s"], "90s", "90s"),
    "record.after": (["--after", "5s"], "5s", "5s"),
    "record.memory": (["--memory", "64MiB"], "64MiB", "64MiB"),
    "record.folder": (["--incidents", "/incidents"], "/incidents", "/incidents"),
    "record.cooldown": (["--cooldown", "5m"], "5m", "5m"),
    "record.kept": (["--max-incidents", "3"], 3, 3),
    "record.size": (["--incidents-size", "1GiB"], "1GiB", "1GiB"),
    "record.age": (["--incidents-age", "1d"], "1d", "1d"),
    "triggers": (["--trigger", "rst>0"], ["rst>0"], ["rst>0"]),
}


def test_each_field_has_a_value_here() -> None:
    assert names(OPTIONS) == list(VALUES)


@pytest.mark.parametrize("field", OPTIONS, ids=names(OPTIONS))
def test_a_field_is_the_same_on_a_line_in_a_rule_file_and_in_an_object(tmp_path: Path, field: Field) -> None:
    words, in_rules, in_object = VALUES[".".join(field.path)]
    said = line(*words)
    assert as_json(said) != {}
    assert parse_document("f.yaml", {field.key: in_rules}) == said
    spec = nested(field, in_object)
    if field.declared.refused:
        with pytest.raises(SpecError) as refused:
            parse_document("f.yaml", OBJECT | {"spec": spec})
        path = ".".join(("spec", *field.json_path))
        assert str(refused.value) == f"PacketCapture f.yaml: {path}: {field.declared.refused}"
        assert str(refused.value).endswith(f"; give {words[0]} there")
    else:
        assert parse_document("f.yaml", OBJECT | {"spec": spec}) == said


def test_a_number_in_a_rule_file_is_the_word_of_the_option() -> None:
    found = parse_document("f.yaml", {"duration": 90, "fileSize": 1.5, "fileTime": 60, "buffer": 1 << 20, "netns": 5})
    assert found == line("--duration", "90", "-C", "1.5", "-G", "60", "--buffer", "1048576", "--netns", "5")
    assert spec_of(overlay(line("-i", "eth0"), found)).storage.file_bytes == 1_500_000


@pytest.mark.parametrize("field", OPTIONS, ids=names(OPTIONS))
def test_a_document_is_plain_json_and_back(field: Field) -> None:
    said = line(*VALUES[".".join(field.path)][0])
    assert msgspec.convert(json.loads(json.dumps(as_json(said))), Document) == said


def test_a_whole_document_is_plain_json_and_back() -> None:
    words = [word for path, (some, _, _) in VALUES.items() if path not in NOT_TOGETHER for word in some]
    said = line(*words, "--source", "shop/web-0:80", "--destination", "10.0.0.0/8", "--protocol", "tcp")
    assert msgspec.convert(json.loads(json.dumps(as_json(said))), Document) == said


NOT_TOGETHER = {"bidirectional", "target.interfaces", "target.selector", "target.all_pods", "target.own",
                "target.namespaces", "target.pids"}  # fmt: skip


ANTREAS_OWN = {"direction"}


@pytest.mark.parametrize("field", OPTIONS, ids=names(OPTIONS))
def test_antreas_object_refuses_other_fields_and_names_the_option_that_has_them(field: Field) -> None:
    spec: dict[str, Any] = {"captureConfig": {"firstN": {"number": 5}}, "source": {"pod": {"name": "web-0"}}}
    if field.path[0] in ANTREAS_OWN:
        return
    with pytest.raises(SpecError) as refused:
        parse_document("f.yaml", ANTREA | {"spec": spec | {field.json_path[-1]: 1}})
    assert re.fullmatch(
        f"PacketCapture f.yaml: Object contains unknown field `{field.json_path[-1]}` - at `.*`; Antrea's "
        f"PacketCapture does not have it, give {option_of(field).name} on the command line",
        str(refused.value),
    )


@pytest.mark.parametrize("form", ["rule file", "object"])
@pytest.mark.parametrize("field", SWITCHES, ids=names(SWITCHES))
def test_every_switch_of_a_file_can_be_switched_off(tmp_path: Path, field: Field, form: str) -> None:
    if form == "object" and field.declared.refused:
        return
    name = option_of(field).names[0]
    file = {field.key: True} if form == "rule file" else OBJECT | {"spec": nested(field, True)}
    path = written(tmp_path, file)
    on, off = line("-f", path), line("-f", path, f"--no-{name[2:]}")
    if field.path == ("bidirectional",):
        assert (on.direction, off.direction) == ("Both", "SourceToDestination")
    else:
        assert (field.of(on), field.of(off)) == (True, False)


@pytest.mark.parametrize("field", RANGES, ids=names(RANGES))
def test_the_range_of_an_option_is_that_of_the_crd(tmp_path: Path, field: Field) -> None:
    node = schema()["properties"]["spec"]
    for name in field.json_path:
        node = node["properties"][name]
    option, least = option_of(field).names[-1], node["minimum"]
    assert field.of(line(option, str(least))) == least
    assert field.of(line("-f", written(tmp_path, {field.key: least}))) == least
    for words in ([option, str(least - 1)], ["-f", written(tmp_path, {field.key: least - 1})]):
        with pytest.raises(SpecError, match=rf"{least - 1} is not (at least|from) {least}"):
            line(*words)
    if "maximum" in node and node["maximum"] < 2**53 - 1:
        with pytest.raises(SpecError, match=f"is not from {least} to {node['maximum']}"):
            line(option, str(node["maximum"] + 1))


def test_the_choices_of_an_option_are_those_of_the_crd() -> None:
    spec = schema()["properties"]["spec"]
    for field in OPTIONS:
        if field.type is bool or field.is_list or not choices(field):
            continue
        node = spec
        for name in field.json_path:
            node = node["properties"][name]
        words = option_of(field).words
        found = {words(word, "x") if words else word for word in choices(field)}
        assert {getattr(one, "value", one) for one in found} == set(node["enum"])


def test_the_defaults_of_the_crd_are_those_of_a_spec() -> None:
    spec: dict[str, Any] = {}
    for field in DECLARED:
        if field.declared.default is not None and not field.declared.refused:
            part = spec
            for name in field.json_path[:-1]:
                part = part.setdefault(name, {})
            part[field.json_path[-1]] = field.declared.default
    spec["target"]["interfaces"] = ["eth0"]
    found = parse_document("f.yaml", OBJECT | {"spec": spec})
    assert spec_of(found) == CaptureSpec(interfaces=("eth0",))


@pytest.mark.parametrize("seed", range(200))
def test_a_rule_is_the_same_after_a_document(seed: int) -> None:
    rule = generate.rule(random.Random(seed))
    plain = plain_rule(rule)
    assert read_rules([plain], FieldName("rules")) == (rule,)
    assert msgspec.convert(msgspec.to_builtins(plain), type(plain)) == plain


def test_an_old_name_of_an_option_is_accepted_and_not_shown(tmp_path: Path) -> None:
    assert line("--sessions", "list.txt") == line("--conversations", "list.txt")
    with line_context("-i", "eth0") as context:
        assert "--conversations FILE" in context.get_help()
        assert "--sessions" not in context.get_help()


TUPLES = ["tcp 10.0.0.1:4000 10.0.0.2:80", "udp [fd00::1]:5353 [fd00::2]:53"]


@pytest.mark.parametrize(
    "found",
    [{"conversations": TUPLES, "interface": ["eth0"]},
     OBJECT | {"spec": {"conversations": {"tuples": TUPLES}, "target": {"interfaces": ["eth0"]}}}],
    ids=["rule file", "object"],
)  # fmt: skip
def test_conversations_are_listed_in_a_file(found: dict[str, Any]) -> None:
    spec = spec_of(parse_document("f.yaml", found))
    assert spec.conversations is not None
    assert [str(one) for one in spec.conversations.conversations] == [
        "tcp 10.0.0.1:4000 > 10.0.0.2:80", "udp [fd00::1]:5353 > [fd00::2]:53",
    ]  # fmt: skip
    assert spec_as_json(spec)["conversations"] == {"from": None, "conversations": 2}


NOT_CONVERSATIONS: list[tuple[dict[str, Any], str]] = [
    ({"tuples": ["tcp 10.0.0.1:4000"]}, "spec.conversations.tuples[0]: 'tcp 10.0.0.1:4000' is not: protocol"),
    ({"tuples": ["udp 10.0.0.1:1 10.0.0.2:2", "udp 10.0.0.2:2 10.0.0.1:1"]},
     "spec.conversations.tuples[1]: udp 10.0.0.2:2 > 10.0.0.1:1 is the reverse of spec.conversations.tuples[0]; "),
    ({"tuples": ["udp 10.0.0.1:1 10.0.0.2:2"], "file": "list.txt"},
     "spec.conversations: file and tuples do not combine; give one of them"),
    ({}, "spec.conversations is empty; give a file or tuples"),
    ({"file": ""}, "Expected `str` of length >= 1 - at `$.spec.conversations.file`"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), NOT_CONVERSATIONS, ids=[case[1] for case in NOT_CONVERSATIONS])
def test_wrong_conversations_are_named_with_their_place(words: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_document("f.yaml", OBJECT | {"spec": {"conversations": words}})
    assert str(refused.value).startswith(f"PacketCapture f.yaml: {said}")


def test_a_document_from_json_may_have_bidirectional() -> None:
    one = {"target": {"interfaces": ["eth0"]}, "bidirectional": False}
    assert spec_of(msgspec.convert(one, Document)).direction is Direction.FORWARD
    with pytest.raises(SpecError, match="contradict each other"):
        spec_of(msgspec.convert(one | {"direction": "Both"}, Document))


def test_a_line_without_a_direction_leaves_that_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, {"direction": "reverse"})
    assert line("-f", path).direction == "DestinationToSource"
    assert line("-f", path, "--bidirectional").direction == "Both"
    assert set(DIRECTIONS) == {"Both", "SourceToDestination", "DestinationToSource"}
