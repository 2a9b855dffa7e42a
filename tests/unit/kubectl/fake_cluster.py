"""What kubectl talks to at a desk without a cluster: objects in memory, and ways to a port of this machine.

`fake_kubectl.sh` is the kubectl. Each of its runs is a connection here, with a thread.
"""

import contextlib
import json
import select
import socket
import socketserver
import threading
from typing import Any

RESOURCES = {
    "CaptureAccess": "captureaccesses",
    "PacketCapture": "packetcaptures",
    "ClusterPacketCapture": "clusterpacketcaptures",
}
LEFT_SECONDS = 0.5
"""Time between two looks if who watches is still there."""


class RefusedCallError(Exception):
    """What kubectl prints before it ends with 1."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"Error from server ({reason}): {text}")


class FakeCluster(socketserver.ThreadingTCPServer):
    """Use as `with`."""

    daemon_threads = True

    def __init__(self, far_port: int) -> None:
        super().__init__(("127.0.0.1", 0), KubectlRun)
        self.far_port = far_port
        """Where port-forward leads."""
        self.cut: int | None = None
        """Bytes after which a port-forward is cut, as networks do."""
        self.calls: list[str] = []
        """The words of each call."""
        self._objects: dict[tuple[str, str], Any] = {}
        self._changed = threading.Condition()
        self.is_over = False

    @property
    def port(self) -> int:
        return self.server_address[1]

    def __enter__(self) -> "FakeCluster":
        threading.Thread(target=self.serve_forever, args=(0.02,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self.is_over = True
            self._changed.notify_all()
        self.shutdown()
        self.server_close()

    def put(self, resource: str, name: str, body: Any) -> None:
        """Put an object into the cluster."""
        with self._changed:
            self._objects[resource.partition(".")[0], name] = body
            self._changed.notify_all()

    def get(self, resource: str, name: str) -> Any:
        """An object; None if there is none."""
        return self._objects.get((resource.partition(".")[0], name))

    def list(self, resource: str) -> list[Any]:
        """The objects of a resource."""
        return [body for (kind, _), body in sorted(self._objects.copy().items()) if kind == resource]

    def delete(self, resource: str, name: str) -> None:
        with self._changed:
            self._objects.pop((resource.partition(".")[0], name), None)
            self._changed.notify_all()

    def wait_for_change(self, resource: str, name: str, before: Any) -> Any:
        """Wait until an object is another than `before`, or for a while. Returns it as it is then."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over or self.get(resource, name) != before, LEFT_SECONDS)
            return self.get(resource, name)


class KubectlRun(socketserver.StreamRequestHandler):
    """One run of kubectl."""

    server: FakeCluster

    def handle(self) -> None:
        count = int(self.rfile.readline() or 0)
        words = [self.rfile.readline().decode().rstrip("\n") for _ in range(count)]
        given = self.rfile.readline()
        self.server.calls.append(" ".join(words))
        while words and words[0] in ("--context", "--kubeconfig", "--as"):
            del words[:2]
        try:
            self._answer(words, given)
        except RefusedCallError as error:
            self._end(str(error))
        except OSError:
            pass  # it was killed
        else:
            self._end()

    def _say(self, text: str) -> None:
        self.wfile.write(f"1{text}\n".encode())

    def _end(self, trouble: str = "") -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(f"2{trouble}\nx1\n".encode() if trouble else b"x0\n")

    def _read(self, resource: str, name: str) -> Any:
        found = self.server.get(resource, name)
        if found is None:
            raise RefusedCallError("NotFound", f'{resource} "{name}" not found')
        return found

    def _answer(self, words: list[str], given: bytes) -> None:
        match words:
            case ["config", *_]:
                self._say("shop")
            case ["create", *_]:
                body = json.loads(given)
                metadata = body["metadata"]
                metadata.setdefault("name", metadata.get("generateName", "") + "x7k2p")
                metadata["uid"] = "uid-of-" + metadata["name"]
                self.server.put(RESOURCES[body["kind"]], metadata["name"], body)
                self._say(json.dumps(body))
            case ["get", "--raw", path]:
                self._raw(path)
            case ["get", "pods" | "leases" as listed, *_]:
                kind = "pod" if listed == "pods" else listed
                self._say(json.dumps({"items": [one for one in self.server.list(kind) if "metadata" in one]}))
            case ["get", resource, name, *_]:
                self._say(json.dumps(self._read(resource, name)))
            case ["patch", resource, name, *_, text]:
                body = json.loads(json.dumps(self._read(resource, name)))
                limits, change = body["spec"].setdefault("limits", {}), json.loads(text)
                if isinstance(change, list):  # only if the time to stop is still that one
                    test, replace = change
                    if limits.get("stopAt") != test["value"]:
                        raise RefusedCallError("Invalid", "the server rejected our request")
                    change = {"spec": {"limits": {"stopAt": replace["value"]}}}
                limits.update(change["spec"]["limits"])
                self.server.put(resource, name, body)
            case ["delete", resource, name, *_]:
                self.server.delete(resource, name)
            case ["port-forward", *_]:
                self._forward()
            case _:
                raise RefusedCallError("BadRequest", f"the fake kubectl does not know {words}")

    def _raw(self, path: str) -> None:
        path, _, query = path.partition("?")
        words = path.strip("/").split("/")
        if not query:
            self._say(json.dumps(self._read(words[-2], words[-1])))
            return
        name, before = query.partition("metadata.name%3D")[2].partition("&")[0], None
        while not self.server.is_over and not self._is_gone():
            now = self.server.get(words[-1], name)
            if now is None:
                self._say(json.dumps({"type": "DELETED", "object": {}}))
                return
            if now != before:
                self._say(json.dumps({"type": "MODIFIED", "object": now}))
            before = now
            self.server.wait_for_change(words[-1], name, before)

    def _is_gone(self) -> bool:
        return bool(select.select([self.connection], [], [], 0)[0])  # it says nothing more, so this is its end

    def _forward(self) -> None:
        left = 1 << 60 if self.server.cut is None else self.server.cut
        with socket.create_server(("127.0.0.1", 0)) as door:
            self._say(f"Forwarding from 127.0.0.1:{door.getsockname()[1]} -> 8470")
            while self.connection not in (ready := select.select([door, self.connection], [], [])[0]):
                assert ready
                near, _ = door.accept()
                with near, socket.create_connection(("127.0.0.1", self.server.far_port)) as far:
                    left = self._relay(near, far, left)
                if left == 0:
                    raise RefusedCallError("Gone", "lost connection to pod")

    def _relay(self, near: socket.socket, far: socket.socket, left: int) -> int:
        """Pass bytes on until a side ends, or none is `left`. Returns those that are."""
        other = {near: far, far: near}
        while left:
            ready = select.select([*other, self.connection], [], [])[0][0]
            if ready is self.connection:
                return left
            data = ready.recv(min(left, 1 << 16))
            if not data:
                return left
            left -= len(data)
            other[ready].sendall(data)
        return 0
