"""The answers that a test chooses -> a CRI runtime: a real socket with a real gRPC server behind it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from capture.pods import containerd_events_pb2 as containerd
from capture.pods import cri_pb2 as cri

EVENTS: dict[str, Any] = {
    "cri": ("runtime.v1.RuntimeService", "GetContainerEvents", cri.GetEventsRequest, cri.ContainerEventResponse),
    "containerd": (
        "containerd.services.events.v1.Events",
        "Subscribe",
        containerd.SubscribeRequest,
        containerd.Envelope,
    ),
}
"""The services in which a runtime may have its events: service, method, request and answer."""


def verbose_status(pid: int = 42, netns: str | None = "/run/netns/cni-1") -> dict[str, str]:
    """Return the verbose status of a sandbox, as containerd and CRI-O report it."""
    namespaces = [{"type": "pid"}, {"type": "network", **({"path": netns} if netns else {})}]
    return {"info": json.dumps({"pid": pid, "runtimeSpec": {"linux": {"namespaces": namespaces}}})}


@dataclass
class FakeRuntime:
    """Sandboxes and containers, and for some methods a function to call instead of answering."""

    socket: Path
    sandboxes: dict[str, cri.PodSandbox] = field(default_factory=dict)
    statuses: dict[str, Any] = field(default_factory=dict)
    containers: list[cri.Container] = field(default_factory=list)
    instead: dict[str, Callable[[grpc.ServicerContext], None]] = field(default_factory=dict)
    event_services: tuple[str, ...] = ("cri",)
    calls: list[str] = field(default_factory=list)

    def __enter__(self) -> "FakeRuntime":
        self.changed = threading.Semaphore(0)
        self._server = grpc.server(ThreadPoolExecutor(20))
        unary: dict[str, Any] = {
            "ListPodSandbox": (cri.ListPodSandboxRequest, self._list),
            "PodSandboxStatus": (cri.PodSandboxStatusRequest, self._status),
            "ListContainers": (cri.ListContainersRequest, self._list_containers),
        }
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                self._wrapped(method, answer), request.FromString, lambda message: message.SerializeToString()
            )
            for method, (request, answer) in unary.items()
        }
        services = {"runtime.v1.RuntimeService": handlers}
        for service in self.event_services:
            name, method, request, answer = EVENTS[service]
            services.setdefault(name, {})[method] = grpc.unary_stream_rpc_method_handler(
                self._events(method, answer), request.FromString, lambda message: message.SerializeToString()
            )
        for name, methods in services.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
        self._server.add_insecure_port(f"unix://{self.socket}")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def add(
        self, namespace: str, name: str, sandbox: str, ips: tuple[str, ...] = ("10.0.0.1",), **status: Any
    ) -> None:
        """Add a ready pod with one container."""
        self.sandboxes[sandbox] = cri.PodSandbox(
            id=sandbox,
            metadata=cri.PodSandboxMetadata(name=name, namespace=namespace, uid=f"uid-{sandbox}"),
            state=cri.SANDBOX_READY,
            created_at=7,
            labels={"app": name, "io.kubernetes.pod.name": name},
        )
        network = cri.PodSandboxNetworkStatus(ip=ips[0] if ips else "")
        network.additional_ips.extend(cri.PodIP(ip=ip) for ip in ips[1:])
        mode = status.pop("mode", cri.POD)
        linux = cri.LinuxPodSandboxStatus(namespaces=cri.Namespace(options=cri.NamespaceOption(network=mode)))
        self.statuses[sandbox] = cri.PodSandboxStatusResponse(
            status=cri.PodSandboxStatus(network=network, linux=linux), info=status.pop("info", verbose_status())
        )
        self.containers.append(
            cri.Container(
                id=f"c-{sandbox}",
                pod_sandbox_id=sandbox,
                metadata=cri.ContainerMetadata(name="web"),
                state=cri.CONTAINER_RUNNING,
            )
        )

    def _wrapped(self, method: str, answer: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(method)
            if method in self.instead:
                self.instead[method](context)
            return answer(request) or context.abort(grpc.StatusCode.NOT_FOUND, "no such sandbox")

        return handle

    def _events(self, method: str, answer: Any) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        def handle(_: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            self.calls.append(method)
            while context.is_active():
                if self.changed.acquire(timeout=0.05):
                    yield answer()

        return handle

    def _list(self, _: Any) -> Any:
        return cri.ListPodSandboxResponse(items=self.sandboxes.values())

    def _list_containers(self, _: Any) -> Any:
        return cri.ListContainersResponse(containers=self.containers)

    def _status(self, request: Any) -> Any:
        return self.statuses.get(request.pod_sandbox_id)


def hangs(context: grpc.ServicerContext) -> None:
    """Give no answer until the caller has given up."""
    while context.is_active():
        time.sleep(0.01)


def fails(code: grpc.StatusCode, text: str) -> Callable[[grpc.ServicerContext], None]:
    """Return a function that answers with an error."""
    return lambda context: context.abort(code, text)
