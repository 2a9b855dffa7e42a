"""A container runtime's CRI socket -> the pods it runs.

    runtime = Runtime("/run/containerd/containerd.sock")
    for pod in runtime.look().pods: ...

Only the runtime is asked, not an API server; its data about a pod dates from when the pod was made. A pod for which
the runtime gives an answer that makes no sense is left out and reported as a trouble; the others are listed.
"""

import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import grpc

from capture.errors import BicapError, PrivilegeError, TargetError
from capture.filters.podname import PodName
from capture.filters.rule import Address
from capture.pods import containerd_events_pb2 as containerd
from capture.pods import cri_pb2 as cri
from capture.pods.listing import Listing
from capture.selection.pod import Container, Pod

DEADLINE_SECONDS = 5.0
"""Longest wait for an answer, after which a runtime counts as hanging; a busy one lists hundreds of pods in a
fraction of it."""
_SERVICE = "/runtime.v1.RuntimeService/"
_EVENTS = "/containerd.services.events.v1.Events/Subscribe"
_EVENTS_OF_PODS = r'namespace==k8s.io,topic~="^/tasks/(start|delete)$|^/containers/|^/sandboxes/"'
"""Filter for events of pods. Events of images, and of commands that probes run in containers, are left out: a busy
node has them all the time."""
_OWN_LABELS = "io.kubernetes."
"""Prefix of labels that the kubelet adds for itself, like io.kubernetes.pod.name."""
_OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", 64 << 20),
    # By default the time between attempts to reach a stopped runtime grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class Runtime:
    """A connection to a runtime. Methods raise TargetError if it does not answer, PrivilegeError if we may not
    ask."""

    def __init__(self, path: str, deadline: float = DEADLINE_SECONDS) -> None:
        self.path, self._deadline = path, deadline
        self._known: dict[tuple[str, bool], Pod] = {}
        self._channel = grpc.insecure_channel(f"unix://{path}", options=_OPTIONS)

    def close(self) -> None:
        """Close the connection; threads that wait in `changes` or `look` get an error."""
        self._channel.close()

    @property
    def pid(self) -> int | None:
        """Pid of the process at the other end; None if it is not in our pid namespace."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.settimeout(self._deadline)
                probe.connect(self.path)
            except OSError as error:
                raise _unreachable(self.path, error) from None
            pid, _, _ = struct.unpack("=3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid) or None

    def look(self) -> Listing:
        """Return all pods of the node in the order of their names, including stopped ones that are not yet
        removed."""
        try:
            return self._look()
        except ValueError:  # grpc's error for a closed channel
            raise self._hung_up() from None

    def _hung_up(self) -> BicapError:
        return TargetError(f"the connection to the container runtime at {self.path} is closed")

    def _look(self) -> Listing:
        containers: dict[str, list[Container]] = {}
        for item in self._ask("ListContainers", cri.ListContainersRequest(), cri.ListContainersResponse).containers:
            container = Container(item.metadata.name, item.id, item.state == cri.CONTAINER_RUNNING)
            containers.setdefault(item.pod_sandbox_id, []).append(container)
        sandboxes = self._ask("ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse).items
        pods, troubles = self._detailed([_pod_of(sandbox, self.path) for sandbox in sandboxes])
        pods = [
            replace(pod, containers=tuple(sorted(containers.get(pod.sandbox, []), key=lambda c: c.name)))
            for pod in pods
        ]
        return Listing(tuple(sorted(pods, key=lambda pod: (pod.name, pod.created_ns))), tuple(troubles))

    def _detailed(self, pods: list[Pod]) -> tuple[list[Pod], list[str]]:
        """Return the pods with details from their status, and troubles.

        All are requested at once. The details of a pod do not change while its state lasts, so they are kept.
        """
        waiting = {
            pod.sandbox: self._call("PodSandboxStatus", cri.PodSandboxStatusResponse).future(
                cri.PodSandboxStatusRequest(pod_sandbox_id=pod.sandbox, verbose=True), timeout=self._deadline
            )
            for pod in pods
            if (pod.sandbox, pod.ready) not in self._known
        }
        known, complete, troubles = {}, [], []
        for pod in pods:
            key = pod.sandbox, pod.ready
            try:
                detailed = self._known.get(key) or _with_status(pod, waiting[pod.sandbox].result())
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:  # removed since it was listed
                    troubles.append(f"pod {pod.name}: {_refused(self.path, error)}")
                continue
            except ValueError as error:
                troubles.append(f"pod {pod.name}: {self.path} gives a status that makes no sense ({error})")
                continue
            known[key] = detailed
            complete.append(detailed)
        self._known = known
        return complete, troubles

    def changes(self) -> Iterator[None]:
        """Yield at once, and then after every change of any pod; ends with an error, as `look` does.

        CRI's events are tried first; containerd before 1.7 has only its own. Raises NotImplementedError if the
        runtime has neither.
        """
        streams = (
            (_SERVICE + "GetContainerEvents", cri.GetEventsRequest(), cri.ContainerEventResponse),
            (_EVENTS, containerd.SubscribeRequest(filters=[_EVENTS_OF_PODS]), containerd.Envelope),
        )
        yield
        for method, request, answer in streams:
            stream = self._channel.unary_stream(
                method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
            )
            try:
                for _ in stream(request):
                    yield
                raise TargetError(f"the container runtime at {self.path} ended its events")
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    raise _refused(self.path, error) from None
            except ValueError:
                raise self._hung_up() from None
        raise NotImplementedError

    def _call(self, method: str, answer: Any) -> Any:
        return self._channel.unary_unary(
            _SERVICE + method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

    def _ask(self, method: str, request: Any, answer: Any) -> Any:
        try:
            return self._call(method, answer)(request, timeout=self._deadline)
        except grpc.RpcError as error:
            raise _refused(self.path, error) from None


def _refused(path: str, error: Any) -> BicapError:
    """Return the error of a failed call, with one line for the user."""
    runtime = f"the container runtime at {path}"
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return TargetError(f"{runtime} does not answer (no connection); is it running?")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return TargetError(f"{runtime} hangs: it accepted the request and did not answer in time")
        case grpc.StatusCode.UNIMPLEMENTED:
            return TargetError(f"{runtime} does not speak CRI v1; containerd 1.6, CRI-O 1.23 and later do")
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return PrivilegeError(f"{runtime} refuses our requests; run as root")
        case code:
            return TargetError(f"{runtime} answers with an error: {error.details()} ({code.name})")


def _unreachable(path: str, error: OSError) -> BicapError:
    if isinstance(error, PermissionError):
        return PrivilegeError(f"the container runtime's socket {path} may not be used; run as root")
    return TargetError(f"the container runtime at {path} does not answer ({error.strerror or error}); is it running?")


def _pod_of(sandbox: Any, path: str) -> Pod:
    return Pod(
        name=PodName(sandbox.metadata.namespace, sandbox.metadata.name),
        uid=sandbox.metadata.uid,
        sandbox=sandbox.id,
        ready=sandbox.state == cri.SANDBOX_READY,
        created_ns=sandbox.created_at,
        labels={k: v for k, v in sorted(sandbox.labels.items()) if not k.startswith(_OWN_LABELS)},
        socket=path,
    )


def _with_status(pod: Pod, answer: Any) -> Pod:
    """Return the pod with the details of its status. Raises ValueError if the answer makes no sense."""
    network = answer.status.network
    host_network = answer.status.linux.namespaces.options.network == cri.NODE
    pid, netns = _process(answer.info.get("info", "{}"))
    return replace(
        pod,
        addresses=tuple(_address(text) for text in (network.ip, *(one.ip for one in network.additional_ips)) if text),
        host_network=host_network,
        pid=pid,
        netns=None if host_network or not pod.ready else netns or (f"/proc/{pid}/ns/net" if pid else None),
    )


def _address(text: str) -> Address:
    return ip_address(text.partition("/")[0])


def _process(info: str) -> tuple[int | None, str | None]:
    """Return the pid and the path of the network namespace from a verbose status, alike for containerd and CRI-O."""
    try:
        details = json.loads(info)
        namespaces = details.get("runtimeSpec", {}).get("linux", {}).get("namespaces", [])
        netns = next((space.get("path") for space in namespaces if space.get("type") == "network"), None)
        return int(details["pid"]) if details.get("pid") else None, str(netns) if netns else None
    except (AttributeError, TypeError, ValueError):
        raise ValueError("its verbose status is not like that of CRI runtimes") from None
