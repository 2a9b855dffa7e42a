"""The live answers of all nodes of a capture -> one stream of frames.

Nodes are independent: each sends as fast as the user's side takes, through a queue of a few chunks; one that falls
silent or breaks off is named in a frame, and the others go on. A node that gets a part later is joined in. The
stream is over when the capture is, or this controller does not lead any more.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable

from capture.cluster.objects import ENDED as OVER
from capture.cluster.objects import NodeCapture
from capture.retrieval.agent_hub import AgentHub, NodeSilentError
from capture.retrieval.live_frames import GONE, WholeFrames, frame
from capture.retrieval.orders import Order

SILENCE_SECONDS = 5.0
"""Silence of a node after which it counts as gone: it sends a watermark every 200 ms."""
QUEUED_MOST = 16
"""Most chunks that wait for the user, of all nodes together."""
LOOK_SECONDS = 0.5
"""Time between two looks for nodes that have joined."""


class LiveRelay:
    """One live view."""

    def __init__(
        self, hub: AgentHub, uid: str, parts: Callable[[], list[NodeCapture]], leads: Callable[[], bool]
    ) -> None:
        self._hub, self._uid, self._parts, self._leads = hub, uid, parts, leads
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_MOST)
        self._nodes: dict[str, asyncio.Task[None]] = {}

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield bytes of whole frames, until the capture is over."""
        try:
            while self._leads():
                parts = self._parts()
                for part in parts:
                    if part.spec.node not in self._nodes:
                        self._nodes[part.spec.node] = asyncio.create_task(self._follow(part.spec.node))
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        whole = await self._queue.get()
                except TimeoutError:
                    over = all(part.status.phase in OVER for part in parts)
                    if self._nodes and over and all(task.done() for task in self._nodes.values()):
                        return
                else:
                    yield whole
        finally:
            for task in self._nodes.values():
                task.cancel()

    async def _follow(self, node: str) -> None:
        try:
            async with self._hub.ask(node, Order("live", self._uid)) as answer:
                if answer.head.status != 200:
                    raise NodeSilentError(answer.head.error)
                # A chunk may end within a frame; frames of two nodes must not mix.
                held = WholeFrames()
                async for chunk in answer.chunks(SILENCE_SECONDS, math.inf):
                    whole = held.add(chunk)
                    if whole:
                        await self._queue.put(whole)
        except (NodeSilentError, ValueError) as error:
            await self._queue.put(frame(GONE, node, reason=str(error)))
