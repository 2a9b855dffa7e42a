"""Captures of the cluster by name: create, read, watch, stop, delete; and what targets name.

All of it by kubectl; the paths are those of the API, so that no discovery is needed for them.
"""

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from capture.cluster.kube import SYSTEM_NAMESPACE, KubePod
from capture.cluster.objects import CaptureObject
from capture.errors import ApiError, TargetError
from capture.kubectl.chosen_pods import (
    NamedPod,
    Resolved,
    selector_of,
    selector_text,
    service_addresses,
)
from capture.kubectl.kubectl_command import Kubectl, end
from capture.kubectl.target_words import TargetWord
from capture.request.own import API_VERSION, CLUSTER_KIND, KIND

WATCH_SECONDS = 240
_ROOT = f"/apis/{API_VERSION}"


@dataclass(frozen=True, slots=True)
class CaptureName:
    """The name of a capture, and its namespace; "" for a ClusterPacketCapture."""

    name: str
    namespace: str

    @property
    def kind(self) -> str:
        """The kind of the object."""
        return KIND if self.namespace else CLUSTER_KIND

    @property
    def resource(self) -> str:
        """The resource, with its group, as kubectl takes it."""
        return f"{self.kind.lower()}s.{API_VERSION.partition('/')[0]}"

    @property
    def where(self) -> tuple[str, ...]:
        """The namespace for kubectl."""
        return ("-n", self.namespace) if self.namespace else ()

    @property
    def collection(self) -> str:
        """The path of the objects of its kind."""
        space = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{_ROOT}{space}/{self.kind.lower()}s"

    @property
    def access_namespace(self) -> str:
        """The namespace of the right to fetch it."""
        return self.namespace or SYSTEM_NAMESPACE

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class CaptureApi:
    """Captures, and what targets name, through kubectl."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def create(self, name: CaptureName, spec: Any, generate: bool) -> CaptureObject:
        """Create a capture; with `generate`, the name is the beginning of one that the API server makes."""
        key = "generateName" if generate else "name"
        metadata = {key: name.name} | ({"namespace": name.namespace} if name.namespace else {})
        body = {"apiVersion": API_VERSION, "kind": name.kind, "metadata": metadata, "spec": spec}
        return _capture(self.kubectl.create(body))

    def read(self, name: CaptureName) -> CaptureObject:
        """Return a capture as it is now."""
        return _capture(self.kubectl.raw(f"{name.collection}/{quote(name.name)}"))

    def stop(self, name: CaptureName) -> None:
        """End a capture and keep its files."""
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        patch = json.dumps({"spec": {"limits": {"stopAt": at}}})
        self.kubectl.run("patch", name.resource, name.name, *name.where, "--type=merge", "-p", patch)

    def put_off(self, name: CaptureName, before: str | None, at: str) -> None:
        """Set the time to stop, if it is still `before`. Raises ApiError."""
        words = ("patch", name.resource, name.name, *name.where)
        if before is None:
            self.kubectl.run(*words, "--type=merge", "-p", json.dumps({"spec": {"limits": {"stopAt": at}}}))
            return
        where = "/spec/limits/stopAt"
        patch = [{"op": "test", "path": where, "value": before}, {"op": "replace", "path": where, "value": at}]
        self.kubectl.run(*words, "--type=json", "-p", json.dumps(patch))

    def delete(self, name: CaptureName, wait: bool = False) -> None:
        """Delete a capture with its files; one that is gone already is fine."""
        words = ("delete", name.resource, name.name, *name.where, "--ignore-not-found")
        self.kubectl.run(*words, f"--wait={str(wait).lower()}")

    def watch(self, name: CaptureName, tick_seconds: float = 1.0) -> Iterator[CaptureObject | None]:
        """Yield a capture whenever it changes, and None when nothing has changed for a tick.

        Raises ApiError if it is deleted, or cannot be watched.
        """
        selector = quote(f"metadata.name={name.name}")
        path = f"{name.collection}?watch=1&fieldSelector={selector}&timeoutSeconds={WATCH_SECONDS}"
        while True:
            yield self.read(name)
            process = self.kubectl.start("get", "--raw", path, stderr=subprocess.DEVNULL)
            lines: queue.Queue[bytes] = queue.Queue()
            reader = threading.Thread(target=_lines, args=(process, lines), name="watch", daemon=True)
            reader.start()
            try:
                while True:
                    try:
                        line = lines.get(timeout=tick_seconds)
                    except queue.Empty:
                        yield None
                        continue
                    if not line:
                        break
                    found = _event(line, name)
                    if found is not None:
                        yield found
            finally:
                end_of(process, reader)
            yield None

    def resolve(self, word: TargetWord, namespace: str, pods: bool) -> Resolved:
        """Return what a target is; its pods only if they are needed. Raises TargetError, ApiError."""
        space = word.namespace or namespace
        if word.kind == "namespace":
            return Resolved(word, word.name, None, tuple(self.pods(word.name)) if pods else ())
        found = self._found(word, space)
        if word.kind == "pod":
            return Resolved(word, space, None, (_named(found),))
        selector = selector_of(word, found)
        chosen = tuple(self.pods(space, selector_text(selector))) if pods else ()
        addresses = service_addresses(found) if word.kind == "service" else ()
        return Resolved(word, space, selector, chosen, addresses)

    def _found(self, word: TargetWord, namespace: str) -> Any:
        try:
            return self.kubectl.json("get", word.kind, word.name, "-n", namespace, "-o", "json")
        except ApiError as error:
            if error.code != 404:
                raise
            raise TargetError(
                f"{word} does not exist in namespace {namespace}; "
                f"kubectl get {word.kind}s -n {namespace} lists those that do"
            ) from None

    def pods(self, namespace: str, selector: str = "") -> list[NamedPod]:
        """Return the pods of a namespace with these labels that run, or will."""
        words = ["-l", selector] if selector else []
        items = self.kubectl.json("get", "pods", "-n", namespace, *words, "-o", "json")["items"]
        found = [(msgspec.convert(item, KubePod), item) for item in items]
        return [_named(item) for pod, item in found if pod.status.phase not in ("Succeeded", "Failed")]


def _named(item: Any) -> NamedPod:
    pod = msgspec.convert(item, KubePod)
    ips = [one.ip for one in pod.status.pod_ips if one.ip]
    return NamedPod(
        pod.metadata.namespace,
        pod.metadata.name,
        pod.spec.node_name,
        ips[0] if ips else "",
        pod.status.phase,
    )


def _capture(found: Any) -> CaptureObject:
    try:
        return msgspec.convert(found, CaptureObject)
    except msgspec.ValidationError as error:
        raise ApiError(f"the API server has a capture that cannot be read: {error}", 0) from None


def _event(line: bytes, name: CaptureName) -> CaptureObject | None:
    """Return the capture of an event; None for an event that says nothing about it."""
    try:
        event = json.loads(line)
    except ValueError:  # cut off in the middle
        return None
    if event.get("type") == "DELETED":
        raise ApiError(f"{name.kind} {name} was deleted", 404)
    return _capture(event["object"]) if event.get("type") in ("ADDED", "MODIFIED") else None


def _lines(process: subprocess.Popen[bytes], lines: "queue.Queue[bytes]") -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):  # closed under us
        for line in process.stdout:
            lines.put(line)
    lines.put(b"")


def end_of(process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
    """End a process and the thread that reads it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    reader.join(5)
    end(process)


def lists(api: CaptureApi, words: Sequence[TargetWord], namespace: str) -> list[Resolved]:
    """Return targets with their pods."""
    return [api.resolve(word, namespace, pods=True) for word in words]
