"""The objects of bicap.io: captures as users make them, their status, the right to fetch one, and the NodeCaptures
between controller and agents.

A status has a bounded size: files and interruptions beyond the latest are counted only.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Any

import msgspec

from capture.cluster.kube import KubeStruct, ObjectMetadata
from capture.cluster.recorder_objects import FiredOrder, NodeRecorder, RecorderSummary
from capture.request.kubernetes import says

FILES_SHOWN = 32
INTERRUPTIONS_SHOWN = 16
INTERFACES_SHOWN = 32
NODE_LABEL, CAPTURE_LABEL = "bicap.io/node", "bicap.io/capture-uid"
CONTROLLER_FINALIZER, AGENT_FINALIZER = "bicap.io/captures", "bicap.io/files"

PENDING, WAITING, CAPTURING, CAPTURED, FAILED = "Pending", "Waiting", "Capturing", "Captured", "Failed"
"""Phases on a node: not begun, begun without a pod, packets are being caught, ended with files, ended in error."""
ENDED = (CAPTURED, FAILED)


class DirectionTraffic(KubeStruct):
    """Packets of one direction that are in the files."""

    packets: Annotated[int, says("Packets in the files.")] = 0
    bytes: Annotated[int, says("Their bytes.")] = 0


class FileEntry(KubeStruct):
    """A file on the node."""

    name: Annotated[str, says("Name of the file, in the folder of the capture on its node.")]
    bytes: Annotated[int, says("Size of the file.")] = 0
    sha256: Annotated[str | None, says("SHA-256 of the file, once it is complete.")] = None
    first: Annotated[datetime | None, says("When the file begins.")] = None
    last: Annotated[datetime | None, says("When the file ends.")] = None


class Interruption(KubeStruct):
    """A time in which packets were not caught."""

    begin: Annotated[datetime, says("Last time at which packets are known to have been caught.")] = msgspec.field(
        name="from"
    )
    end: Annotated[datetime | None, says("When packets were caught again.")] = msgspec.field(name="to", default=None)
    reason: Annotated[str, says("What interrupted the capture.")] = ""


OBJECT_NAME = r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$"
"""A name of Kubernetes' objects: one that becomes a part of a path leads nowhere else."""


class SecretName(KubeStruct):
    """A Secret in the namespace of the object."""

    name: Annotated[
        str,
        says("Name of the Secret; its key credentials is a file as for --store-credentials."),
        msgspec.Meta(pattern=OBJECT_NAME),
    ]


class StoreSpec(KubeStruct):
    """Where a store is, and whose credentials open it."""

    url: Annotated[str, says("s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or sftp://user@host/.")]
    secret_ref: Annotated[SecretName | None, says("Credentials of the store; no others are ever used.")] = None
    service_account_name: Annotated[
        Annotated[str, msgspec.Meta(pattern=OBJECT_NAME)] | None,
        says("With s3, in place of a Secret: a service account of this namespace, by whose tokens AWS gives a role."),
    ] = None
    role_arn: Annotated[str | None, says("With a service account: the role of AWS that it takes.")] = msgspec.field(
        name="roleARN", default=None
    )
    sts_endpoint: Annotated[
        str | None, says("With a service account: where roles are given, if not by AWS: https://sts.example.")
    ] = None
    host_key: Annotated[str | None, says("With sftp: the host key, as a line of known_hosts.")] = None
    endpoint: Annotated[str | None, says("With s3: where the store is, if it is not AWS: https://minio.example.")] = (
        None
    )
    region: Annotated[str | None, says("With s3: the region.")] = None
    ca: Annotated[str | None, says("PEM of the authority of the store's certificate, if it is not a public one.")] = (
        None
    )


class CaptureStoreObject(KubeStruct):
    """A store as its owner made it. The spec is not checked yet."""

    metadata: ObjectMetadata
    spec: Any = None


class StoreOrder(KubeStruct):
    """The store that a capture names, as it was when the order was given."""

    namespace: Annotated[str, says("Namespace of the store and of its Secret.")]
    name: Annotated[str, says("Name of the store.")]
    spec: Annotated[StoreSpec, says("Where it is.")]


class StoredFile(KubeStruct):
    """A file that a store has confirmed."""

    name: str
    bytes: int
    sha256: str


class UploadStatus(KubeStruct):
    """What became of the upload of a node's files."""

    store: Annotated[str, says("Name of the CaptureStore.")] = ""
    location: Annotated[str, says("Folder in the store.")] = ""
    files: Annotated[int, says("Files that are complete here.")] = 0
    uploaded: Annotated[int, says("Files that were read back from the store, whole.")] = 0
    complete: Annotated[bool, says("True if the store has all files of an ended capture, and their manifest.")] = (
        False
    )
    tries: Annotated[int, says("Tries for the file that was tried most often in vain.")] = 0
    next_try: Annotated[datetime | None, says("When the next try is.")] = None
    message: Annotated[str, says("Why the last try failed.")] = ""


class NodeStatus(KubeStruct):
    """What became of a capture on one node. packets = forward + reverse + unaccounted."""

    node: Annotated[str, says("The node.")] = ""
    observed_generation: Annotated[int, says("Generation of the NodeCapture that this is about.")] = 0
    phase: Annotated[str, says("Pending, Waiting, Capturing, Captured or Failed.")] = PENDING
    reason: Annotated[str, says("Why it is in this phase, in one word.")] = ""
    message: Annotated[str, says("The same for people.")] = ""
    started_at: Annotated[datetime | None, says("When the first packets could be caught.")] = None
    ended_at: Annotated[datetime | None, says("When the capture ended here.")] = None
    interfaces: Annotated[list[str], says("Where packets are being caught: pod and interface.")] = []
    seen: Annotated[int, says("Packets seen = unmatched + matched.")] = 0
    unmatched: Annotated[int, says("Packets that no rule selects.")] = 0
    matched: Annotated[
        int,
        says("Packets that match = written + sampledOut + overLimit + lost, + recorder.remembered."),
    ] = 0
    packets: Annotated[int, says("Packets in the files.")] = 0
    forward: Annotated[DirectionTraffic, says("From source to destination.")] = msgspec.field(
        default_factory=DirectionTraffic
    )
    reverse: Annotated[DirectionTraffic, says("From destination to source.")] = msgspec.field(
        default_factory=DirectionTraffic
    )
    unaccounted: Annotated[
        int, says("Packets in files whose capture was killed: their direction, and what was lost then, is not known.")
    ] = 0
    sampled_out: Annotated[int, says("Packets that samplers left out.")] = 0
    over_limit: Annotated[int, says("Packets after a limit was reached.")] = 0
    lost: Annotated[int, says("Packets that should be in the files and are not.")] = 0
    lost_by: Annotated[dict[str, int], says("Lost packets, by reason.")] = {}
    files: Annotated[list[FileEntry], says("The latest files.")] = []
    file_count: Annotated[int, says("Number of all files.")] = 0
    interruptions: Annotated[list[Interruption], says("Times without capturing.")] = []
    clock: Annotated[str, says("State of the node's clock: synchronized to within some time, or not.")] = ""
    upload: Annotated[UploadStatus | None, says("What became of the upload, if the capture names a store.")] = None
    recorder: Annotated[NodeRecorder | None, says("Of a recorder: its memory and its incidents.")] = None


class Condition(KubeStruct):
    """A condition, as Kubernetes defines it."""

    type: Annotated[str, says("Accepted, Capturing, Complete, Degraded or Uploaded.")]
    status: Annotated[str, says("True, False or Unknown.")]
    reason: Annotated[str, says("Why, in one word.")] = ""
    message: Annotated[str, says("Why, for people.")] = ""
    last_transition_time: Annotated[datetime | None, says("When the status changed.")] = None
    observed_generation: Annotated[int, says("Generation of the object that this is about.")] = 0


class CaptureStatus(KubeStruct):
    """What became of a capture."""

    observed_generation: Annotated[int, says("Generation of the object that this is about.")] = 0
    phase: Annotated[str, says("Rejected, Queued, Waiting, Starting, Capturing, Complete or Failed.")] = ""
    conditions: Annotated[
        list[Condition], says("Accepted, Capturing, Complete, Degraded; with a store, Uploaded.")
    ] = []
    node_summary: Annotated[str, says("Nodes that catch packets or have ended, of all.")] = ""
    packets: Annotated[int, says("Packets in all files.")] = 0
    lost: Annotated[int, says("Packets that should be in the files and are not.")] = 0
    started_at: Annotated[datetime | None, says("When the first packets could be caught.")] = None
    completed_at: Annotated[datetime | None, says("When it was complete on all nodes.")] = None
    nodes: Annotated[
        list[NodeStatus],
        says("What became of it on each node; of more than 100, on those in trouble, then on others."),
    ] = []
    recorder: Annotated[RecorderSummary | None, says("Of a recorder: the incidents of all nodes.")] = None

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of a type."""
        return next((one for one in self.conditions if one.type == kind), None)


class CaptureObject(KubeStruct):
    """A capture as a user made it. The spec is not checked yet."""

    metadata: ObjectMetadata
    spec: Any = None
    status: CaptureStatus = msgspec.field(default_factory=CaptureStatus)


class PodEntry(KubeStruct, omit_defaults=True):
    """A pod that a capture needs to know: one to capture at, or one that rules name, on any node."""

    namespace: str
    name: str
    uid: str
    node: str
    labels: dict[str, str] = {}
    ips: list[str] = []
    host_network: bool = False


class CaptureReference(KubeStruct):
    """The object that a NodeCapture belongs to."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class NodeCaptureSpec(KubeStruct):
    """What the agent of a node is to do."""

    node: Annotated[str, says("The node.")]
    capture: Annotated[CaptureReference, says("The capture that this is a part of.")]
    document: Annotated[Any, says("What to capture, as in the spec of a PacketCapture.")]
    pods: Annotated[
        list[PodEntry], says("Pods of this node to capture at, and pods of any node that rules name.")
    ] = []
    stop: Annotated[bool, says("True to end the capture and keep its files.")] = False
    store: Annotated[StoreOrder | None, says("Where finished files are uploaded to.")] = None
    fired: Annotated[list[FiredOrder], says("Triggers that fired elsewhere, the latest.")] = []


class NodeCapture(KubeStruct):
    """The part of a capture that runs on one node."""

    metadata: ObjectMetadata
    spec: NodeCaptureSpec
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class AccessTarget(KubeStruct):
    """The capture that a CaptureAccess is about: in its own namespace, or a cluster-wide one if that is bicap's."""

    kind: Annotated[str, says("PacketCapture; in the controller's namespace also ClusterPacketCapture.")]
    name: Annotated[str, says("Name of the capture.")]


class CaptureAccessSpec(KubeStruct):
    """Who has the secret may fetch the files of one capture, for some minutes."""

    capture: Annotated[AccessTarget, says("The capture.")]
    secret_sha256: Annotated[
        str,
        says("SHA-256 of 32 random bytes, in hexadecimal. The bytes themselves are known to their maker only."),
        msgspec.Meta(pattern="^[0-9a-f]{64}$"),
    ] = msgspec.field(name="secretSHA256")
    expires: Annotated[datetime, says("When the right ends: at most 10 minutes after the object was made.")]


class CaptureAccess(KubeStruct):
    """The right to fetch the files of a capture. Whoever may make one may fetch; who reads one gains nothing.

    The spec is not checked yet.
    """

    metadata: ObjectMetadata
    spec: Any = None

    def __str__(self) -> str:
        return f"{self.metadata.namespace}/{self.metadata.name}"


def node_capture_name(uid: str, node: str) -> str:
    """Return the name of the NodeCapture of a capture on a node; both may be as long as names can be."""
    return f"{uid}-{hashlib.sha256(node.encode()).hexdigest()[:10]}"
