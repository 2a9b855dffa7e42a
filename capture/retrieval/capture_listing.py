"""A capture, its parts, and what agents list -> the document that says which files there are."""

import asyncio
from typing import Any

import msgspec

from capture.cluster.objects import NodeCapture
from capture.cluster.view import KnownCapture
from capture.retrieval.agent_hub import AgentHub, NodeSilentError
from capture.retrieval.orders import ListedFile, Order

LISTING_MOST = 16 << 20
"""Longest list of one node."""
AT_ONCE = 16
"""Most nodes that are asked at a time."""


async def capture_listing(hub: AgentHub, capture: KnownCapture, parts: list[NodeCapture]) -> dict[str, Any]:
    """Return the document. A node that does not answer has the files that its status has, and `reachable` false."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def of_node(part: NodeCapture) -> dict[str, Any]:
        status = part.status
        found: dict[str, Any] = {
            "node": part.spec.node,
            "phase": status.phase,
            "reason": status.reason,
            "message": status.message,
            "reachable": True,
        }
        try:
            async with gate:
                found["files"] = await _files(hub, part.spec.node, capture.uid)
        except (NodeSilentError, msgspec.DecodeError) as error:
            known = [
                ListedFile(file.name, file.bytes, file.sha256, file.sha256 is not None, file.first, file.last)
                for file in status.files
            ]
            found |= {"reachable": False, "unreachable": str(error), "files": known}
        return found

    metadata = capture.item.metadata
    nodes = await asyncio.gather(*map(of_node, sorted(parts, key=lambda part: part.spec.node)))
    return {
        "capture": {
            "kind": capture.kind.resource.full_kind,
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        },
        "nodes": nodes,
    }


async def _files(hub: AgentHub, node: str, uid: str) -> list[ListedFile]:
    async with hub.ask(node, Order("list", uid)) as answer:
        if answer.head.status == 404:  # the part has not begun
            return []
        if answer.head.status != 200:
            raise NodeSilentError(answer.head.error)
        return msgspec.json.decode(await answer.whole(LISTING_MOST), type=list[ListedFile])
