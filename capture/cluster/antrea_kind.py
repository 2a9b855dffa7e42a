"""Antrea's PacketCapture -> a document; our status -> the fields and conditions that Antrea's has.

Types and reasons are Antrea's: PacketCaptureStarted, PacketCaptureComplete (Succeed, Timeout, Failed) and
PacketCaptureFileUploaded. Its objects are kept until somebody deletes them, as Antrea does.
"""

from datetime import datetime
from typing import Any

import msgspec

from capture.cluster.api import Api, Resource
from capture.cluster.capture_status import ACCEPTED, COMPLETE
from capture.cluster.kube import KubeStruct, ObjectMetadata, plain
from capture.cluster.objects import CaptureStatus, Condition
from capture.errors import ApiError, SpecError
from capture.request.antrea import ANTREA_API_VERSION, AntreaPacketCapture
from capture.request.document import Document

_STARTED, _COMPLETE, _UPLOADED = "PacketCaptureStarted", "PacketCaptureComplete", "PacketCaptureFileUploaded"
_REASONS = {"LimitPackets": "Succeed", "Duration": "Timeout"}
_FOR_EVER = "876000h"


class AntreaCondition(KubeStruct):
    """One of Antrea's conditions."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class AntreaStatus(KubeStruct):
    """Antrea's status."""

    number_captured: int = 0
    file_path: str = ""
    conditions: list[AntreaCondition] = []


class AntreaObject(KubeStruct):
    """Antrea's object as a controller sees it; its spec is not checked yet."""

    metadata: ObjectMetadata
    spec: Any = None
    status: AntreaStatus = msgspec.field(default_factory=AntreaStatus)


class AntreaKind:
    """Antrea's PacketCapture, where Antrea's own agents do not run it."""

    resource: Resource[Any] = Resource(
        ANTREA_API_VERSION, "packetcaptures", "PacketCapture", AntreaObject, namespaced=False
    )
    optional = True

    def document(self, item: Any) -> Document:
        """See CaptureKind. A file server is no reason to refuse: the file stays on its node, as the status says."""
        spec = {key: value for key, value in (item.spec or {}).items() if key != "fileServer"}
        found = {
            "apiVersion": ANTREA_API_VERSION,
            "kind": self.resource.kind,
            "metadata": {"name": item.metadata.name},
            "spec": spec,
        }
        try:
            document = msgspec.convert(found, AntreaPacketCapture).document()
        except msgspec.ValidationError as error:
            raise SpecError(str(error)) from None
        return msgspec.structs.replace(document, storage=msgspec.structs.replace(document.storage, ttl=_FOR_EVER))

    def status(self, item: Any) -> CaptureStatus:
        """See CaptureKind: what Antrea's conditions hold of it."""
        found = {condition.type: condition for condition in item.status.conditions}
        status = CaptureStatus(packets=item.status.number_captured)
        started, complete = found.get(_STARTED), found.get(_COMPLETE)
        if started is not None and started.status == "True":
            status.started_at = started.last_transition_time
        if complete is not None and complete.status == "True":
            reason = {word: ours for ours, word in _REASONS.items()}.get(complete.reason, "Ended")
            at = complete.last_transition_time
            status.completed_at = at
            status.conditions = [Condition(COMPLETE, "True", reason, complete.message, at)]
        return status

    def written(self, item: Any, status: CaptureStatus) -> Any:
        """See CaptureKind."""
        files = [f"{node.node}:{item.metadata.uid}/{file.name}" for node in status.nodes for file in node.files]
        conditions = [_started(status), _completed(status)]
        if isinstance(item.spec, dict) and item.spec.get("fileServer"):
            conditions.append(_not_uploaded(status))
        earlier = {condition.type: condition for condition in item.status.conditions}
        for condition in conditions:
            before = earlier.get(condition.type)
            if before is not None and before.status == condition.status:
                condition.last_transition_time = before.last_transition_time
        return plain(AntreaStatus(status.packets, files[0] if files else "", conditions))


def _at(status: CaptureStatus, kind: str) -> datetime | None:
    condition = status.condition(kind)
    return condition.last_transition_time if condition else None


def _started(status: CaptureStatus) -> AntreaCondition:
    if status.started_at is not None:
        return AntreaCondition(_STARTED, "True", "Started", "", status.started_at)
    accepted, waiting = status.condition(ACCEPTED), status.condition("Capturing")
    refused = accepted is not None and accepted.status == "False"
    said = accepted if refused else waiting
    return AntreaCondition(_STARTED, "False", "NotStarted", said.message if said else "", _at(status, ACCEPTED))


def _completed(status: CaptureStatus) -> AntreaCondition:
    accepted, complete = status.condition(ACCEPTED), status.condition(COMPLETE)
    if accepted is not None and accepted.status == "False":
        return AntreaCondition(_COMPLETE, "True", "Failed", accepted.message, accepted.last_transition_time)
    if complete is not None and complete.status == "True":
        reason = "Failed" if status.phase == "Failed" else _REASONS.get(complete.reason, "Failed")
        return AntreaCondition(_COMPLETE, "True", reason, complete.message, complete.last_transition_time)
    return AntreaCondition(
        _COMPLETE, "False", "Progressing", complete.message if complete else "", _at(status, COMPLETE)
    )


def _not_uploaded(status: CaptureStatus) -> AntreaCondition:
    text = "bicap does not upload to spec.fileServer; the file is on its node, see filePath"
    return AntreaCondition(_UPLOADED, "False", "Failed", text, _at(status, COMPLETE))


class _AgentInfo(KubeStruct):
    metadata: ObjectMetadata


_AGENTS = Resource("crd.antrea.io/v1beta1", "antreaagentinfos", "AntreaAgentInfo", _AgentInfo, namespaced=False)


def check_nobody_else_runs_them(api: Api) -> None:
    """Raise SpecError if Antrea's own agents run here: two would write the status of one object."""
    try:
        agents, _ = api.list(_AGENTS)
    except ApiError as error:
        if error.code == 404:  # no Antrea at all
            return
        raise
    if agents:
        raise SpecError(
            f"Antrea's own agents run here ({agents[0].metadata.name} and others) and take its PacketCaptures; "
            "leave --antrea out"
        )
