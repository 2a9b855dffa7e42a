"""Agents that are connected, and orders for them -> their answers, passed on as they come.

An order waits for its answer for some seconds only, and an answer for its next bytes: an agent that falls silent is
an error of that request, and of no other. Bytes are read from the agent when the user's side asks for more, so a slow
user holds up that agent's sending, and nothing is kept here. All of it runs in one event loop.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from capture.errors import TargetError
from capture.retrieval.orders import AnswerHead, Order

ANSWER_SECONDS = 10.0
"""Longest wait for an answer to begin."""
SILENCE_SECONDS = 15.0
"""Longest wait for its next bytes."""
LONGEST_SECONDS = 300.0
"""Longest time for an answer, live views apart: an agent has few at a time, and others wait for them."""
ORDERS_MOST = 64
"""Most orders that wait for one agent."""


class NodeSilentError(TargetError):
    """The agent of a node is not connected, or does not answer."""


class ConnectedAgent:
    """One agent's stream of orders."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.orders: asyncio.Queue[Order | None] = asyncio.Queue(ORDERS_MOST)
        """None ends the stream."""

    def end(self) -> None:
        """End the stream; the agent connects again, unless another has taken its place."""
        while self.orders.full():
            self.orders.get_nowait()
        self.orders.put_nowait(None)


class AgentAnswer:
    """An answer that has begun."""

    def __init__(self, head: AnswerHead, body: AsyncGenerator[bytes, None]) -> None:
        self.head = head
        self._body = body
        self.done = asyncio.Event()
        """Set when nobody wants more of it."""
        self.is_whole = False
        """True if it was read to its end."""

    async def chunks(
        self, silence: float = SILENCE_SECONDS, longest: float = LONGEST_SECONDS
    ) -> AsyncIterator[bytes]:
        """Yield its bytes. Raises NodeSilentError if they stop before the end, or if they are taken too slowly."""
        deadline = asyncio.get_running_loop().time() + longest
        while True:
            if asyncio.get_running_loop().time() > deadline:
                raise NodeSilentError(f"the answer was not taken in {longest:g} s; ask for smaller ranges")
            try:
                async with asyncio.timeout(silence):  # `wait_for` of Python 3.11 can miss that it was cancelled
                    chunk = await anext(self._body)
            except StopAsyncIteration:
                self.is_whole = True
                return
            except TimeoutError:
                raise NodeSilentError(f"nothing came from the agent for {silence:g} s") from None
            except Exception as error:  # the connection broke
                raise NodeSilentError(f"the agent's answer broke off ({type(error).__name__})") from None
            if chunk:
                yield chunk

    async def whole(self, most: int) -> bytes:
        """Return all of its bytes. Raises NodeSilentError if there are more than `most`."""
        found = bytearray()
        async for chunk in self.chunks():
            found += chunk
            if len(found) > most:
                raise NodeSilentError(f"the agent's answer has more than {most} bytes")
        return bytes(found)


class AgentHub:
    """All connected agents, and the orders that wait for answers."""

    def __init__(self) -> None:
        self._agents: dict[str, ConnectedAgent] = {}
        self._waiting: dict[str, tuple[str, asyncio.Future[AgentAnswer]]] = {}
        """By the id of the order: the node that may answer it."""

    @property
    def nodes(self) -> list[str]:
        """Nodes whose agents are connected."""
        return sorted(self._agents)

    def connect(self, node: str) -> ConnectedAgent:
        """Take in an agent; an earlier one of this node is replaced."""
        earlier = self._agents.pop(node, None)
        if earlier is not None:
            earlier.end()
        agent = self._agents[node] = ConnectedAgent(node)
        return agent

    def leave(self, agent: ConnectedAgent) -> None:
        """Forget an agent whose stream is over."""
        if self._agents.get(agent.node) is agent:
            del self._agents[agent.node]

    def end_all(self) -> None:
        """End the streams of all agents."""
        for agent in self._agents.values():
            agent.end()

    @asynccontextmanager
    async def ask(self, node: str, order: Order) -> AsyncIterator[AgentAnswer]:
        """Give an order to the agent of a node. Yields the answer once it begins. Raises NodeSilentError."""
        agent = self._agents.get(node)
        if agent is None:
            raise NodeSilentError(f"the agent of node {node} is not connected")
        named = msgspec.structs.replace(order, id=secrets.token_urlsafe(16))
        future: asyncio.Future[AgentAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[named.id] = node, future
        try:
            try:
                agent.orders.put_nowait(named)
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await future
            except (TimeoutError, asyncio.QueueFull):
                raise NodeSilentError(f"the agent of node {node} does not answer") from None
            yield answer
        finally:
            del self._waiting[named.id]
            if future.done() and not future.cancelled():  # perhaps in the moment in which nobody wanted it any more
                future.result().done.set()

    def deliver(self, node: str, order: str, answer: AgentAnswer) -> bool:
        """Hand an answer over to who waits for it. False if nobody does, or it was not this node's to give."""
        wanted, future = self._waiting.get(order, ("", None))
        if future is None or future.done() or wanted != node:
            return False
        future.set_result(answer)
        return True
