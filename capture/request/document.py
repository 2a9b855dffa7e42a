"""The document: every field of a capture, declared once. As JSON it is the `spec` of our PacketCapture.

It is a table, and therefore longer than other modules: whoever adds a field finds its neighbours here.

None or an empty list means "not given": the default holds, and one document can be laid over another (overlay.py).
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from capture.recording import (
    AFTER_DEFAULT_NS,
    BEFORE_DEFAULT_NS,
    COOLDOWN_DEFAULT_NS,
    KEPT_DEFAULT,
    MEMORY_DEFAULT,
    SIZE_DEFAULT,
)
from capture.request import forms
from capture.request.declaration import Merge, field, option
from capture.request.kubernetes import DirectionWord, NonEmpty, PodReference, PointWord
from capture.request.parts import ConversationsPart, Part, RulePart, Selector
from capture.request.rules import read_rules
from capture.sampling.levels import OnPressure
from capture.sampling.sampler import SEED_MAX
from capture.spec import BUFFER_DEFAULT, SNAPLEN_MAX, SNAPLEN_MIN, Hook
from capture.storage import COMMENT_MAX

Quantity = int | NonEmpty
Count = Annotated[int, Meta(ge=1)]
Snaplen = Annotated[int, Meta(ge=SNAPLEN_MIN, le=SNAPLEN_MAX)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1, extra={"le": SEED_MAX})]
"""Seed of samplers. msgspec compares at most 63 bits; `fields.problem` compares an option with SEED_MAX."""
Time = Annotated[datetime, Meta(tz=True)]


class TargetPart(Part, frozen=True):
    """Where to capture."""

    pods: Annotated[
        list[PodReference],
        field(
            "All interfaces of these pods.",
            "pods.pods",
            option(
                "--pod",
                unit="[NAMESPACE/]NAME",
                help="All interfaces of this pod, now and when it is made again; may be repeated.",
                key_type=list[str],
            ),
            reads=forms.read_pods,
            merge=Merge.CHOOSES,
        ),
    ] = []
    namespaces: Annotated[
        list[NonEmpty],
        field(
            "All pods of these namespaces; with selector or containers, only those that match.",
            "pods.namespaces",
            option(
                "--namespace",
                unit="NAMESPACE",
                help="All pods of this namespace; with --selector or --container only those that match; with --pod "
                "NAME, its namespace.  [default for --pod: default]",
            ),
            reads=forms.read_namespaces,
            merge=Merge.CHOOSES,
        ),
    ] = []
    selector: Annotated[
        Selector | None,
        field(
            "Pods with these labels, as the runtime has them: those given at the pod's creation.",
            "pods.labels",
            option(
                "-l",
                "--selector",
                unit="LABELS",
                help="Pods by their labels, as for kubectl: app=web,tier!=db, env in (prod,stage), canary, !old.",
                words=forms.selector,
                key_type=str | None,
            ),
            reads=forms.read_selector,
            summary="pods.selector",
            merge=Merge.CHOOSES,
        ),
    ] = None
    containers: Annotated[
        list[NonEmpty],
        field(
            "Pods that have a container of this name or ID.",
            "pods.containers",
            option("--container", unit="NAME|ID", help="Pods that have this container; may be repeated."),
            reads=forms.read_containers,
            merge=Merge.CHOOSES,
        ),
    ] = []
    interfaces: Annotated[
        list[NonEmpty],
        field(
            "Interfaces of the node, by their names.",
            "interfaces",
            option("-i", "--interface", unit="NAME", help="Interface; may be repeated.", before="--pod"),
            merge=Merge.CHOOSES,
        ),
    ] = []
    nodes: Annotated[
        list[NonEmpty],
        field(
            "In a cluster: only on these nodes. Default: all with chosen pods; for interfaces, all with an agent.",
        ),
    ] = []
    pids: Annotated[
        list[int],
        field(
            "The network namespaces of these processes.",
            "pods.processes",
            option("--pid", unit="PID", help="The network namespace of this process; may be repeated."),
            summary="pods.pids",
            merge=Merge.CHOOSES,
            refused="a process number means something on one node only; give --pid there",
        ),
    ] = []
    all_pods: Annotated[
        bool | None,
        field(
            "All pods of the node.",
            "pods.everything",
            option("--all-pods", help="All pods of this node."),
            default=False,
            summary="pods.all",
            merge=Merge.CHOOSES,
        ),
    ] = None
    own: Annotated[
        bool | None,
        field(
            "The pod that bicap runs in itself.",
            "pods.own",
            option("--self"),
            default=False,
            summary="pods.self",
            merge=Merge.CHOOSES,
            refused="only a command line knows which pod it runs in; give --self there",
        ),
    ] = msgspec.field(default=None, name="self")
    point: Annotated[
        PointWord | None,
        field(
            "Capture at the pods that rules name as source, destination or both. Default, where nothing else says "
            "where: Source if a rule's source is a pod, else Destination.",
            "pods.point",
            option(
                "--point",
                help="Capture at the pods that rules name as source, destination, or both.  "
                "[default, where nothing else says where: source, if a rule's source is a pod]",
                choices=tuple(forms.POINT_WORDS),
                words=forms.point,
            ),
            reads=forms.read_point,
            merge=Merge.WITH_CHOICE,
        ),
    ] = None
    wait: Annotated[
        bool | None,
        field(
            "Wait for the first such pod, if there is none yet.",
            "pods.wait",
            option("--wait"),
            default=False,
            merge=Merge.WITH_CHOICE,
        ),
    ] = None
    cri_sockets: Annotated[
        list[NonEmpty],
        field(
            "Sockets of the container runtime.",
            "pods.sockets",
            option(
                "--cri-socket",
                unit="PATH",
                help="Socket of the container runtime; may be repeated.",
                default="where containerd and CRI-O have it",
                words=forms.sockets,
            ),
            summary="pods.cri_sockets",
            merge=Merge.WITH_CHOICE,
            refused="where the runtime has its socket depends on the node; give --cri-socket there",
        ),
    ] = []
    pods_file: Annotated[
        NonEmpty | None,
        field(
            "A file with the pods, as `bicap pods --json` prints them, instead of the container runtime.",
            "pods.listed",
            option(
                "--pods-file",
                unit="FILE",
                help="Pods from this file, as `bicap pods --json` prints them, instead of the container runtime; "
                "followed when it is replaced.",
            ),
            summary="pods.pods_file",
            merge=Merge.WITH_CHOICE,
            refused="it is a file of one node; give --pods-file there",
        ),
    ] = None
    netns: Annotated[
        NonEmpty | None,
        field(
            "Network namespace of the node in which the interfaces live, by its name or path.",
            "netns",
            option("--netns", unit="NAME|PATH", help="Network namespace in which the interfaces live."),
        ),
    ] = None
    hook: Annotated[
        Hook | None,
        field(
            "Hook of the programs; xdp is for packets that an interface receives, with tc for those that it sends.",
            "hook",
            option("--hook", default="auto", words=forms.hook),
            default="auto",
        ),
    ] = None


class SamplingPart(Part, frozen=True):
    """What is kept of the packets that match."""

    samplers: Annotated[
        list[NonEmpty],
        field(
            "flow:10%, packet:1/100, first:20, rate:1000pps, rate:10mbit, reverse=first:5; all must agree.",
            "sampling.samplers",
            option(
                "--sample",
                unit="SAMPLER",
                help="Keep flow:1/10 or flow:10% of conversations, packet:1/100 of packets, first:20 of each "
                "conversation and direction, rate:1000pps or rate:10mbit; all given must agree. For one direction: "
                "reverse=first:5.",
            ),
            reads=forms.read_samplers,
            summary="sample",
            merge=Merge.ADDED,
        ),
    ] = []
    seed: Annotated[
        Seed | None,
        field(
            "Captures with one seed choose the same conversations, on any node.",
            "sampling.seed",
            option("--sample-seed", unit="NUMBER", default="0"),
            default=0,
            summary="sample_seed",
            title="sample seed",
        ),
    ] = None
    keep_control: Annotated[
        bool | None,
        field(
            "Keep SYN, FIN, RST and ICMP errors whatever samplers say.",
            "sampling.keep_control",
            option("--keep-control", default="keep-control"),
            default=True,
            summary="keep_control",
        ),
    ] = None
    headers_only: Annotated[
        bool | None,
        field(
            "Keep headers up to the transport layer, and no payload.",
            "sampling.headers_only",
            option("--headers-only"),
            default=False,
            summary="headers_only",
        ),
    ] = None
    snaplen: Annotated[
        Snaplen | None,
        field(
            "Keep this many bytes of a packet.",
            "snaplen",
            option(
                "-s",
                "--snaplen",
                unit="BYTES",
                help="Keep this many bytes of a packet.",
                default="all",
                words=forms.snaplen,
            ),
            default=SNAPLEN_MAX,
        ),
    ] = None
    on_pressure: Annotated[
        list[OnPressure],
        field(
            "While rings fill, in this order: truncate (no payload), sample (fewer conversations), lose.",
            "on_pressure",
            option("--on-pressure", unit="MEASURES", default="lose", words=forms.measures, key_type=list[str]),
            reads=forms.read_measures,
        ),
    ] = []


class LimitsPart(Part, frozen=True):
    """When the capture begins and ends; the first limit that is reached ends it."""

    packets: Annotated[
        Count | None,
        field(
            "End after writing this many packets.",
            "count",
            option("-c", "--count", unit="PACKETS", help="End after writing this many packets."),
        ),
    ] = None
    forward_packets: Annotated[
        Count | None,
        field(
            "End after writing this many packets from source to destination.",
            "count_forward",
            option("--count-forward", unit="PACKETS", help="End after this many of the forward direction."),
        ),
    ] = None
    reverse_packets: Annotated[
        Count | None,
        field(
            "End after writing this many packets from destination to source.",
            "count_reverse",
            option("--count-reverse", unit="PACKETS", help="End after this many of the reverse direction."),
        ),
    ] = None
    bytes: Annotated[
        Quantity | None,
        field(
            "End before all files together exceed this size, before compression: 500M, 1Gi.",
            "max_bytes",
            option(
                "--max-bytes",
                unit="SIZE",
                help="End before the output exceeds this size, before compression: 500MB.",
            ),
            reads=forms.read_size,
        ),
    ] = None
    duration: Annotated[
        Quantity | None,
        field(
            "End after this long: 30s, 1h30m; a number is seconds.",
            "duration_ns",
            option(
                "--duration", unit="TIME", help="End after this long: 30s, 5m, 1h.", words=forms.positive_duration
            ),
            reads=forms.read_duration,
        ),
    ] = None
    start_at: Annotated[
        Time | None,
        field(
            "Begin at this time.",
            "start_at_ns",
            option("--start-at", unit="TIME", help="Begin at 18:30, or 2026-11-24T18:30:00."),
            reads=forms.read_time,
        ),
    ] = None
    stop_at: Annotated[
        Time | None,
        field(
            "End at this time.",
            "stop_at_ns",
            option("--stop-at", unit="TIME", help="End at that time."),
            reads=forms.read_time,
        ),
    ] = None
    buffer: Annotated[
        Quantity | None,
        field(
            "Memory of all rings together.",
            "buffer_bytes",
            option("--buffer", unit="SIZE", default=f"{BUFFER_DEFAULT >> 20}MiB"),
            default=f"{BUFFER_DEFAULT >> 20}Mi",
            reads=forms.read_size,
        ),
    ] = None


class StoragePart(Part, frozen=True):
    """What is written, and where on the node."""

    path: Annotated[
        NonEmpty | None,
        field(
            "The pcapng file.",
            option=option("-w", "--write", unit="FILE", help="pcapng file, or - for a live stream on stdout."),
            refused_in_cluster="the agent of each node names the files; leave it out",
        ),
    ] = None
    file_size: Annotated[
        Quantity | None,
        field(
            "Begin another file before one exceeds this size: 256Mi.",
            "storage.file_bytes",
            option(
                "-C",
                unit="SIZE",
                help="Begin another file before one exceeds this size: 100 (MB), 64MiB.",
                words=forms.file_size,
            ),
            reads=forms.read_size,
        ),
    ] = None
    file_time: Annotated[
        Quantity | None,
        field(
            "Begin another file after this long: 1h; a number is seconds.",
            "storage.file_ns",
            option("-G", unit="TIME", help="Begin another file after this long: 60 (seconds), 1h."),
            reads=forms.read_duration,
        ),
    ] = None
    files_kept: Annotated[
        Count | None,
        field("Keep this many files, the latest.", "storage.files_kept", option("-W", unit="FILES")),
    ] = None
    compress: Annotated[
        Literal["zstd"] | None,
        field(
            "Compress files. Default: not.",
            "storage.compress",
            option("--compress", help="Compress files; Wireshark reads them as they are."),
        ),
    ] = None
    unique: Annotated[
        bool | None,
        field(
            "Give the output a name of its own, with the time of its start; no earlier file is replaced.",
            "storage.unique",
            option("--unique"),
            default=False,
            refused_in_cluster="files of a cluster have names of their own; leave it out",
        ),
    ] = None
    comment: Annotated[
        Annotated[str, Meta(min_length=1, max_length=COMMENT_MAX)] | None,
        field(
            "A comment in the header of every file.",
            "storage.comment",
            option("--capture-comment", unit="TEXT", help="Comment in the header of every file."),
        ),
    ] = None
    user: Annotated[
        NonEmpty | None,
        field(
            "Owner of the files. Default: who runs bicap.",
            "storage.user",
            option("--user", unit="NAME", help="Owner of the files.", default="who runs bicap"),
            refused_in_cluster="files belong to the agent of their node; leave it out",
        ),
    ] = None
    ttl: Annotated[
        Quantity | None,
        field(
            "In a cluster: delete the object and its files this long after the end: 90m, 24h. Default: 24h.",
        ),
    ] = None
    min_free: Annotated[
        Quantity | None,
        field(
            "End before the disk has less free space: 5%, 2Gi.",
            "storage.min_free",
            option("--min-free", unit="SHARE|SIZE", help="End before the disk has less free space: 5%, 2GiB."),
            reads=forms.read_min_free,
        ),
    ] = None


class StorePart(Part, frozen=True):
    """Where finished files are uploaded to."""

    name: Annotated[
        NonEmpty | None,
        field(
            "In a cluster: upload finished files to this CaptureStore, in the namespace of the capture; of a "
            "ClusterPacketCapture, in bicap-system.",
        ),
    ] = None
    url: Annotated[
        NonEmpty | None,
        field(
            "Upload finished files there while the capture runs: s3://bucket/prefix, gs://, az://, sftp://user@host",
            "storage.store.url",
            option(
                "--store",
                unit="URL",
                help="Upload finished files there while the capture runs: s3://bucket/prefix, gs://bucket/prefix, "
                "az://container/prefix, sftp://user@host/folder, file:///folder.",
            ),
            reads=forms.read_store_url,
            refused_in_cluster="a capture names a CaptureStore, so that nobody sends its credentials elsewhere; give "
            "spec.store.name",
        ),
    ] = None
    credentials: Annotated[
        NonEmpty | None,
        field(
            "File with the credentials of the store. Default: the standard sources of the store.",
            "storage.store.credentials",
            option(
                "--store-credentials",
                unit="FILE",
                help="File with the credentials: as ~/.aws/credentials, a JSON key of Google, a private key.",
                default="the store's standard sources",
            ),
            refused_in_cluster="credentials are those of the CaptureStore; give spec.store.name",
        ),
    ] = None
    known_hosts: Annotated[
        NonEmpty | None,
        field(
            "File with the host key of an SFTP server, as ~/.ssh/known_hosts.",
            "storage.store.known_hosts",
            option(
                "--store-known-hosts",
                unit="FILE",
                help="File with the host key of the SFTP server.",
                default="~/.ssh/known_hosts",
            ),
            refused_in_cluster="the host key is that of the CaptureStore; give spec.store.name",
        ),
    ] = None
    delete: Annotated[
        bool | None,
        field(
            "Delete each file here once the store has confirmed it.",
            "storage.store.delete",
            option("--store-delete"),
            default=False,
            refused_in_cluster="files are deleted with their capture once they are uploaded; see storage.ttl",
        ),
    ] = None
    retry: Annotated[
        Quantity | None,
        field(
            "Try uploads again until this long after the end of the capture.",
            "storage.store.retry_ns",
            option(
                "--store-retry",
                unit="TIME",
                help="Try uploads again until this long after the end of the capture.",
                default="1h",
            ),
            reads=forms.read_duration,
            refused_in_cluster="uploads are tried as long as the files are kept; see storage.ttl",
        ),
    ] = None


class RecordPart(Part, frozen=True):
    """What a recorder keeps in memory, and the incidents that it writes when a trigger fires."""

    before: Annotated[
        Quantity | None,
        field(
            f"An incident begins this long before its trigger, as far as memory reaches. Default: "
            f"{BEFORE_DEFAULT_NS // 10**9}s.",
            "recording.before_ns",
            option(
                "--before",
                unit="TIME",
                help="Begin an incident this long before its trigger, as far as memory reaches.",
                default=f"{BEFORE_DEFAULT_NS // 10**9}s",
                words=forms.positive_duration,
            ),
            reads=forms.read_duration,
        ),
    ] = None
    after: Annotated[
        Quantity | None,
        field(
            f"An incident ends this long after its last trigger. Default: {AFTER_DEFAULT_NS // 10**9}s.",
            "recording.after_ns",
            option(
                "--after",
                unit="TIME",
                help="End an incident this long after its last trigger.",
                default=f"{AFTER_DEFAULT_NS // 10**9}s",
            ),
            reads=forms.read_duration,
        ),
    ] = None
    memory: Annotated[
        Quantity | None,
        field(
            f"Memory for packets, of all CPUs together. Default: {MEMORY_DEFAULT >> 20}Mi.",
            "recording.memory_bytes",
            option(
                "--memory",
                unit="SIZE",
                help="Memory for packets, of all CPUs together.",
                default=f"{MEMORY_DEFAULT >> 20}MiB",
            ),
            reads=forms.read_size,
        ),
    ] = None
    folder: Annotated[
        NonEmpty | None,
        field(
            "Folder that incidents are written into.",
            "recording.folder",
            option("--incidents", unit="FOLDER", help="Folder that incidents are written into."),
            refused_in_cluster="the agent of each node names the folder; leave it out",
        ),
    ] = None
    cooldown: Annotated[
        Quantity | None,
        field(
            f"Begin no incident for this long after the end of one. Default: {COOLDOWN_DEFAULT_NS // 10**9}s.",
            "recording.cooldown_ns",
            option(
                "--cooldown",
                unit="TIME",
                help="Begin no incident for this long after the end of one.",
                default=f"{COOLDOWN_DEFAULT_NS // 10**9}s",
            ),
            reads=forms.read_duration,
        ),
    ] = None
    kept: Annotated[
        Count | None,
        field(
            f"Keep this many incidents, the latest. Default: {KEPT_DEFAULT}.",
            "recording.kept",
            option(
                "--max-incidents",
                unit="INCIDENTS",
                help="Keep this many incidents, the latest.",
                default=str(KEPT_DEFAULT),
            ),
        ),
    ] = None
    size: Annotated[
        Quantity | None,
        field(
            f"Keep this many bytes of incidents, the latest; one alone ends there. Default: {SIZE_DEFAULT >> 30}Gi.",
            "recording.size",
            option(
                "--incidents-size",
                unit="SIZE",
                help="Keep this many bytes of incidents, the latest; one alone ends there.",
                default=f"{SIZE_DEFAULT >> 30}GiB",
            ),
            reads=forms.read_size,
        ),
    ] = None
    age: Annotated[
        Quantity | None,
        field(
            "Remove incidents that are older than this.",
            "recording.age_ns",
            option("--incidents-age", unit="TIME", words=forms.positive_duration),
            reads=forms.read_duration,
        ),
    ] = None


class Document(Part, frozen=True):
    """What to capture."""

    bidirectional: Annotated[
        bool | None,
        field(
            "True is direction Both, false SourceToDestination.",
            option=option("--bidirectional", help="--direction both, or forward.", before="--inner"),
        ),
    ] = None
    direction: Annotated[
        DirectionWord | None,
        field(
            "Which packets of a conversation. Default: Both.",
            "direction",
            option(
                "--direction",
                help="From source to destination, back, or both.",
                default="both",
                choices=tuple(forms.DIRECTION_WORDS),
                words=forms.direction,
                before="--bidirectional",
            ),
            reads=forms.read_direction,
        ),
    ] = None
    target: TargetPart = msgspec.field(default_factory=TargetPart)
    rules: Annotated[
        list[RulePart],
        field(
            "A packet of any of these is kept. Default: every packet.",
            "rules",
            reads=read_rules,
            merge=Merge.ADDED,
        ),
    ] = []
    conversations: Annotated[
        ConversationsPart | None,
        field(
            "Beside rules, exact five-tuples by the thousand.",
            "conversations",
            option(
                "--conversations",
                aliases=("--sessions",),
                unit="FILE",
                help="Exact five-tuples, one a line (tcp 10.0.0.1:4000 10.0.0.2:80), - is stdin; SIGHUP reads FILE "
                "again.",
                words=forms.conversations,
                key_type=str | list[str] | None,
            ),
            reads=forms.read_listed,
            written=forms.plain_conversations,
        ),
    ] = None
    expression: Annotated[
        NonEmpty | None,
        field(
            "Instead of rules, a tcpdump expression; answers match too.",
            "expression",
            option("EXPRESSION"),
            reads=forms.read_expression,
            written=lambda expression: expression and expression.source,
        ),
    ] = None
    inner: Annotated[
        bool | None,
        field(
            "Match also the packet inside VXLAN, Geneve, GRE and IP in IP.",
            "inner",
            option("--inner"),
            default=False,
        ),
    ] = None
    icmp_errors: Annotated[
        bool | None,
        field(
            "Keep ICMP errors about a matching packet.",
            "icmp_errors",
            option("--icmp-errors", default="icmp-errors"),
            default=True,
        ),
    ] = None
    reasons: Annotated[
        bool | None,
        field(
            "Record why the kernel drops packets of these conversations, and why it resets them.",
            "reasons",
            option("--reasons"),
            default=False,
            refused_in_cluster="they are those of the whole node; run bicap record there",
        ),
    ] = None
    sampling: SamplingPart = msgspec.field(default_factory=SamplingPart)
    limits: LimitsPart = msgspec.field(default_factory=LimitsPart)
    storage: StoragePart = msgspec.field(default_factory=StoragePart)
    store: StorePart = msgspec.field(default_factory=StorePart)
    record: RecordPart = msgspec.field(default_factory=RecordPart)
    triggers: Annotated[
        list[NonEmpty],
        field(
            "Rules that begin an incident of a recorder: handshake=unanswered, 'retransmitted>=5 in 10s per server'; "
            "any of them.",
            "recording.triggers",
            option(
                "--trigger",
                unit="RULE",
                help="Begin an incident when this becomes true: handshake=unanswered, 'retransmitted>=5 in 10s per "
                "server', 'rate(packets)>3x', finding=mtu-black-hole; may be repeated. `bicap trigger --try` tries a "
                "rule on old captures.",
                key_type=list[str],
            ),
            merge=Merge.ADDED,
        ),
    ] = []


def is_recorder(document: Document) -> bool:
    """True if the document asks for a recorder: it has a field of one, or a trigger."""
    return document.record != RecordPart() or bool(document.triggers)


def as_json(document: Document) -> dict[str, Any]:
    """Return plain values of the fields that are given; `msgspec.convert` turns them into an equal document."""
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return {name: value for name, value in plain.items() if value != {}}
