"""The PacketCapture of bicap.io/v1alpha1 as types: what a file is checked against, and the CRD is made of."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from capture.manifest.kubernetes import (
    DirectionWord,
    FamilyWord,
    Metadata,
    NonEmpty,
    PodReference,
    PointWord,
    says,
)
from capture.sampling.pressure import Measure
from capture.selection.labels import Operator
from capture.spec import BUFFER_DEFAULT, SNAPLEN_MAX, SNAPLEN_MIN

GROUP, VERSION, KIND = "bicap.io", "v1alpha1", "PacketCapture"
API_VERSION = f"{GROUP}/{VERSION}"

EXACT_MAX = 2**53 - 1
"""The API server compares limits as floating-point numbers, which are exact up to here."""

Port = Annotated[int, Meta(ge=0, le=65535)] | NonEmpty
Quantity = int | NonEmpty
Count = Annotated[int, Meta(ge=1)]
Time = Annotated[datetime, Meta(tz=True)]


class _Object(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    pass


class Expression(_Object):
    """One of Kubernetes' matchExpressions."""

    key: Annotated[NonEmpty, says("The label.")]
    operator: Annotated[Operator, says("How it is compared.")]
    values: Annotated[list[str], says("With In and NotIn: the values.")] = []


class Selector(_Object):
    """Kubernetes' LabelSelector."""

    match_labels: Annotated[dict[str, str], says("Labels that a pod has, with their values.")] = {}
    match_expressions: Annotated[list[Expression], says("Conditions that hold for a pod's labels.")] = []


class Target(_Object):
    """Where to capture."""

    pods: Annotated[list[PodReference], says("All interfaces of these pods.")] = []
    namespaces: Annotated[list[NonEmpty], says("All pods of these; with selector or containers, those in them.")] = []
    selector: Annotated[
        Selector | None, says("Pods with these labels, as the runtime has them: those given at the pod's creation.")
    ] = None
    containers: Annotated[list[NonEmpty], says("Pods that have a container of this name or ID.")] = []
    interfaces: Annotated[list[NonEmpty], says("Interfaces of the node, by their names.")] = []
    all_pods: Annotated[bool, says("All pods of the node.")] = False
    point: Annotated[
        PointWord | None,
        says(
            "Capture at the pods that rules name as source, destination or both. Default, where nothing else says "
            "where: Source if a rule's source is a pod, else Destination."
        ),
    ] = None
    wait: Annotated[bool, says("Wait for the first such pod, if there is none yet.")] = False


class Endpoint(_Object):
    """A pod, an address or a network, and ports; any where nothing is said."""

    pod: Annotated[PodReference | None, says("All addresses of this pod.")] = None
    ip: Annotated[NonEmpty | None, says("An IPv4 or IPv6 address.")] = None
    cidr: Annotated[NonEmpty | None, says("A network, like 10.0.0.0/8.")] = None
    ports: Annotated[list[Port], says("One of these ports: 80, or 8000-8100.")] = []


class Rule(_Object):
    """A conversation with wildcards; its answers are found by themselves."""

    source: Annotated[Endpoint | None, says("Where the packets of the forward direction come from.")] = None
    destination: Annotated[Endpoint | None, says("Where the packets of the forward direction go.")] = None
    protocol: Annotated[int | NonEmpty, says("TCP, UDP, SCTP, ICMP, ICMPv6, any, or a number.")] = "any"
    family: Annotated[FamilyWord | None, says("The IP version. Default: both.")] = None
    tcp_flags: Annotated[NonEmpty | None, says("Flags set, or with ! unset: syn,!ack; or value/mask.")] = None
    answer_tcp_flags: Annotated[
        NonEmpty | None, says("Flags of the reverse direction. Default: SYN-ACK answers SYN.")
    ] = None
    icmp_types: Annotated[list[int | NonEmpty], says("One of these ICMP types: echo-request, 8, 3/3.")] = []
    answer_icmp_types: Annotated[
        list[int | NonEmpty], says("ICMP types of the reverse direction. Default: a reply answers its request.")
    ] = []


class Sampling(_Object):
    """What is kept of the packets that match."""

    samplers: Annotated[
        list[NonEmpty],
        says("flow:10%, packet:1/100, first:20, rate:1000pps, rate:10mbit, reverse=first:5; all must agree."),
    ] = []
    seed: Annotated[
        int, Meta(ge=0, le=EXACT_MAX), says("Captures with one seed choose the same conversations, on any node.")
    ] = 0
    keep_control: Annotated[bool, says("Keep SYN, FIN, RST and ICMP errors whatever samplers say.")] = True
    headers_only: Annotated[bool, says("Keep headers up to the transport layer, and no payload.")] = False
    snaplen: Annotated[int, Meta(ge=SNAPLEN_MIN, le=SNAPLEN_MAX), says("Keep so many bytes of a packet.")] = (
        SNAPLEN_MAX
    )
    on_pressure: Annotated[
        list[Measure],
        says("While rings fill, in this order: truncate (no payload), sample (fewer conversations), lose."),
    ] = []


class Limits(_Object):
    """When the capture begins and ends; the first limit that is reached ends it."""

    packets: Annotated[Count | None, says("End after writing so many packets.")] = None
    forward_packets: Annotated[Count | None, says("End after so many from source to destination.")] = None
    reverse_packets: Annotated[Count | None, says("End after so many from destination to source.")] = None
    bytes: Annotated[Quantity | None, says("End before all files have more, before compression: 500M, 1Gi.")] = None
    duration: Annotated[Quantity | None, says("End after this long: 30s, 1h30m; a number is seconds.")] = None
    start_at: Annotated[Time | None, says("Begin at this time.")] = None
    stop_at: Annotated[Time | None, says("End at this time.")] = None
    buffer: Annotated[Quantity, says("Memory of all rings together.")] = f"{BUFFER_DEFAULT >> 20}Mi"


class Storage(_Object):
    """What is written, and where on the node."""

    path: Annotated[NonEmpty | None, says("The pcapng file.")] = None
    file_size: Annotated[Quantity | None, says("Begin another file before one has more bytes: 256Mi.")] = None
    file_time: Annotated[Quantity | None, says("Begin another file after this long: 1h; a number is seconds.")] = None
    files_kept: Annotated[Count | None, says("Keep the last so many files.")] = None
    compress: Annotated[Literal["zstd"] | None, says("Compress files. Default: not.")] = None
    user: Annotated[NonEmpty | None, says("Owner of the files. Default: who runs bicap.")] = None
    min_free: Annotated[Quantity | None, says("End before the disk has less room: 5%, 2Gi.")] = None


class Spec(_Object):
    """What to capture."""

    bidirectional: Annotated[bool | None, says("True is direction Both, false SourceToDestination.")] = None
    direction: Annotated[DirectionWord | None, says("Which packets of a conversation. Default: Both.")] = None
    target: Target = msgspec.field(default_factory=Target)
    rules: Annotated[list[Rule], says("A packet of any of these is kept. Default: every packet.")] = []
    expression: Annotated[NonEmpty | None, says("Instead of rules, a tcpdump expression; answers are found too.")] = (
        None
    )
    inner: Annotated[bool, says("Match also the packet inside VXLAN, Geneve, GRE and IP in IP.")] = False
    icmp_errors: Annotated[bool, says("Keep ICMP errors about a matching packet.")] = True
    sampling: Sampling = msgspec.field(default_factory=Sampling)
    limits: Limits = msgspec.field(default_factory=Limits)
    storage: Storage = msgspec.field(default_factory=Storage)


class PacketCapture(_Object):
    """A capture, as `bicap capture -f` runs it."""

    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec
    status: Any = None  # let pass: it comes with `kubectl get -o yaml`
