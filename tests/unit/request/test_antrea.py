"""Antrea's PacketCapture -> a spec with the same meaning; fields without a counterpart are refused by name."""

import itertools
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.errors import SpecError
from capture.filters.filter_h import filter_text
from capture.filters.podname import PodName
from capture.filters.text import spelled_out
from capture.selection.selection import PodEnd, Selection
from capture.spec import CaptureSpec
from capture.wire.direction import Direction
from testbed import packets
from tests.oracle import matches
from tests.unit.request.asked import parse_document, parse_file

SAMPLES = Path(__file__).parent / "antrea"
FORWARD, REVERSE, BOTH = Direction.FORWARD, Direction.REVERSE, Direction.BOTH
SOURCE, DESTINATION = PodEnd.SOURCE, PodEnd.DESTINATION
S = 10**9


def spec_of(**fields: Any) -> CaptureSpec:
    """The spec for the `spec` of an object."""
    found = {"apiVersion": "crd.antrea.io/v1alpha1", "kind": "PacketCapture", "metadata": {"name": "pc"}}
    return parse_document("pc.yaml", found | {"spec": fields}).spec()


def text_of(spec: CaptureSpec, source: str, destination: str) -> str:
    """The tcpdump text of what is matched, where each pod has one address."""
    addresses = {}
    for rule in spec.rules:
        for side, address in ((rule.source, source), (rule.destination, destination)):
            if side.pod:
                addresses[side.pod] = (ip_address(address),)
    return filter_text(spelled_out(spec.rules, addresses), spec.direction)


CONVERTED: list[tuple[str, Direction, PodEnd, int, int, str]] = [
    # a sample of Antrea's, direction, point, packets, seconds, what is matched between 10.0.0.1 and 10.0.0.2
    ("guide-tcp", FORWARD, DESTINATION, 5, 60,
     "tcp and tcp[tcpflags] & 0x2 = 0x2 and src host 10.0.0.1 and dst host 10.0.0.2 and dst port 8080"),
    ("guide-icmp", REVERSE, SOURCE, 5, 60,
     "icmp and src host 10.0.0.2 and dst host 10.0.0.1 and ((icmp[0] = 3 and icmp[1] = 1) or icmp[0] = 0)"),
    ("e2e-ipv4-icmp-timeout", FORWARD, SOURCE, 500, 15, "icmp and src host 10.0.0.1 and dst host 10.0.0.2"),
    ("e2e-non-existing-pod", FORWARD, SOURCE, 5, 60, "ip and src host 10.0.0.1 and dst host 10.0.0.2"),
    ("e2e-ipv4-udp-dst-to-src", REVERSE, DESTINATION, 5, 60,
     "udp and src host 10.0.0.2 and src port 80 and dst host 10.0.0.1"),
    ("e2e-ipv4-tcp-both", BOTH, SOURCE, 5, 60,
     "(tcp and src host 10.0.0.1 and dst host 10.0.0.2 and dst port 80) or "
     "(tcp and src host 10.0.0.2 and src port 80 and dst host 10.0.0.1)"),
    # The same flags both ways, so SYN is in SYN-ACK: Antrea's test expects one of each.
    ("e2e-ipv4-tcp-syn-both-timeout", BOTH, SOURCE, 500, 10,
     "(tcp and tcp[tcpflags] & 0x2 = 0x2 and src host 10.0.0.1 and dst host 10.0.0.2 and dst port 80) or "
     "(tcp and tcp[tcpflags] & 0x2 = 0x2 and src host 10.0.0.2 and src port 80 and dst host 10.0.0.1)"),
]  # fmt: skip


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.yaml.decode((SAMPLES / f"{name}.yaml").read_bytes())
    return found


@pytest.mark.parametrize(
    ("name", "direction", "point", "count", "seconds", "text"), CONVERTED, ids=[case[0] for case in CONVERTED]
)
def test_antreas_samples(name: str, direction: Direction, point: PodEnd, count: int, seconds: int, text: str) -> None:
    found = sample(name)
    found["spec"].pop("fileServer", None)
    spec = parse_file("pc.yaml", msgspec.yaml.encode(found)).spec()
    assert (spec.direction, spec.pods, spec.count) == (direction, Selection(point=point), count)
    assert (spec.duration_ns, spec.icmp_errors) == (seconds * S, False)
    assert text_of(spec, "10.0.0.1", "10.0.0.2") == text


def test_antreas_sample_of_ipv6() -> None:
    found = sample("e2e-ipv6-icmpv6-echo-echoreply-both")
    del found["spec"]["fileServer"]
    spec = parse_file("pc.yaml", msgspec.yaml.encode(found)).spec()
    assert (spec.count, spec.pods) == (2, Selection(point=DESTINATION))
    assert text_of(spec, "fd00::1", "fd00::2") == (
        "(icmp6 and src host fd00::1 and dst host fd00::2 and (icmp6[0] = 128 or icmp6[0] = 129)) or "
        "(icmp6 and src host fd00::2 and dst host fd00::1 and (icmp6[0] = 128 or icmp6[0] = 129))"
    )


def test_every_sample_is_tried() -> None:
    tried = {case[0] for case in CONVERTED} | {"e2e-ipv6-icmpv6-echo-echoreply-both"}
    assert {path.stem for path in SAMPLES.glob("*.yaml")} == tried


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_server_is_refused_by_name(path: Path) -> None:
    if b"fileServer" not in path.read_bytes():
        assert parse_file("pc.yaml", path.read_bytes()).spec().count
        return
    with pytest.raises(SpecError, match=r"^PacketCapture pc\.yaml: spec\.fileServer: captures are not uploaded"):
        parse_file("pc.yaml", path.read_bytes())


PODS = {"source": {"pod": {"name": "a"}}, "destination": {"pod": {"namespace": "shop", "name": "b"}}}
FIRST = {"captureConfig": {"firstN": {"number": 1}}}
A, B, A6, B6 = "127.0.0.1", "127.0.0.2", "fd00:10:244::1", "fd00:10:244::2"


def _port(**ports: Any) -> dict[str, Any]:
    return {name: value for name, value in ports.items() if value}


def tcp(src: int = 0, dst: int = 0, flags: tuple[tuple[int, ...], ...] = ()) -> dict[str, Any]:
    matchers = [dict(zip(("value", "mask"), pair, strict=False)) for pair in flags]
    return {"protocol": "TCP", "transportHeader": {"tcp": _port(srcPort=src, dstPort=dst, flags=matchers)}}


def udp(src: int = 0, dst: int = 0) -> dict[str, Any]:
    return {"protocol": "UDP", "transportHeader": {"udp": _port(srcPort=src, dstPort=dst)}}


def icmp(*messages: tuple[int | str, ...], version: str = "") -> dict[str, Any]:
    matchers = [dict(zip(("type", "code"), pair, strict=False)) for pair in messages]
    return {"protocol": f"ICMP{version}", "transportHeader": {f"icmp{version}": {"messages": matchers}}}


V6 = {"ipFamily": "IPv6"}
TWICE = ((0x2,), (0x10,))
# Cases of pkg/agent/packetcapture/capture/inputs_test.go in antrea-io/antrea: a packet, the ends that have an
# address, a direction, and the tcpdump filter whose program Antrea's must be.
ORACLE: list[tuple[dict[str, Any], str, Direction, str]] = [
    (tcp(12345, 80), "ab", FORWARD,
     "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2 and src port 12345 and dst port 80"),
    (tcp(12345, 80), "a", FORWARD, "ip proto 6 and src host 127.0.0.1 and src port 12345 and dst port 80"),
    (udp(12345, 80), "b", FORWARD, "ip proto 17 and dst host 127.0.0.2 and src port 12345 and dst port 80"),
    (tcp(12345), "ab", FORWARD, "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2 and src port 12345"),
    (udp(0, 80), "ab", FORWARD, "ip proto 17 and src host 127.0.0.1 and dst host 127.0.0.2 and dst port 80"),
    (icmp(("icmp-unreach", 1)), "ab", FORWARD,
     "ip proto 1 and src host 127.0.0.1 and dst host 127.0.0.2 and icmp[0]=3 and icmp[1]=1"),
    (tcp(flags=((0x2,),)), "ab", FORWARD,
     "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2 and (tcp[tcpflags] & tcp-syn == tcp-syn)"),
    (tcp(12345, 80, ((0x2, 0x12),)), "ab", FORWARD,
     "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2 and src port 12345 and dst port 80 and "
     "(tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn)"),
    (tcp(0, 443, ((0x12, 0x1F),)), "a", FORWARD,
     "ip proto 6 and src host 127.0.0.1 and dst port 443 and "
     "(tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst|tcp-push|tcp-ack) == (tcp-syn|tcp-ack))"),
    (V6 | udp(12345, 80), "ab", FORWARD,
     "ip6 and src host fd00:10:244::1 and dst host fd00:10:244::2 and proto 17 and src port 12345 and dst port 80"),
    (V6 | tcp(12345, 80), "b", FORWARD,
     "ip6 and dst host fd00:10:244::2 and proto 6 and src port 12345 and dst port 80"),
    (V6 | icmp((129,), version="v6"), "ab", FORWARD,
     "ip6 and src host fd00:10:244::1 and dst host fd00:10:244::2 and proto 58 and icmp6[0]=129"),
    (V6 | tcp(12345, 80), "ab", REVERSE,
     "ip6 and src host fd00:10:244::2 and dst host fd00:10:244::1 and proto 6 and src port 80 and dst port 12345"),
    (udp(12345, 80) | {"protocol": 17}, "ab", REVERSE,
     "ip proto 17 and src host 127.0.0.2 and dst host 127.0.0.1 and src port 80 and dst port 12345"),
    (tcp(12345, 80), "ab", BOTH,
     "ip proto 6 and ((src host 127.0.0.1 and dst host 127.0.0.2 and src port 12345 and dst port 80) or "
     "(src host 127.0.0.2 and dst host 127.0.0.1 and src port 80 and dst port 12345))"),
    (tcp(0, 443), "b", BOTH,
     "ip proto 6 and ((dst host 127.0.0.2 and dst port 443) or (src host 127.0.0.2 and src port 443))"),
    (V6 | udp(0, 80), "ab", BOTH,
     "ip6 proto 17 and ((src host fd00:10:244::1 and dst host fd00:10:244::2 and udp dst port 80) or "
     "(src host fd00:10:244::2 and dst host fd00:10:244::1 and udp src port 80))"),
    ({"protocol": "TCP"}, "a", BOTH, "ip proto 6 and ((src host 127.0.0.1) or (dst host 127.0.0.1))"),
    (tcp(0, 80, ((0x2,),)), "ab", BOTH,
     "ip proto 6 and ((src host 127.0.0.1 and dst host 127.0.0.2 and dst port 80 and "
     "(tcp[tcpflags] & tcp-syn == tcp-syn)) or (src host 127.0.0.2 and dst host 127.0.0.1 and src port 80 and "
     "(tcp[tcpflags] & tcp-syn == tcp-syn)))"),
    (tcp(12345, 80, TWICE), "ab", BOTH,
     "ip proto 6 and ((src host 127.0.0.1 and dst host 127.0.0.2 and src port 12345 and dst port 80 and "
     "((tcp[tcpflags] & tcp-syn == tcp-syn) or (tcp[tcpflags] & tcp-ack == tcp-ack))) or "
     "(src host 127.0.0.2 and dst host 127.0.0.1 and src port 80 and dst port 12345 and "
     "((tcp[tcpflags] & tcp-syn == tcp-syn) or (tcp[tcpflags] & tcp-ack == tcp-ack))))"),
    (icmp(("icmp-echo",), ("icmp-echoreply",)), "ab", BOTH,
     "ip proto 1 and ((src host 127.0.0.1 and dst host 127.0.0.2 and (icmp[0]=8 or icmp[0]=0)) or "
     "(src host 127.0.0.2 and dst host 127.0.0.1 and (icmp[0]=8 or icmp[0]=0)))"),
    (icmp(("icmp-echo", 0)), "ab", BOTH,
     "ip proto 1 and ((src host 127.0.0.1 and dst host 127.0.0.2 and icmp[0]=8 and icmp[1]=0) or "
     "(src host 127.0.0.2 and dst host 127.0.0.1 and icmp[0]=8 and icmp[1]=0))"),
    # Not of that file, but said in Antrea's types.go: matchers are the same in both directions.
    (tcp(0, 80, ((0x2, 0x12),)), "ab", BOTH,
     "ip proto 6 and tcp[13] & 0x12 = 0x2 and ((src host 127.0.0.1 and dst host 127.0.0.2 and dst port 80) or "
     "(src host 127.0.0.2 and dst host 127.0.0.1 and src port 80))"),
    (tcp(0, 80, ((0x2, 0x12),)), "ab", REVERSE,
     "ip proto 6 and tcp[13] & 0x12 = 0x2 and src host 127.0.0.2 and dst host 127.0.0.1 and src port 80"),
    # Not of that file: what Antrea's program is refused for by the kernel, and what its text means.
    ({}, "ab", BOTH,
     "ip and ((src host 127.0.0.1 and dst host 127.0.0.2) or (src host 127.0.0.2 and dst host 127.0.0.1))"),
    (tcp(), "ab", FORWARD, "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2"),
    (tcp(flags=((0,),)), "ab", FORWARD, "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2"),
    (tcp(flags=((0, 0x2), (0x4,))), "ab", FORWARD,
     "ip proto 6 and src host 127.0.0.1 and dst host 127.0.0.2 and (tcp[13] & 2 == 0 or tcp[13] & 4 == 4)"),
    (V6 | tcp(flags=((0x2,),)), "ab", BOTH,
     "ip6 and ip6[6] = 6 and ip6[53] & 2 = 2 and ((src host fd00:10:244::1 and dst host fd00:10:244::2) or "
     "(src host fd00:10:244::2 and dst host fd00:10:244::1))"),
]  # fmt: skip


def traffic() -> Iterator[bytes]:
    """Packets of both families between three hosts, which tell all cases apart."""
    for hosts in ((A, B, "127.0.0.3"), (A6, B6, "fd00:10:244::3")):
        for source, destination in itertools.permutations(hosts, 2):
            for sport, dport in itertools.permutations((12345, 80, 443), 2):
                yield packets.udp(source, sport, destination, dport)
                for flags in (0x02, 0x12, 0x10, 0x14, 0x04, 0x11, 0x00):
                    yield packets.tcp(source, sport, destination, dport, flags)
            for kind, code in itertools.product((0, 3, 8, 11, 128, 129), (0, 1)):
                yield packets.ip(source, destination, 1 if "." in source else 58, bytes([kind, code]) + bytes(6))
            yield packets.ip(source, destination, 132, bytes(12))


TRAFFIC = list(traffic())


@pytest.mark.parametrize(("packet", "ends", "direction", "tcpdump"), ORACLE, ids=[case[3][:90] for case in ORACLE])
def test_what_matches_is_what_antreas_tcpdump_filter_matches(
    packet: dict[str, Any], ends: str, direction: Direction, tcpdump: str
) -> None:
    words = {FORWARD: "SourceToDestination", REVERSE: "DestinationToSource", BOTH: "Both"}
    sides = {side: PODS[side] for side, letter in (("source", "a"), ("destination", "b")) if letter in ends}
    spec = spec_of(**sides, **FIRST, direction=words[direction], packet=packet)
    text = text_of(spec, *((A6, B6) if "ipFamily" in packet else (A, B)))
    ours = [matches(text, one) for one in TRAFFIC]
    assert any(ours)
    assert ours == [matches(tcpdump, one) for one in TRAFFIC]


POD, IP, IP6 = {"pod": {"name": "a"}}, {"ip": "10.0.0.9"}, {"ip": "fd00::9"}
SIDES: tuple[dict[str, Any] | None, ...] = (None, {}, POD, IP, IP6, POD | IP)
PROTOCOLS = {None: None, "tcp": 6, 17: 17, "Icmp": 1, "ICMPv6": 58, 132: 132, "SCTP": -1}
HEADERS: list[tuple[dict[str, Any] | None, int | None]] = [
    # a header, its protocol
    (None, None),
    ({"tcp": {}}, 6),
    ({"tcp": {"srcPort": 1, "flags": [{"value": 2}, {"value": 0, "mask": 4}]}}, 6),
    ({"udp": {"dstPort": 65535}}, 17),
    ({"icmp": {"messages": [{"type": 8}, {"type": "ICMP-unreach", "code": 3}]}}, 1),
    ({"icmpv6": {"messages": [{"type": "icmpv6-echo"}]}}, 58),
    ({"tcp": {}, "udp": {}}, -1),
]
COMBINED = list(
    itertools.product(
        SIDES,
        SIDES,
        (None, "IPv4", "IPv6"),
        PROTOCOLS,
        HEADERS,
        (None, "SourceToDestination", "DestinationToSource", "Both"),
        (None, "Source", "Destination"),
    )
)


def can_be(
    source: dict[str, Any] | None,
    destination: dict[str, Any] | None,
    family: str | None,
    said: int | None,
    header: int | None,
    point: str | None,
) -> bool:
    """Antrea's rules, as its CRD and its documentation say them."""
    sides = {"Source": source, "Destination": destination}
    if any(side is not None and len(side) != 1 for side in sides.values()):
        return False
    pods = [name for name, side in sides.items() if side and "pod" in side]
    if not pods or (point and point not in pods) or -1 in (said, header):
        return False
    if said is not None and header is not None and said != header:
        return False
    versions = {6 if ":" in side["ip"] else 4 for side in sides.values() if side and "ip" in side}
    versions |= {1: {4}, 58: {6}}.get(said or header or 0, set())
    return versions <= {6 if family == "IPv6" else 4}


@pytest.mark.slow
def test_every_combination_converts_or_is_refused_with_a_reason() -> None:
    converted = 0
    for source, destination, family, protocol, (header, of_header), direction, point in COMBINED:
        packet = {"ipFamily": family, "protocol": protocol, "transportHeader": header}
        fields = {"source": source, "destination": destination, "packet": packet}
        fields |= {"direction": direction, "capturePoint": point}
        possible = can_be(source, destination, family, PROTOCOLS[protocol], of_header, point)
        try:
            spec = spec_of(**FIRST, **fields)
        except SpecError as error:
            said = f"{fields}: {error}"
        else:
            said = ""
        assert bool(said) is not possible, said or fields
        if said:
            assert ": PacketCapture pc.yaml: spec." in said
            assert "\n" not in said
            continue
        converted += 1
        assert spec.direction is {None: FORWARD, "Both": BOTH, "DestinationToSource": REVERSE}.get(direction, FORWARD)
        default = "source" if source and "pod" in source else "destination"
        assert spec.pods == Selection(point=PodEnd(point.lower() if point else default))
        assert len(spec.rules) == (2 if header and header.get("tcp", {}).get("flags") else 1)
        for rule in spec.rules:
            assert rule.family == (6 if family == "IPv6" else 4)
            assert rule.protocol == (PROTOCOLS[protocol] or of_header)
            assert (rule.mirror.tcp_flags, rule.mirror.icmp) == (rule.tcp_flags, rule.icmp)
    assert converted > 1000


def test_a_matcher_given_twice_makes_one_rule() -> None:
    assert len(spec_of(**PODS, **FIRST, packet=tcp(flags=((2,), (2, 2), (4,)))).rules) == 2


def test_a_pod_without_namespace_is_of_the_default_one() -> None:
    for rule in spec_of(**PODS, **FIRST).rules:
        assert (rule.source.pod, rule.destination.pod) == (PodName("default", "a"), PodName("shop", "b"))


def test_the_output_of_kubectl_get_is_accepted() -> None:
    text = b"""
apiVersion: crd.antrea.io/v1alpha1
kind: PacketCapture
metadata:
  annotations: {a: b}
  creationTimestamp: "2026-11-24T18:30:00Z"
  generation: 1
  name: pc-test
  resourceVersion: "4711"
  uid: 0b1c
spec:
  captureConfig: {firstN: {number: 5}}
  direction: SourceToDestination
  source: {pod: {namespace: default, name: frontend}}
  packet:
  timeout: 60
status:
  numberCaptured: 5
  filePath: antrea-agent-x:/tmp/antrea/packetcapture/packets/pc-test.pcapng
  conditions: [{type: PacketCaptureComplete, status: "True", lastTransitionTime: 2026-11-24T18:31:00Z}]
"""
    assert [str(rule) for rule in parse_file("pc.yaml", text).spec().rules] == ["IPv4 any default/frontend > any"]


WRONG: list[tuple[dict[str, Any], str]] = [
    # fields beside source and captureConfig, what is said
    ({"captureConfig": None}, "Object missing required field `captureConfig` - at `$.spec`"),
    ({"captureConfig": {}}, "Object missing required field `firstN` - at `$.spec.captureConfig`"),
    ({"captureConfig": {"firstN": {"number": 0}}}, "Expected `int` >= 1 - at `$.spec.captureConfig.firstN.number`"),
    ({"timeout": 0}, "Expected `int` >= 1 - at `$.spec.timeout`"),
    ({"timeout": 301}, "Expected `int` <= 300 - at `$.spec.timeout`"),
    ({"direction": "both"}, "Invalid enum value 'both' - at `$.spec.direction`"),
    ({"capturePoint": "Both"}, "Invalid enum value 'Both' - at `$.spec.capturePoint`"),
    ({"capturePoint": "Destination"}, "spec.capturePoint Destination: spec.destination is not a pod"),
    ({"source": None}, "spec.source and spec.destination: neither is a pod; one of them must be"),
    ({"source": {"ip": "10.0.0.1"}}, "spec.source and spec.destination: neither is a pod; one of them must be"),
    ({"destination": {}}, "spec.destination must be a pod or an ip; give one of them"),
    ({"destination": {"ip": "10.0.0.0/8"}}, "spec.destination.ip '10.0.0.0/8' is not an IP address"),
    ({"destination": {"pod": {"name": "B"}}}, "spec.destination.pod 'default/B': 'B' is not a pod name"),
    ({"destination": {"service": "x"}}, "Object contains unknown field `service` - at `$.spec.destination`"),
    ({"destination": {"ip": "fd00::1"}}, "is IPv6, family is IPv4"),
    ({"packet": {"protocol": "sctp"}}, "spec.packet.protocol 'sctp' is not known; give TCP, UDP, ICMP, ICMPV6"),
    ({"packet": {"protocol": 256}}, "Expected `int` <= 255 - at `$.spec.packet.protocol`"),
    ({"packet": {"protocol": "ICMPv6"}}, "spec.packet (ipFamily IPv4): a rule mixes IP families: protocol icmpv6"),
    ({"packet": {"protocol": 43, "ipFamily": "IPv6"}}, "protocol 43 is an IPv6 extension header"),
    ({"packet": {"ipFamily": "IPv5"}}, "Invalid enum value 'IPv5' - at `$.spec.packet.ipFamily`"),
    ({"packet": udp() | {"protocol": 6}}, "spec.packet.transportHeader.udp is not a header of protocol 6"),
    ({"packet": tcp(65536)}, "Expected `int` <= 65535 - at `$.spec.packet.transportHeader.tcp.srcPort`"),
    (
        {"packet": tcp(flags=((2, 256),))},
        "Expected `int` <= 255 - at `$.spec.packet.transportHeader.tcp.flags[0].mask`",
    ),
    ({"packet": tcp(flags=((3, 1),))}, "tcp-flags 0x3/0x1: the value has bits outside the mask"),
    (
        {"packet": icmp(("icmp-redirect",))},
        "spec.packet.transportHeader.icmp: type 'icmp-redirect' is not known; give",
    ),
    ({"packet": icmp(("icmpv6-echo",))}, "spec.packet.transportHeader.icmp: type 'icmpv6-echo' is not known"),
    ({"packet": {"transportHeader": {"sctp": {}}}}, "Object contains unknown field `sctp`"),
    ({"fileServer": {}}, "spec.fileServer: captures are not uploaded"),
    ({"snaplen": 5}, "Object contains unknown field `snaplen` - at `$.spec`"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=[case[1] for case in WRONG])
def test_an_error_names_its_place(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        spec_of(**{"source": POD} | FIRST | fields)
    assert str(refused.value).startswith("PacketCapture pc.yaml: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
