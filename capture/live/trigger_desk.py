"""Causes from any thread -> one incident at a time, which they begin or prolong, and an answer for who asked.

Any thread may fire; the loop of the recorder answers. After the end of an incident none begins for the cooldown.
"""

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from capture.errors import SinkError
from capture.live.cause import BEGAN, PROLONGED, REFUSED, Cause, Reply
from capture.units import format_duration


class OpenIncident(Protocol):
    """An incident that is being written."""

    @property
    def path(self) -> str: ...

    def prolong(self, cause: Cause) -> bool:
        """Go on for longer; False if it is as long as it may be."""


Open = TypeVar("Open", bound=OpenIncident)


class TriggerDesk(Generic[Open]):
    """`begin` begins an incident, or raises SinkError; `wake` wakes the loop, which calls `answer`.

    `on_fired` gets each cause that began or prolonged one.
    """

    def __init__(
        self,
        cooldown_ns: int,
        begin: Callable[[Cause], Open],
        wake: Callable[[], None],
        on_event: Callable[[str], None],
        on_fired: Callable[[Cause], None] = lambda _: None,
    ) -> None:
        self._cooldown_ns, self._begin, self._wake = cooldown_ns, begin, wake
        self._on_event, self._on_fired = on_event, on_fired
        self.incident: Open | None = None
        """The one that is being written."""
        self.refused = 0
        """Triggers that began and prolonged nothing since the last incident began."""
        self._cool_until_ns = 0
        self._asked: queue.SimpleQueue[tuple[Cause, Future[Reply] | None]] = queue.SimpleQueue()

    def ring(self, cause: Cause) -> None:
        """Fire, without waiting for the answer; signal handlers may call this."""
        self._asked.put((cause, None))
        self._wake()

    def fire(self, cause: Cause, patience_s: float = 10.0) -> Reply:
        """Fire from another thread than that of the loop, and return the answer."""
        answer: Future[Reply] = Future()
        self._asked.put((cause, answer))
        self._wake()
        try:
            return answer.result(patience_s)
        except TimeoutError:
            return Reply(REFUSED, None, "the recorder does not answer")

    def answer(self) -> None:
        """Handle what was asked, in the loop."""
        while True:
            try:
                cause, waiting = self._asked.get_nowait()
            except queue.Empty:
                return
            reply = self.handle(cause)
            if waiting is not None:
                waiting.set_result(reply)

    def handle(self, cause: Cause) -> Reply:
        """Begin or prolong an incident, or refuse."""
        if self.incident is not None:
            if self.incident.prolong(cause):
                self._on_fired(cause)
                return Reply(PROLONGED, self.incident.path)
            return self.refuse("the incident is as long as it may be", self.incident.path)
        now = time.monotonic_ns()
        if now < self._cool_until_ns:
            return self.refuse(f"--cooldown goes on for {format_duration(self._cool_until_ns - now)}")
        try:
            self.incident = self._begin(cause)
        except SinkError as error:
            self._cool_until_ns = now + self._cooldown_ns
            self._on_event(f"{cause.rule} fired, but no incident can be written: {error}")
            return self.refuse(str(error))
        self.refused = 0
        self._on_fired(cause)
        self._on_event(
            f"{cause.rule} fired{f' ({cause.reason})' if cause.reason else ''}: writing {self.incident.path}"
        )
        return Reply(BEGAN, self.incident.path)

    def refuse(self, reason: str, incident: str | None = None) -> Reply:
        """Count a trigger that is refused, and return the answer."""
        self.refused += 1
        return Reply(REFUSED, incident, reason)

    def over(self) -> Open:
        """Return the incident that is over; from now on the cooldown counts."""
        incident, self.incident = self.incident, None
        assert incident is not None
        self._cool_until_ns = time.monotonic_ns() + self._cooldown_ns
        return incident

    def close(self) -> None:
        """Refuse what is still asked."""
        while not self._asked.empty():
            _, waiting = self._asked.get_nowait()
            if waiting is not None:
                waiting.set_result(self.refuse("the recorder ends"))
