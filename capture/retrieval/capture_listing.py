"""A capture, its parts, and what agents list -> the document that says which files there are."""

import asyncio

import msgspec

from capture.cluster.objects import NodeCapture
from capture.cluster.view import KnownCapture
from capture.retrieval.agent_hub import AgentHub, NodeSilentError
from capture.retrieval.listed_files import CaptureListing, ListedCapture, ListedFile, ListedNode
from capture.retrieval.orders import Order

LISTING_MOST = 16 << 20
"""Longest list of one node."""
AT_ONCE = 16
"""Most nodes that are asked at a time."""


async def capture_listing(hub: AgentHub, capture: KnownCapture, parts: list[NodeCapture]) -> CaptureListing:
    """Return the document. A node that does not answer has the files that its status has, and `reachable` false."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def of_node(part: NodeCapture) -> ListedNode:
        status = part.status
        found = ListedNode(node=part.spec.node, phase=status.phase, reason=status.reason, message=status.message)
        try:
            async with gate:
                found.files = await _files(hub, part.spec.node, capture.uid)
        except (NodeSilentError, msgspec.DecodeError) as error:
            found.reachable, found.unreachable = False, str(error)
            found.files = [
                ListedFile(
                    name=file.name,
                    bytes=file.bytes,
                    sha256=file.sha256,
                    complete=file.sha256 is not None,
                    first=file.first,
                    last=file.last,
                )
                for file in status.files
            ]
        return found

    metadata = capture.item.metadata
    nodes = await asyncio.gather(*map(of_node, sorted(parts, key=lambda part: part.spec.node)))
    kind = capture.kind.resource.full_kind
    about = ListedCapture(kind=kind, name=metadata.name, namespace=metadata.namespace, uid=metadata.uid)
    return CaptureListing(capture=about, nodes=list(nodes))


async def _files(hub: AgentHub, node: str, uid: str) -> list[ListedFile]:
    async with hub.ask(node, Order("list", uid)) as answer:
        if answer.head.status == 404:  # the part has not begun
            return []
        if answer.head.status != 200:
            raise NodeSilentError(answer.head.error)
        return msgspec.json.decode(await answer.whole(LISTING_MOST), type=list[ListedFile])
