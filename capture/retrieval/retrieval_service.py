"""A controller, an address -> the doors open while it runs, agents and programs told where it is while it leads.

The users' door is on loopback of the controller's pod, those of agents and of robots on the pod's address. The leader
deletes accesses that have ended.
"""

import logging
import resource
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capture.cluster.api import ACCESS_REVIEWS, CAPTURE_ACCESSES, TOKEN_REVIEWS, Api
from capture.cluster.informer import Informer, key_of
from capture.cluster.kube import AccessReviewStatus, TokenReviewStatus
from capture.cluster.objects import CaptureAccess
from capture.cluster.view import ClusterView
from capture.errors import ApiError
from capture.listening import listen
from capture.retrieval.access_book import AccessBook
from capture.retrieval.agent_hub import AgentHub
from capture.retrieval.agent_tokens import AgentTokens
from capture.retrieval.agents_door import AgentsDoor
from capture.retrieval.alerts_door import AlertsDoor, Raise
from capture.retrieval.bounded_server import Door, DoorServers
from capture.retrieval.leader_address import LeaderAddress, publish
from capture.retrieval.orders import AUDIENCE
from capture.retrieval.robot_tokens import ROBOT_AUDIENCE, RobotTokens
from capture.retrieval.robots_door import RobotsDoor
from capture.retrieval.robots_service import HOSTS, lead_here
from capture.retrieval.tls_identity import make_identity
from capture.retrieval.users_door import UsersDoor

LOOPBACK = "127.0.0.1"
USERS_PORT, AGENTS_PORT, ROBOTS_PORT = 8470, 8471, 8472
USERS_MOST = 64
"""Most connections of users."""
AGENTS_MOST = 2048
"""Most connections of agents: one for orders, and one for each answer that is under way."""
ROBOTS_MOST = 256
"""Most connections of programs in the cluster."""
DESCRIPTORS = USERS_MOST + AGENTS_MOST + ROBOTS_MOST + 512
SWEEP_SECONDS = 2.0
_log = logging.getLogger("bicap.retrieval")


@dataclass(frozen=True, slots=True)
class DoorPorts:
    """Where the doors are. Without an address there are none for agents and robots, so no files can be fetched."""

    address: str | None = None
    users: int = USERS_PORT
    agents: int = AGENTS_PORT
    robots: int = ROBOTS_PORT


@dataclass(frozen=True, slots=True)
class Alerts:
    """What becomes of alerts, and the file of the token that they are sent with."""

    token_file: Path
    fire: Raise


class RetrievalService:
    """The doors, between `start` and `stop`."""

    def __init__(
        self, api: Api, view: ClusterView, leads: Callable[[], bool], ports: DoorPorts, alerts: Alerts | None = None
    ) -> None:
        self._api, self._view, self._leads, self._ports = api, view, leads, ports
        self._alerts = alerts
        self.book = AccessBook()
        self.hub: AgentHub | None = None
        self._identity = make_identity(ports.address, HOSTS) if ports.address else None
        self._accesses: Informer[CaptureAccess] = Informer(api, CAPTURE_ACCESSES, self._changed, optional=True)
        self._servers = DoorServers(self._doors, self._end)
        self._ending = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="accesses", daemon=True)

    def start(self) -> None:
        """Open the doors. Raises TargetError if a port is taken."""
        _allow_descriptors()
        self._servers.start()
        self._accesses.start()
        self._sweeper.start()

    def stop(self) -> None:
        """Close them."""
        self._ending.set()
        self._accesses.stop()
        self._servers.stop()

    def _doors(self) -> Sequence[Door]:
        hub = self.hub = AgentHub()
        users = UsersDoor(self.book, hub, self._view, self._leads, lambda: datetime.now(UTC))
        doors = [Door("users", users.application(), listen(LOOPBACK, self._ports.users), USERS_MOST)]
        if self._ports.address and self._identity:
            agents = AgentsDoor(hub, AgentTokens(self._review, self._view.pod), self._leads)
            sock = listen(self._ports.address, self._ports.agents)
            doors.append(Door("agents", agents.application(), sock, AGENTS_MOST, self._identity.server))
            tokens = RobotTokens(self._review_robot, self._may)
            alerts = self._alerts
            more = [AlertsDoor(alerts.token_file, alerts.fire, self._leads).route] if alerts else []
            robots = RobotsDoor(tokens, hub, self._view, self._leads, more)
            sock = listen(self._ports.address, self._ports.robots)
            doors.append(Door("robots", robots.application(), sock, ROBOTS_MOST, self._identity.server))
        return doors

    def _end(self) -> None:
        if self.hub is not None:
            self.hub.end_all()

    def _review(self, token: str, audience: str = AUDIENCE) -> TokenReviewStatus:
        return self._api.ask(TOKEN_REVIEWS, {"token": token, "audiences": [audience]}).status

    def _review_robot(self, token: str) -> TokenReviewStatus:
        return self._review(token, ROBOT_AUDIENCE)

    def _may(self, asked: dict[str, Any]) -> AccessReviewStatus:
        return self._api.ask(ACCESS_REVIEWS, asked).status

    def _changed(self, item: CaptureAccess) -> None:
        if self._accesses.get(key_of(item)) is not item:
            self.book.remove(item.metadata.uid)
            return
        trouble = self.book.put(item)
        if trouble is not None:
            _log.warning("CaptureAccess %s cannot be used: %s", item, trouble, extra={"access": str(item)})

    def _sweep(self) -> None:
        while not self._ending.wait(SWEEP_SECONDS):
            if not self._leads():
                continue
            try:
                self._publish()
                self._delete_expired()
            except ApiError as error:
                _log.warning(str(error))

    def _publish(self) -> None:
        if self._ports.address and self._identity:
            host = f"[{self._ports.address}]" if ":" in self._ports.address else self._ports.address
            if publish(self._api, LeaderAddress(f"{host}:{self._ports.agents}", self._identity.authority)):
                _log.info("agents can find this controller", extra={"address": host})
            if lead_here(self._api, self._ports.address, self._ports.robots):
                _log.info("the Service leads to this controller", extra={"address": host})

    def _delete_expired(self) -> None:
        now = datetime.now(UTC)
        for item in self._accesses.objects:
            uid = item.metadata.uid
            if self.book.has_ended(uid, now):
                self._api.delete(CAPTURE_ACCESSES, item.metadata.name, item.metadata.namespace, uid)


def _allow_descriptors() -> None:
    """Let this process have a descriptor for each connection that its doors take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
