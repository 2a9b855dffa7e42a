"""Our PacketCapture: fields -> values of the spec; an error has the path of the field."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.errors import SpecError
from capture.filters.expression import parse_expression
from capture.filters.podname import PodName
from capture.filters.rule import Rule
from capture.filters.ruletext import RuleText
from capture.request.document import Document, TargetPart
from capture.request.spec_json import spec_as_json
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_sampler
from capture.selection.labels import parse_selector
from capture.selection.selection import PodEnd, Selection
from capture.spec import CaptureSpec
from capture.storage import MinFree
from capture.wire.direction import Direction
from tests.unit.request.asked import DocumentValues, parse_document, parse_file, read_file

EXAMPLES = Path(__file__).parents[3] / "examples"
S = 10**9


def asked(**spec: Any) -> DocumentValues:
    found = {"apiVersion": "bicap.io/v1alpha1", "kind": "PacketCapture"}
    return parse_document("pc.yaml", found | {"metadata": {"name": "pc", "namespace": "shop"}, "spec": spec})


def test_an_empty_spec_has_the_defaults() -> None:
    spec = DocumentValues(Document(target=TargetPart(interfaces=["eth0"]))).over(asked()).spec()
    assert spec == CaptureSpec(interfaces=("eth0",))


FIELDS: list[tuple[dict[str, Any], str, Any]] = [
    # the spec, a field of what is asked for, its value
    ({"bidirectional": True}, "direction", Direction.BOTH),
    ({"bidirectional": False}, "direction", Direction.FORWARD),
    ({"bidirectional": True, "direction": "Both"}, "direction", Direction.BOTH),
    ({"bidirectional": False, "direction": "DestinationToSource"}, "direction", Direction.REVERSE),
    ({"direction": "SourceToDestination"}, "direction", Direction.FORWARD),
    ({"inner": True}, "inner", True),
    ({"icmpErrors": False}, "icmp_errors", False),
    ({"expression": "udp port 53"}, "expression", parse_expression("udp port 53")),
    ({"target": {"interfaces": ["eth0", "eth1"]}}, "interfaces", ("eth0", "eth1")),
    ({"sampling": {"samplers": ["flow:10%", "reverse=first:5"]}}, "samplers",
     (parse_sampler("flow:10%"), parse_sampler("reverse=first:5"))),
    ({"sampling": {"seed": 7}}, "sample_seed", 7),
    ({"sampling": {"keepControl": False}}, "keep_control", False),
    ({"sampling": {"headersOnly": True}}, "headers_only", True),
    ({"sampling": {"snaplen": 128}}, "snaplen", 128),
    ({"sampling": {"onPressure": ["truncate", "sample"]}}, "on_pressure", (OnPressure.TRUNCATE, OnPressure.SAMPLE)),
    ({"limits": {"packets": 5}}, "count", 5),
    ({"limits": {"forwardPackets": 5}}, "count_forward", 5),
    ({"limits": {"reversePackets": 5}}, "count_reverse", 5),
    ({"limits": {"bytes": "1Gi"}}, "max_bytes", 1 << 30),
    ({"limits": {"bytes": "500M"}}, "max_bytes", 500_000_000),
    ({"limits": {"bytes": 4096}}, "max_bytes", 4096),
    ({"limits": {"duration": "1h30m"}}, "duration_ns", 5400 * S),
    ({"limits": {"duration": 90}}, "duration_ns", 90 * S),
    ({"limits": {"startAt": "2026-11-24T18:30:00Z"}}, "start_at_ns",
     int(datetime(2026, 11, 24, 18, 30, tzinfo=UTC).timestamp()) * S),
    ({"limits": {"stopAt": "2026-11-24T20:30:00+02:00"}}, "stop_at_ns",
     int(datetime(2026, 11, 24, 18, 30, tzinfo=UTC).timestamp()) * S),
    ({"limits": {"buffer": "8Mi"}}, "buffer_bytes", 8 << 20),
    ({"storage": {"path": "/tmp/x.pcapng"}}, "output", "/tmp/x.pcapng"),
    ({"storage": {"fileSize": "256Mi"}}, "file_bytes", 256 << 20),
    ({"storage": {"fileSize": 1000}}, "file_bytes", 1000),
    ({"storage": {"fileTime": "1h"}}, "file_ns", 3600 * S),
    ({"storage": {"filesKept": 8}}, "files_kept", 8),
    ({"storage": {"compress": "zstd"}}, "compress", "zstd"),
    ({"storage": {"user": "nobody"}}, "user", "nobody"),
    ({"storage": {"minFree": "10%"}}, "min_free", MinFree(percent=10)),
    ({"storage": {"minFree": "2Gi"}}, "min_free", MinFree(bytes=2 << 30)),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "field", "value"), FIELDS, ids=[str(case[0]) for case in FIELDS])
def test_fields_become_values_of_the_spec(spec: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(asked(**spec), field) == value


TARGETS: list[tuple[dict[str, Any], Selection | None]] = [
    ({}, None),
    ({"interfaces": ["eth0"]}, None),
    ({"pods": [{"name": "web-0"}, {"namespace": "bank", "name": "api-0"}]},
     Selection(pods=(PodName("shop", "web-0"), PodName("bank", "api-0")))),
    ({"namespaces": ["shop", "bank"]}, Selection(namespaces=("shop", "bank"))),
    ({"selector": {"matchLabels": {"app": "web", "tier": ""}}}, Selection(labels=parse_selector("app=web,tier="))),
    ({"selector": {"matchExpressions": [
        {"key": "env", "operator": "In", "values": ["prod", "stage"]},
        {"key": "tier", "operator": "NotIn", "values": ["db"]},
        {"key": "app", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]}, "namespaces": ["shop"]},
     Selection(labels=parse_selector("env in (prod,stage),tier!=db,app,!old"), namespaces=("shop",))),
    ({"containers": ["nginx", "containerd://0123456789ab"]}, Selection(containers=("nginx", "0123456789ab"))),
    ({"allPods": True, "wait": True}, Selection(everything=True, wait=True)),
    ({"point": "Source"}, Selection(point=PodEnd.SOURCE)),
    ({"point": "Destination"}, Selection(point=PodEnd.DESTINATION)),
    ({"point": "Both"}, Selection(point=PodEnd.BOTH)),
]  # fmt: skip


@pytest.mark.parametrize(("target", "pods"), TARGETS, ids=[str(case[0]) for case in TARGETS])
def test_targets(target: dict[str, Any], pods: Selection | None) -> None:
    assert asked(target=target).pods == pods


def rule(**words: str) -> Rule:
    return RuleText(**words).rule()


RULES: list[tuple[dict[str, Any], Rule]] = [
    ({}, Rule()),
    ({"protocol": "any"}, Rule()),
    ({"source": {"ip": "10.0.0.1"}, "destination": {"ports": [80, "8000-8100"]}, "protocol": "TCP"},
     rule(source="10.0.0.1", destination=":80,8000-8100", protocol="tcp")),
    ({"source": {"cidr": "fd00::/8", "ports": [5]}, "protocol": 17}, rule(source="[fd00::/8]:5", protocol="udp")),
    ({"source": {"ip": "fd00::1"}}, rule(source="fd00::1")),
    ({"source": {"pod": {"name": "web-0"}}}, rule(source="shop/web-0")),
    ({"destination": {"pod": {"namespace": "bank", "name": "api-0"}, "ports": [80]}},
     rule(destination="bank/api-0:80")),
    ({"family": "IPv6", "protocol": "Sctp"}, rule(family="6", protocol="sctp")),
    ({"protocol": "TCP", "tcpFlags": "syn,!ack"}, rule(protocol="tcp", tcp_flags="syn,!ack")),
    ({"protocol": "TCP", "tcpFlags": "syn", "answerTcpFlags": "rst"},
     rule(protocol="tcp", tcp_flags="syn", answer_tcp_flags="rst")),
    ({"protocol": "ICMP", "icmpTypes": ["echo-request", 3, "11/0"]},
     rule(protocol="icmp", icmp_type="echo-request,3,11/0")),
    ({"protocol": "ICMPv6", "icmpTypes": [128], "answerIcmpTypes": [1]},
     rule(protocol="icmpv6", icmp_type="128", answer_icmp_type="1")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), RULES, ids=[str(case[1]) for case in RULES])
def test_rules_are_those_of_the_command_line(words: dict[str, Any], expected: Rule) -> None:
    assert asked(rules=[words]).rules == (expected,)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"bidirectional": True, "direction": "SourceToDestination"},
     "spec.bidirectional true and spec.direction SourceToDestination contradict each other; give one of them"),
    ({"bidirectional": False, "direction": "Both"}, "spec.bidirectional false and spec.direction Both contradict"),
    ({"direction": "forward"}, "Invalid enum value 'forward' - at `$.spec.direction`"),
    ({"captureConfig": {}}, "Object contains unknown field `captureConfig` - at `$.spec`"),
    ({"target": {"pod": "x"}}, "Object contains unknown field `pod` - at `$.spec.target`"),
    ({"target": {"pods": [{"namespace": "shop"}]}},
     "Object missing required field `name` - at `$.spec.target.pods[0]`"),
    ({"target": {"pods": [{"name": "a"}, {"name": "B"}]}}, "spec.target.pods[1] 'shop/B': 'B' is not a pod name"),
    ({"target": {"namespaces": ["Shop"]}}, "spec.target.namespaces: 'Shop' is not a namespace name"),
    ({"target": {"containers": ["a b"]}}, "spec.target.containers: 'a b' is not a container name or ID"),
    ({"target": {"pods": [{"name": "a"}], "allPods": True}}, "pod and all-pods do not combine"),
    ({"target": {"selector": {}}}, "spec.target.selector is empty, and selects every pod; give allPods: true"),
    ({"target": {"selector": {"matchLabels": {"a b": "c"}}}}, "spec.target.selector: 'a b' is not a label key"),
    ({"target": {"selector": {"matchLabels": {"app": 1}}}},
     "Expected `str`, got `int` - at `$.spec.target.selector."),
    ({"target": {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
     "spec.target.selector: a In needs values"),
    ({"target": {"selector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}}, "Invalid enum value 'Gt'"),
    ({"rules": [{}, {"source": {"pod": {"name": "a"}, "ip": "10.0.0.1"}}]},
     "spec.rules[1].source: pod and ip do not combine; give one of them"),
    ({"rules": [{"source": {"ip": "10.0.0.0/8"}}]}, "spec.rules[0].source.ip '10.0.0.0/8' is not an address alone"),
    ({"rules": [{"source": {"ip": "shop/web-0"}}]}, "spec.rules[0].source.ip 'shop/web-0' is not an address alone"),
    ({"rules": [{"source": {"ip": "any"}}]}, "spec.rules[0].source.ip 'any' is not an address alone"),
    ({"rules": [{"source": {"cidr": "10.0.0.1:80"}}]},
     "spec.rules[0].source.cidr '10.0.0.1:80' is not a network alone"),
    ({"rules": [{"source": {"cidr": "10.0.0.0/33"}}]},
     "spec.rules[0].source.cidr '10.0.0.0/33': '10.0.0.0/33' is no"),
    ({"rules": [{"source": {"ports": [80, "x"]}}]}, "spec.rules[0].source.ports: port 'x' is not a number"),
    ({"rules": [{"source": {"ports": [65536]}}]}, "Expected `int` <= 65535 - at `$.spec.rules[0].source.ports[0]`"),
    ({"rules": [{"protocol": "UDP", "tcpFlags": "syn"}]},
     "spec.rules[0]: TCP flags are given, but protocol is udp"),
    ({"rules": [{"protocol": "xyz"}]}, "spec.rules[0]: protocol 'xyz' is not known"),
    ({"rules": [{"family": "IPv4", "source": {"ip": "::1"}}]}, "spec.rules[0]: a rule mixes IP families"),
    ({"expression": "udp port"}, "expression 'udp port'"),
    ({"sampling": {"samplers": ["flow"]}}, "spec.sampling.samplers 'flow' is not understood"),
    ({"sampling": {"snaplen": 17}}, "Expected `int` >= 18 - at `$.spec.sampling.snaplen`"),
    ({"sampling": {"onPressure": ["lose", "sample"]}},
     "spec.sampling.onPressure lose,sample: lose must be the last measure"),
    ({"limits": {"packets": 0}}, "Expected `int` >= 1 - at `$.spec.limits.packets`"),
    ({"limits": {"bytes": "1Q"}}, "spec.limits.bytes '1Q' is not understood"),
    ({"limits": {"duration": "soon"}}, "spec.limits.duration 'soon' is not understood"),
    ({"limits": {"duration": -1}}, "spec.limits.duration '-1' is not understood"),
    ({"limits": {"startAt": "18:30"}}, "Invalid RFC3339 encoded datetime - at `$.spec.limits.startAt`"),
    ({"limits": {"startAt": "2026-11-24T18:30:00"}}, "Expected `datetime` with a timezone component"),
    ({"storage": {"compress": "gzip"}}, "Invalid enum value 'gzip' - at `$.spec.storage.compress`"),
    ({"storage": {"minFree": "5 %%"}}, "spec.storage.minFree '5 %%' is not understood"),
    ({"storage": {"minFree": 0}}, "min-free is not at least one byte"),
    ({"storage": {"path": ""}}, "Expected `str` of length >= 1 - at `$.spec.storage.path`"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "said"), WRONG, ids=[case[1] for case in WRONG])
def test_an_error_names_its_place(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        asked(**spec)
    assert str(refused.value).startswith(f"PacketCapture pc.yaml: {said}")
    assert "\n" not in str(refused.value)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"rules": [{}], "expression": "udp"}, "rules and a tcpdump expression do not combine"),
    ({"target": {"interfaces": ["a", "a"]}}, "interface a is given twice"),
    ({"limits": {"startAt": "2026-11-24T18:30:00Z", "stopAt": "2026-11-24T18:30:00Z"}},
     "stop-at is not after start-at"),
    ({"limits": {"duration": 0}}, "duration is not longer than 0"),
    ({"storage": {"filesKept": 3}}, "a number of files kept (-W) needs a size"),
    ({"target": {"point": "Both"}}, "point both needs a rule whose source is a pod"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "said"), CONTRADICTIONS, ids=[case[1] for case in CONTRADICTIONS])
def test_contradictions_are_those_of_the_command_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        asked(**{"target": {"interfaces": ["eth0"]}} | fields).spec()
    assert str(refused.value).startswith(said)


def test_times_that_yaml_parses_are_accepted() -> None:
    text = b"""
apiVersion: bicap.io/v1alpha1
kind: PacketCapture
metadata: {name: pc}
spec: {limits: {startAt: 2026-11-24T18:30:00Z, stopAt: 2026-11-24T20:30:01+02:00}}
"""
    found = parse_file("pc.yaml", text)
    assert found.start_at_ns == int(datetime(2026, 11, 24, 18, 30, tzinfo=UTC).timestamp()) * S
    assert found.stop_at_ns == found.start_at_ns + S


def test_the_example() -> None:
    found = read_file(str(EXAMPLES / "packetcapture.yaml"))
    assert (str(found.spec().pods), found.output) == (
        "pods labelled app=web,track!=canary in namespace shop", "/var/lib/bicap/checkout.pcapng",
    )  # fmt: skip
    assert [str(one) for one in found.rules] == ["tcp any > bank/api-0:80,8000-8100", "udp any > 10.96.0.0/12:53"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(path: Path) -> None:
    spec = DocumentValues(Document(target=TargetPart(interfaces=["eth0"]))).over(read_file(str(path))).spec()
    assert spec.rules
    assert msgspec.json.encode(spec_as_json(spec))
