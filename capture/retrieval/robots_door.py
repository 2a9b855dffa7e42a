"""Programs in the cluster, by their service accounts -> the files of captures: an application behind TLS.

    GET /v1/packetcaptures/NAMESPACE/NAME/capture          each node, and its files
    GET /v1/packetcaptures/NAMESPACE/NAME/files/NODE/NAME  a file, or a range of it; HEAD, too
    GET /v1/packetcaptures/NAMESPACE/NAME/live             what nodes catch now
    GET /v1/clusterpacketcaptures/NAME/...                 the same of a ClusterPacketCapture
    GET /v1/openapi.json                                   all of this for programs
    POST /v1/alerts                                        alerts for recorders (`alerts_door.py`), with another token

Who asks is told by the token, what it may by RBAC: there is no CaptureAccess. Whether a capture exists is told to
those only who may fetch it.
"""

import asyncio
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from capture.cluster.api import CLUSTER_PACKET_CAPTURES, PACKET_CAPTURES
from capture.errors import ApiError
from capture.retrieval.agent_hub import AgentHub
from capture.retrieval.capture_routes import CaptureRoutes, Granted, KnownCaptures
from capture.retrieval.json_answer import bearer
from capture.retrieval.openapi import openapi_route
from capture.retrieval.refused import RefusedError
from capture.retrieval.robot_tokens import ROBOT_AUDIENCE, RobotTokens

PREFIXES = (
    f"/v1/{PACKET_CAPTURES.plural}/{{namespace}}/{{capture}}",
    f"/v1/{CLUSTER_PACKET_CAPTURES.plural}/{{capture}}",
)
QUESTIONS_MOST = 8
"""Most questions to the API server at a time."""


class RobotsDoor:
    """Serves programs while `leads` says so."""

    def __init__(
        self,
        tokens: RobotTokens,
        hub: AgentHub,
        captures: KnownCaptures,
        leads: Callable[[], bool],
        more: Sequence[Route] = (),
    ) -> None:
        self._tokens, self._captures, self._more = tokens, captures, more
        self._routes = CaptureRoutes(hub, captures, leads)
        self._questions = asyncio.Semaphore(QUESTIONS_MOST)

    def application(self) -> Starlette:
        """Return the application."""
        about = f"A token of a service account for the audience {ROBOT_AUDIENCE}."
        return self._routes.application(PREFIXES, self._grant, [openapi_route(PREFIXES, about), *self._more])

    async def _grant(self, request: Request) -> Granted:
        namespace, name = request.path_params.get("namespace", ""), request.path_params["capture"]
        resource = PACKET_CAPTURES if namespace else CLUSTER_PACKET_CAPTURES
        token = bearer(request)
        try:
            async with self._questions:
                user = await asyncio.to_thread(self._tokens.user_of, token)
                await asyncio.to_thread(self._tokens.check, user, resource, namespace, name)
        except ApiError as error:
            raise RefusedError(503, "no API server", str(error)) from None
        capture = self._captures.capture(resource.full_kind, namespace, name)
        if capture is None:
            where = f" in namespace {namespace}" if namespace else ""
            raise RefusedError(404, "no such capture", f"{resource.kind} {name[:200]} does not exist{where}")
        return Granted(user.username, capture)
