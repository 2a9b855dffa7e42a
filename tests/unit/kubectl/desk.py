"""A desk without a cluster: the real plugin, a kubectl whose objects are in memory, and a server with real files.

The server is a real one on loopback and follows the contract of the controller: Bearer secret whose SHA-256 is in a
CaptureAccess, ranges, Content-Digest, ETag, frames.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from capture.kubectl.main import main
from testbed.patience import wait_until
from tests.unit.kubectl.fake_cluster import FakeCluster
from tests.unit.pcapng.test_joining import packet, section

PIECE = 8 << 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAKE = Path(__file__).with_name("fake_kubectl.sh")


def node_file(node: str, times: range, size: int = 100) -> bytes:
    """A capture file of a node."""
    return section(f"shop/{node}:eth0") + b"".join(
        packet(0, ns, f"{node} {ns} ".encode().ljust(size, b".")) for ns in times
    )


@dataclass
class ServedNode:
    """What the controller says of a node."""

    files: dict[str, bytes] = field(default_factory=dict)
    phase: str = "Captured"
    reason: str = "Duration"
    message: str = "duration reached"
    reachable: bool = True


class Desk:
    """Use as `with`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[str, ServedNode] = {}
        self.live: Callable[[], Iterator[bytes]] = lambda: iter(())
        self.spoiled = 0
        """Answers that are sent with a byte changed."""
        self.requests: list[str] = []
        desk = self

        class Answer(ServedAnswer):
            def do_GET(self) -> None:
                serve(desk, self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.cluster = FakeCluster(self._server.server_address[1])
        self.env = os.environ | {"KUBECTL": str(FAKE), "FAKE_CLUSTER": str(self.cluster.port)}
        self.cluster.put("leases", "bicap-controller", {"spec": {"holderIdentity": "bicap-controller-1"}})

    def __enter__(self) -> "Desk":
        self.cluster.__enter__()
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.__exit__()
        self._server.shutdown()
        self._server.server_close()
        # What was killed, or was in the middle of an answer, is gone a moment later.
        wait_until(lambda: not self.processes(), lambda: f"a kubectl is left: {self.processes()}")
        assert not self.cluster.list("captureaccesses"), "a CaptureAccess is left"

    def processes(self) -> list[str]:
        """The kubectls of this desk that run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if str(FAKE).encode() in words:
                    environment = (path.parent / "environ").read_bytes().split(b"\0")
                    if f"FAKE_CLUSTER={self.cluster.port}".encode() in environment:
                        found.append(b" ".join(words).decode())
        return found

    def capture(self, name: str, **status: Any) -> None:
        """Put a capture that has ended into the cluster."""
        done = {
            "phase": "Complete",
            "nodeSummary": f"{len(self.nodes)}/{len(self.nodes)}",
            "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Valid"},
                {"type": "Complete", "status": "True", "reason": "Duration", "message": "all of it"},
            ],
        }
        body = {
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-of-{name}"},
            "spec": {"target": {"pods": [{"name": "client"}]}},
            "status": done | status,
        }
        self.cluster.put("packetcaptures", name, body)

    def start(self, *words: str, **settings: Any) -> subprocess.Popen[bytes]:
        """Start the plugin as kubectl does."""
        command = [sys.executable, "-m", "capture.kubectl.main", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of the plugin, run in this process: to start another takes longer."""
        out, err, argv, handlers = io.StringIO(), io.StringIO(), sys.argv, [signal.getsignal(one) for one in SIGNALS]
        before = os.environ.copy()
        os.environ.update(self.env)
        sys.argv = ["kubectl-bicap", *words]
        try:
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
                code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        finally:
            sys.argv = argv
            os.environ.clear()
            os.environ.update(before)
            for number, handler in zip(SIGNALS, handlers, strict=True):
                signal.signal(number, handler)
        return code, out.getvalue(), err.getvalue()


class ServedAnswer(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the way was cut
            self.wfile.write(body)

    def say(self, body: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(body).encode(), {})


def serve(desk: Desk, request: ServedAnswer) -> None:
    """Answer one request by the contract."""
    desk.requests.append(f"{request.path} {request.headers.get('Range', '')}".strip())
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    digest = hashlib.sha256(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))).hexdigest()
    accesses = desk.cluster.list("captureaccesses")
    access = next((one for one in accesses if one["spec"]["secretSHA256"] == digest), None)
    if access is None:
        request.say({"error": "no CaptureAccess has this secret"}, 401)
    elif request.path == "/v1/capture":
        request.say({"capture": access["spec"]["capture"], "nodes": [_listed(*one) for one in desk.nodes.items()]})
    elif request.path == "/v1/live":
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        with contextlib.suppress(OSError):
            for data in desk.live():
                request.wfile.write(data)
                request.wfile.flush()
    else:
        _, _, _, node, name = request.path.split("/")
        _file(desk, request, desk.nodes[node].files[name])


def _listed(name: str, node: ServedNode) -> dict[str, Any]:
    return {
        "node": name,
        "phase": node.phase,
        "reason": node.reason,
        "message": node.message,
        "reachable": node.reachable,
        "files": [
            {"name": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "complete": True}
            for file, data in node.files.items()
        ],
    }


def _file(desk: Desk, request: ServedAnswer, data: bytes) -> None:
    tag = f'"{hashlib.sha256(data).hexdigest()}"'
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
    assert wanted is not None
    assert request.headers["If-Range"] == tag
    first = int(wanted[1])
    body = data[first : min(int(wanted[2]) + 1, first + PIECE)]
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = {
        "ETag": tag,
        "Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(data)}",
        "Content-Digest": f"sha-256=:{digest}:",
    }
    if desk.spoiled:
        desk.spoiled -= 1
        body = bytes([body[0] ^ 1]) + body[1:]
    request.answer(206, body, headers)
