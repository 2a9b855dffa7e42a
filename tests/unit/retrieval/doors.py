"""Both doors on loopback, with TLS, and a real agent with real files that dials in; no API server is there."""

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from capture.agent.dial_out import DialOut, Live
from capture.agent.folder import Home
from capture.agent.state import CaptureRecord, PartRecord
from capture.alerts import FiringAlert
from capture.cluster.api import CLUSTER_PACKET_CAPTURES, PACKET_CAPTURES
from capture.cluster.kinds import OwnKind
from capture.cluster.kube import (
    SYSTEM_NAMESPACE,
    AccessReviewStatus,
    KubePod,
    ObjectMetadata,
    PodSpec,
    ReviewedUser,
    TokenReviewStatus,
)
from capture.cluster.objects import (
    CaptureAccess,
    CaptureObject,
    CaptureReference,
    FileEntry,
    NodeCapture,
    NodeCaptureSpec,
    NodeStatus,
)
from capture.cluster.recorder_objects import AlertAnswer
from capture.cluster.view import KnownCapture
from capture.errors import ApiError
from capture.listening import listen
from capture.retrieval.access_book import AccessBook
from capture.retrieval.agent_hub import AgentHub
from capture.retrieval.agent_tokens import AGENT_USER, AgentTokens
from capture.retrieval.agents_door import AgentsDoor
from capture.retrieval.alerts_door import AlertsDoor
from capture.retrieval.bounded_server import ClientLimits, Door, DoorServers
from capture.retrieval.leader_address import LeaderAddress
from capture.retrieval.orders import AUDIENCE
from capture.retrieval.robot_tokens import ROBOT_AUDIENCE, RobotTokens
from capture.retrieval.robots_door import RobotsDoor
from capture.retrieval.robots_service import HOSTS
from capture.retrieval.tls_identity import make_identity
from capture.retrieval.users_door import UsersDoor
from testbed.patience import wait_until

NODE = "n1"
TOKENS = {"good": "pod-1", "of n2": "pod-2", "of a pod that is gone": "pod-3"}
"""Tokens that the API server knows, and the pods that they were made for."""
PATIENT = ClientLimits()
NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def review(token: str) -> TokenReviewStatus:
    """Return what an API server would say."""
    if token not in TOKENS:
        return TokenReviewStatus(error="unknown token")
    extra = {
        "authentication.kubernetes.io/pod-name": [TOKENS[token]],
        "authentication.kubernetes.io/pod-uid": [f"uid of {TOKENS[token]}"],
    }
    return TokenReviewStatus(True, ReviewedUser(AGENT_USER, extra=extra), [AUDIENCE])


ROBOT = "system:serviceaccount:shop:robot"


def review_robot(token: str) -> TokenReviewStatus:
    """Return what an API server would say of a program's token."""
    if token == "robot.of.shop":
        groups = ["system:serviceaccounts", "system:serviceaccounts:shop"]
        user = ReviewedUser(username=ROBOT, uid="1", groups=groups)
        return TokenReviewStatus(authenticated=True, user=user, audiences=[ROBOT_AUDIENCE])
    if token == "other.audience.token":  # an old API server says nothing of audiences
        return TokenReviewStatus(authenticated=True, user=ReviewedUser(username=ROBOT))
    return TokenReviewStatus(error="unknown token")


class SmallCluster:
    """Captures, their parts, and the pods of two agents, as a controller sees them."""

    def __init__(self) -> None:
        self.captures: dict[tuple[str, str, str], KnownCapture] = {}
        self.parts: dict[str, list[NodeCapture]] = {}

    def add(self, name: str, namespace: str, created: datetime = NOW, nodes: tuple[str, ...] = (NODE,)) -> str:
        """Add a capture with a part on each node. Returns its uid."""
        uid = f"uid-{name}-{namespace}"
        resource = PACKET_CAPTURES if namespace else CLUSTER_PACKET_CAPTURES
        metadata = ObjectMetadata(name=name, namespace=namespace, uid=uid, creation_timestamp=created)
        known = KnownCapture(OwnKind(resource), CaptureObject(metadata))
        self.captures[resource.kind, namespace, name] = known
        reference = CaptureReference(resource.kind, name, namespace, uid)
        status = NodeStatus(phase="Captured", reason="Stopped", message="stopped")
        self.parts[uid] = [
            NodeCapture(ObjectMetadata(name=node), NodeCaptureSpec(node, reference, {}), status) for node in nodes
        ]
        return uid

    def capture(self, full_kind: str, namespace: str, name: str) -> KnownCapture | None:
        """See KnownCaptures."""
        return self.captures.get((full_kind, namespace, name))

    def parts_of(self, uid: str) -> list[NodeCapture]:
        """See KnownCaptures."""
        return self.parts.get(uid, [])

    def pod(self, namespace: str, name: str) -> KubePod | None:
        """Return the pod of an agent."""
        nodes = {"pod-1": "n1", "pod-2": "n2"}
        if namespace != SYSTEM_NAMESPACE or name not in nodes:
            return None
        return KubePod(ObjectMetadata(name=name, uid=f"uid of {name}"), PodSpec(nodes[name]))


class OpenDoors:
    """Both doors, and what is behind them."""

    def __init__(self, folder: Path, limits: ClientLimits = PATIENT) -> None:
        self.limits = limits
        """How slow a user may be."""
        self.cluster, self.book = SmallCluster(), AccessBook()
        self.home = Home(folder)
        self.leads, self.now = True, NOW
        self.hub: AgentHub
        self.identity = make_identity("127.0.0.1", HOSTS)
        self.rights: set[tuple[str, str, str, str]] = set()
        """User, resource, namespace, name: what RBAC lets programs fetch."""
        self.questions: list[dict[str, Any]] = []
        """What the API server was asked about rights."""
        self.alerts_token = folder.with_name("alerts-token")
        """File of the token for alerts."""
        self.alerts: list[FiringAlert] = []
        """Alerts that came."""
        self.api_answers = True
        """False if no node can be told."""
        sockets = [listen("127.0.0.1", 0) for _ in range(3)]
        self._users, self._agents, self._robots = sockets
        self.users_port, self.agents_port, self.robots_port = (sock.getsockname()[1] for sock in sockets)
        self.leader = LeaderAddress(f"127.0.0.1:{self.agents_port}", self.identity.authority)
        self.servers = DoorServers(self._doors, lambda: self.hub.end_all())
        self._stack = contextlib.ExitStack()

    def may(self, asked: dict[str, Any]) -> AccessReviewStatus:
        """Return what RBAC says."""
        self.questions.append(asked)
        at = asked["resourceAttributes"]
        assert (at["verb"], at["group"], at["subresource"]) == ("get", "bicap.io", "files")
        key = asked["user"], at["resource"], at.get("namespace", ""), at["name"]
        return AccessReviewStatus(allowed=key in self.rights)

    def alarms(self, alerts: Sequence[FiringAlert]) -> list[AlertAnswer]:
        """Take alerts, as a controller does."""
        if not self.api_answers:
            raise ApiError("the API server does not answer", 0)
        self.alerts += alerts
        return [AlertAnswer(alert.name, ["shop/c"]) for alert in alerts]

    def _doors(self) -> list[Door]:
        self.hub = AgentHub()
        users = UsersDoor(self.book, self.hub, self.cluster, lambda: self.leads, lambda: self.now)
        alerts = AlertsDoor(self.alerts_token, self.alarms, lambda: self.leads)
        tokens = RobotTokens(review_robot, self.may)
        robots = RobotsDoor(tokens, self.hub, self.cluster, lambda: self.leads, [alerts.route])
        agents = AgentsDoor(self.hub, AgentTokens(review, self.cluster.pod), lambda: self.leads)
        return [
            Door("users", users.application(), self._users, 8, limits=self.limits),
            Door("agents", agents.application(), self._agents, 32, self.identity.server),
            Door("robots", robots.application(), self._robots, 8, self.identity.server, self.limits),
        ]

    def __enter__(self) -> "OpenDoors":
        self.servers.start()
        self._stack.callback(self.home.close)
        self._stack.callback(self.servers.stop)
        address = f"http://127.0.0.1:{self.users_port}"
        client = httpx2.Client(base_url=address, timeout=20, trust_env=False, verify=False)
        self._client = self._stack.enter_context(client)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def dial(self, token: str = "good", node: str = NODE, live: Live | None = None) -> DialOut:
        """Let an agent dial in."""
        agent = DialOut(self.home, node, lambda: token, lambda: self.leader, live)
        agent.start()
        self._stack.callback(agent.stop)
        return agent

    def connected(self, live: Live | None = None) -> None:
        """Let the agent of the node dial in, and wait until it is there."""
        self.dial(live=live)
        wait_until(lambda: self.hub.nodes == [NODE])

    def allow(
        self,
        name: str,
        namespace: str,
        kind: str = "PacketCapture",
        seconds: float = 300,
        created: datetime = NOW,
        **wrong: Any,
    ) -> str:
        """Make a CaptureAccess as the plugin does. Returns the token."""
        secret = secrets.token_bytes(32)
        spec = {
            "capture": {"kind": kind, "name": name},
            "secretSHA256": hashlib.sha256(secret).hexdigest(),
            "expires": (created + timedelta(seconds=seconds)).isoformat(),
        }
        metadata = ObjectMetadata(
            name=f"access-{secrets.token_hex(4)}",
            namespace=namespace,
            uid=secrets.token_hex(8),
            creation_timestamp=created,
        )
        self.book.put(CaptureAccess(metadata, spec | wrong))
        return base64.urlsafe_b64encode(secret).decode().rstrip("=")

    def get(self, path: str, token: str | None, method: str = "GET", **headers: str) -> httpx2.Response:
        """Send a request as the plugin does."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.request(method, path, headers=given)

    def keep(self, uid: str, content: bytes, name: str = "c-n1.pcapng", ended: bool = True) -> str:
        """Put a file into the capture's folder, as an agent does. Returns its SHA-256."""
        folder = self.home.folder(uid)
        folder.path.mkdir(exist_ok=True)
        (folder.path / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files = [FileEntry(name, len(content), digest, NOW, NOW)] if ended else []
        part = PartRecord(name, began=NOW, ended=NOW if ended else None, files=files)
        record = folder.load() or CaptureRecord(uid)
        record.parts.append(part)
        folder.save(record)
        return digest


@contextlib.contextmanager
def open_doors(folder: Path, limits: ClientLimits = PATIENT) -> Iterator[OpenDoors]:
    """Yield open doors."""
    with OpenDoors(folder, limits) as doors:
        yield doors
