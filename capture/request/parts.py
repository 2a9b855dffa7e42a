"""Parts of a document: selectors of labels, rules and their ends, lists of conversations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from capture.request.declaration import field, option
from capture.request.kubernetes import FamilyWord, NonEmpty, PodReference, says
from capture.selection.labels import Operator
from capture.wire.protocols import PROTOCOLS, TCP_FLAGS

Port = Annotated[int, Meta(ge=0, le=65535)] | NonEmpty


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel", kw_only=True):
    """A part of a document; a field that has its default is left out of JSON."""


class MatchExpression(Part, frozen=True):
    """One of Kubernetes' matchExpressions."""

    key: Annotated[NonEmpty, says("The label.")]
    operator: Annotated[Operator, says("How it is compared.")]
    values: Annotated[list[str], says("With In and NotIn: the values.")] = []


class Selector(Part, frozen=True):
    """Kubernetes' LabelSelector."""

    match_labels: Annotated[dict[str, str], says("Labels that a pod has, with their values.")] = {}
    match_expressions: Annotated[list[MatchExpression], says("Conditions that are true for a pod's labels.")] = []


class EndpointPart(Part, frozen=True):
    """A pod, an address or a network, and ports; what is not given matches anything."""

    pod: Annotated[PodReference | None, says("All addresses of this pod.")] = None
    ip: Annotated[NonEmpty | None, says("An IPv4 or IPv6 address.")] = None
    cidr: Annotated[NonEmpty | None, says("A network, like 10.0.0.0/8.")] = None
    ports: Annotated[list[Port], says("One of these ports: 80, or 8000-8100.")] = []


class RulePart(Part, frozen=True):
    """A conversation with wildcards; its answers match too."""

    source: Annotated[
        EndpointPart | None,
        field(
            "Where the packets of the forward direction come from.",
            option=option(
                "--source",
                unit="ENDPOINT",
                help="IP, IP/len, IP:ports, [IPv6]:ports or :ports; ports are like 80,443,8000-8100.",
            ),
        ),
    ] = None
    destination: Annotated[
        EndpointPart | None,
        field(
            "Where the packets of the forward direction go.",
            option=option("--destination", unit="ENDPOINT", help="As --source."),
        ),
    ] = None
    protocol: Annotated[
        int | NonEmpty,
        field(
            "TCP, UDP, SCTP, ICMP, ICMPv6, any, or a number.",
            option=option("--protocol", unit="NAME|NUMBER", help=f"{', '.join(PROTOCOLS)}, any, or a number."),
        ),
    ] = "any"
    family: Annotated[
        FamilyWord | None,
        field(
            "The IP version. Default: both.",
            option=option("--family", unit="FAMILY", help="ipv4, ipv6 or any."),
        ),
    ] = None
    tcp_flags: Annotated[
        NonEmpty | None,
        field(
            "Flags set, or with ! unset: syn,!ack; or value/mask.",
            option=option(
                "--tcp-flags",
                unit="FLAGS",
                help=f"Flags of {', '.join(TCP_FLAGS)} that are set, or with ! unset: syn,!ack; or value/mask.",
            ),
        ),
    ] = None
    answer_tcp_flags: Annotated[
        NonEmpty | None,
        field(
            "Flags of the reverse direction. Default: SYN-ACK answers SYN.",
            option=option(
                "--answer-tcp-flags",
                unit="FLAGS",
                help="Flags of the reverse direction.",
                default="SYN-ACK answers SYN",
            ),
        ),
    ] = None
    icmp_types: Annotated[
        list[int | NonEmpty],
        field(
            "One of these ICMP types: echo-request, 8, 3/3.",
            option=option(
                "--icmp-type",
                unit="TYPES",
                help="ICMP types, with /code: echo-request, destination-unreachable/port-unreachable, 3/3.",
            ),
        ),
    ] = []
    answer_icmp_types: Annotated[
        list[int | NonEmpty],
        field(
            "ICMP types of the reverse direction. Default: a reply answers its request.",
            option=option(
                "--answer-icmp-type",
                unit="TYPES",
                help="Types of the reverse direction.",
                default="a reply answers its request",
            ),
        ),
    ] = []


class ConversationsPart(Part, frozen=True):
    """Exact five-tuples: a file of them, or the list itself."""

    file: Annotated[
        NonEmpty | None,
        says("A file on the node with one in each line: tcp 10.0.0.1:4000 10.0.0.2:80; SIGHUP reads it again."),
    ] = None
    tuples: Annotated[list[NonEmpty], says("The five-tuples, each like a line of such a file.")] = []
