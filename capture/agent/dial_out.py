"""The leading controller's address -> a connection to it that is kept, and orders that are answered.

The agent asks for orders, and each answer is a request of its own: nothing listens on a node. Few answers are under
way at a time, each with one piece of a file in memory; how fast they go is up to who reads them.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import msgspec

from capture.agent.file_list import file_answer, listed_files
from capture.agent.folder import Home
from capture.agent.live_tail import ClockReading
from capture.errors import ApiError, BicapError
from capture.kernel.wallclock import clock_state
from capture.retrieval.leader_address import LeaderAddress
from capture.retrieval.orders import (
    ANSWER_HEADER,
    ANSWERS_PATH,
    ORDER_SILENCE_SECONDS,
    ORDERS_PATH,
    TIME_PATH,
    AnswerHead,
    Order,
)
from capture.retrieval.tls_identity import trusting

ANSWERS_MOST = 4
"""Most answers with files that are under way; others wait."""
LIVE_MOST = 4
"""Most live views of captures of this node; others are refused."""
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
_TIMEOUT = httpx2.Timeout(10.0, read=ORDER_SILENCE_SECONDS, write=60.0)
_log = logging.getLogger("bicap.agent")
CLOCK_TRIES = 4
Clock = Callable[[], ClockReading | None]
Live = Callable[[str, Clock], tuple[AnswerHead, Generator[bytes, None, None]]]
"""Returns the answer to an order to follow the capture with this UID; the second compares clocks."""


class DialOut:
    """Answers the controller's orders, between `start` and `stop`, from threads of its own.

    `token` returns a token for the controller, `find` where the leading one is.
    """

    def __init__(
        self,
        home: Home,
        node: str,
        token: Callable[[], str],
        find: Callable[[], LeaderAddress | None],
        live: Live | None = None,
    ) -> None:
        self._home, self._node, self._token, self._find, self._live = home, node, token, find, live
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dial out", daemon=True)
        self._answers = ThreadPoolExecutor(ANSWERS_MOST, "answer")
        self._views = threading.BoundedSemaphore(LIVE_MOST)
        self._client: httpx2.Client | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the threads end: the connection is closed, answers break off."""
        self._ending.set()
        if self._client is not None:
            self._client.close()
        self._answers.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        failures, said = 0, ""
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._follow_leader()
                trouble = "the controller ended the connection"
            except (ApiError, httpx2.HTTPError, httpx2.StreamError, OSError, ValueError) as error:
                trouble = f"{type(error).__name__}: {error}"
            except Exception as error:
                trouble = f"bug: {type(error).__name__}: {error}"
                _log.exception(trouble)
            if self._ending.is_set():
                return
            if time.monotonic() - began > ORDER_SILENCE_SECONDS:
                failures = 0
            if trouble != said:
                _log.warning("no connection to the controller; files can be fetched later (%s)", trouble)
                said = trouble
            self._ending.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1

    def _follow_leader(self) -> None:
        leader = self._find()
        if leader is None:
            raise ValueError("no controller has said where it is")
        with httpx2.Client(
            base_url=f"https://{leader.address}",
            verify=trusting(leader.authority),
            auth=self._authorize,
            timeout=_TIMEOUT,
            trust_env=False,
            limits=httpx2.Limits(max_connections=2 + ANSWERS_MOST + LIVE_MOST),
        ) as client:
            self._client = client
            with client.stream("GET", ORDERS_PATH, params={"node": self._node}) as stream:
                if stream.status_code != 200:
                    raise ValueError(f"the controller refuses ({stream.status_code}): {_said(stream.read())}")
                _log.info("connected to the controller", extra={"address": leader.address})
                for line in stream.iter_lines():
                    if line.strip():
                        self._take(client, msgspec.json.decode(line, type=Order))

    def _authorize(self, request: httpx2.Request) -> httpx2.Request:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request

    def _take(self, client: httpx2.Client, order: Order) -> None:
        if order.verb != "live":
            self._answers.submit(self._answer, client, order)
        elif self._live is None or not self._views.acquire(blocking=False):
            text = f"{LIVE_MOST} live views of captures of this node are open, which is the most"
            self._answers.submit(self._send, client, order, AnswerHead(503, text), b"")
        else:
            threading.Thread(target=self._show, args=(client, order), name="live view", daemon=True).start()

    def _answer(self, client: httpx2.Client, order: Order) -> None:
        try:
            head, body = self._content(order)
        except BicapError as error:
            head, body = AnswerHead(404, str(error)), b""
        except Exception as error:
            _log.exception("bug: an order failed", extra={"capture": order.capture})
            head, body = AnswerHead(500, f"bug: {type(error).__name__}: {error}"), b""
        self._send(client, order, head, body)

    def _content(self, order: Order) -> tuple[AnswerHead, bytes]:
        folder = self._home.folder(order.capture)
        if order.verb != "list":
            return file_answer(folder, order)
        files = listed_files(folder)
        if files is None:
            return AnswerHead(404, "nothing was captured here"), b""
        return AnswerHead(), msgspec.json.encode(files)

    def _show(self, client: httpx2.Client, order: Order) -> None:
        assert self._live is not None
        try:
            head, frames = self._live(order.capture, lambda: compare_clocks(client))
            with contextlib.closing(frames):
                self._send(client, order, head, frames)
        except Exception:
            _log.exception("bug: a live view failed", extra={"capture": order.capture})
        finally:
            self._views.release()

    def _send(self, client: httpx2.Client, order: Order, head: AnswerHead, body: bytes | Iterator[bytes]) -> None:
        headers = {ANSWER_HEADER: json.dumps(msgspec.to_builtins(head))}  # ASCII, whatever the texts are
        try:
            answer = client.post(f"{ANSWERS_PATH}{order.id}", content=body, headers=headers)
        except (httpx2.HTTPError, httpx2.StreamError, OSError, RuntimeError) as error:
            # Who asked does not wait any more, or the connection is gone: then the next order tells.
            _log.debug("an answer broke off: %s", error, extra={"capture": order.capture})
            return
        if answer.status_code not in (204, 410):
            _log.warning("an answer was refused (%s): %s", answer.status_code, _said(answer.content))


def compare_clocks(client: httpx2.Client) -> ClockReading | None:
    """Return this clock less the controller's, from the quickest of some answers; None if there is none."""
    readings = []
    try:
        for _ in range(CLOCK_TRIES):
            before = time.time_ns()
            theirs = int(client.get(TIME_PATH).raise_for_status().text)
            after = time.time_ns()
            readings.append((after - before, (before + after) // 2 - theirs))
    except (httpx2.HTTPError, RuntimeError, ValueError):
        return None
    took, offset = min(readings)
    return ClockReading(offset, took // 2, clock_state().startswith("synchronised"))


def _said(body: bytes) -> str:
    return body[:200].decode(errors="replace")
