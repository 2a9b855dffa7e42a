"""An order and the moment in which its asker goes -> the agent is told that nobody wants its answer."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from capture.retrieval.agent_hub import AgentAnswer, AgentHub
from capture.retrieval.orders import AnswerHead, Order


class OrderUnderWay:
    """An order on its way, and its answer, whose bytes come when they are given."""

    def __init__(self) -> None:
        self.hub = AgentHub()
        self.agent = self.hub.connect("n1")
        self.bytes: asyncio.Queue[bytes] = asyncio.Queue()
        self.answer = AgentAnswer(AnswerHead(), self._body())
        self.read: list[bytes] = []
        self.asker = asyncio.create_task(self._ask())

    async def _body(self) -> AsyncGenerator[bytes, None]:
        while True:
            yield await self.bytes.get()

    async def _ask(self) -> None:
        async with self.hub.ask("n1", Order("live", "uid")) as answer:
            async for chunk in answer.chunks():
                self.read.append(chunk)

    async def deliver(self) -> None:
        """Let the answer begin."""
        order = await self.agent.orders.get()
        assert order is not None
        assert self.hub.deliver("n1", order.id, self.answer)


async def before_it_begins(asked: OrderUnderWay) -> None:
    await asked.deliver()


async def between_two_chunks(asked: OrderUnderWay) -> None:
    await asked.deliver()
    await asyncio.sleep(0.01)


async def when_a_chunk_comes(asked: OrderUnderWay) -> None:
    await between_two_chunks(asked)
    asked.bytes.put_nowait(b"first")
    await asyncio.sleep(0)


@pytest.mark.parametrize("moment", [before_it_begins, between_two_chunks, when_a_chunk_comes])
def test_an_answer_is_over_when_its_asker_goes(moment: Callable[[OrderUnderWay], Awaitable[None]]) -> None:
    async def scene() -> None:
        asked = OrderUnderWay()
        await moment(asked)
        asked.asker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked.asker, 10)
        assert asked.answer.done.is_set()
        assert asked.hub.deliver("n1", "any", asked.answer) is False

    asyncio.run(scene())
