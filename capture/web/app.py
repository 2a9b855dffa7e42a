"""An opened capture -> an ASGI application: its data, under /api/. Handlers that compute run in threads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from capture.errors import BicapError, SpecError
from capture.views.session_rows import session_columns
from capture.web.arrays_body import body
from capture.web.bundle import html
from capture.web.completion import complete
from capture.web.dissection import tree
from capture.web.exports import as_pcapng
from capture.web.front import PAGE, Front
from capture.web.incident_page import answers
from capture.web.kept_exchanges import KeptExchanges
from capture.web.ladder import ladder
from capture.web.listing import Listings
from capture.web.opened import Opened
from capture.web.packet_detail import packet_detail
from capture.web.packet_rows import packet_rows
from capture.web.page_guard import Guard
from capture.web.page_rows import session_rows
from capture.web.sequence_graph import sequence
from capture.web.session_sentence import sentence
from capture.web.turns import plain, turns, visible
from capture.web.two_points import other_point, two_points
from capture.wire.protocols import SYN

_ROWS_MAX = 500
_WAIT_S = 20.0


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


class _Api:
    """Handlers: a request -> an answer."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.listings, self.exchanges = Listings(opened), KeptExchanges(opened)

    def status(self, request: Request) -> Response:
        return _json(self.opened.status())

    async def events(self, request: Request) -> Response:
        """Server-sent events: the status whenever it changes."""
        opened = self.opened

        def waited(version: int) -> dict[str, Any]:
            with opened.changed:
                opened.changed.wait_for(lambda: opened.version != version, 0.5)
            return opened.status()

        async def stream() -> AsyncIterator[bytes]:
            version, quiet = -1, 0.0
            while not await request.is_disconnected():
                status = await asyncio.to_thread(waited, version)
                moved = status["version"] != version or not status["done"]
                quiet = 0.0 if moved else quiet + 0.5
                if moved or quiet >= _WAIT_S:
                    version, quiet = status["version"], 0.0
                    yield b"data: " + msgspec.json.encode(status) + b"\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    def sessions(self, request: Request) -> Response:
        query = request.query_params
        listing = self.listings.get(query.get("filter", ""), query.get("sort", "start"), query.get("group", "none"))
        start, count = _number(query.get("from"), 0), min(_number(query.get("count"), 100), _ROWS_MAX)
        place = -1
        if (wanted := _number(query.get("find"), 0)) > 0:
            found = np.flatnonzero(listing.order == wanted)
            place = int(found[0]) if len(found) else -1
        return _json(
            {
                "version": listing.version,
                "total": listing.total,
                "shown": len(listing.order),
                "hidden": listing.hidden,
                "groups": [asdict(group) for group in listing.groups] if query.get("groups") else None,
                "from": start,
                "rows": self.listings.window(listing, start, count),
                "place": place,
            }
        )

    def findings(self, request: Request) -> Response:
        opened = self.opened
        return _json({"findings": [asdict(one) for one in opened.findings], "waits": opened.waits})

    def complete(self, request: Request) -> Response:
        return _json(complete(self.opened, self.listings, request.query_params.get("text", "")))

    def where(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        rows = self.opened.packets.rows
        if not 1 <= number <= len(rows):
            raise SpecError(f"there is no packet {number}; the file has {len(rows):,}")
        return _json({"packet": number, "session": int(rows["session"][number - 1])})

    def session(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        self.exchanges.check(number)
        row = session_rows(self.opened, np.array([number]))[0]
        return _json({**row, "sentence": sentence(self.opened, number), "points": self.opened.status()["points"]})

    def ladder(self, request: Request) -> Response:
        query = request.query_params
        talk = self.exchanges.get(int(request.path_params["number"]))
        opened = frozenset(int(word) for word in query.get("open", "").split(",") if word.isdecimal())
        view = None
        if query.get("from") is not None:
            view = (_number(query.get("from"), 0), _number(query.get("to"), 0))
        answer = ladder(talk, query.get("fold", "1") == "1", opened, view)
        pairing = other_point(self.opened, talk.session) if len(talk) else None
        answer["other"] = None if pairing is None else [pairing.near, pairing.far]
        answer["file_end"] = self.opened.last_ns - int(talk["time_ns"][0]) if self.opened.done.is_set() else None
        return _json(answer)

    def two(self, request: Request) -> Response:
        """The ladder of a session at two points."""
        number = int(request.path_params["number"])
        self.exchanges.check(number)
        pairing = other_point(self.opened, number)
        if pairing is None:
            raise SpecError(f"session {number} was seen at one point only")
        answer = two_points(self.opened, self.exchanges, pairing, one_clock=len(self.opened.captures) == 1)
        return _json(answer)

    def sequence(self, request: Request) -> Response:
        query = request.query_params
        talk = self.exchanges.get(int(request.path_params["number"]))
        span = int(talk["time_ns"][-1] - talk["time_ns"][0]) if len(talk) else 0
        view = (_number(query.get("from"), 0), _number(query.get("to"), span))
        pixels = min(max(_number(query.get("width"), 800), 16), 8192)
        arrays, facts = sequence(talk, view, pixels, query.get("below", "trip"))
        return Response(body(arrays, facts), media_type="application/octet-stream")

    def streams(self, request: Request) -> Response:
        from capture.analysis.streams.followed import Followed, Which

        number = int(request.path_params["number"])
        talk = self.exchanges.get(number)
        followed = Followed(Which(str(number), number=1), by_interface=False)
        parts = followed.parts(self.exchanges.only(self.opened.numbers_of(number)))
        found = turns(parts, datagrams=not talk.is_tcp)
        start = int(talk["time_ns"][0])
        missing = followed.dialogue.why_incomplete if followed.dialogue is not None else []
        return _json({"turns": [plain(turn, start) for turn in found], "missing": missing})

    def raw(self, request: Request) -> Response:
        """The bytes of one side, as `bicap follow --as raw` writes them."""
        from capture.analysis.streams.followed import Followed, Which
        from capture.views.transcripts import raw_bytes

        number, side = int(request.path_params["number"]), int(request.path_params["side"])
        self.exchanges.check(number)
        followed = Followed(Which(str(number), number=1), by_interface=False)
        parts = followed.parts(self.exchanges.only(self.opened.numbers_of(number)))
        return StreamingResponse(
            (raw_bytes(part) for part in parts if part.side == side), media_type="application/octet-stream"
        )

    def packets(self, request: Request) -> Response:
        query = request.query_params
        session = _number(query.get("session"), 0)
        start, count = _number(query.get("from"), 0), min(_number(query.get("count"), 100), _ROWS_MAX)
        return _json(packet_rows(self.opened, self.exchanges, session, start, count))

    def packet(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        rows = self.opened.packets.rows
        if not 1 <= number <= len(rows):
            raise SpecError(f"there is no packet {number}; the file has {len(rows):,}")
        session = int(rows["session"][number - 1])
        relative, scaled = None, -1
        if session:
            talk = self.exchanges.get(session)
            at = int(np.searchsorted(talk["number"], number))
            if at < len(talk) and talk.is_tcp:
                relative = int(talk.sequence[at]), int(talk.acknowledgment[at])
                scaled = int(talk.window[at]) if talk.scales[0] >= 0 or int(talk["tcp_flags"][at]) & SYN else -1
        for batch in self.exchanges.only(np.array([number], np.int64)):
            batch.packets["session"] = session
            return _json(packet_detail(batch, self.opened.description, relative, scaled))
        raise SpecError(f"packet {number} cannot be read again: the file has changed")

    def tree(self, request: Request) -> Response:
        """Wireshark's tree of a packet, from its session alone."""
        number = int(request.path_params["number"])
        rows = self.opened.packets.rows
        if not 1 <= number <= len(rows) or not int(rows["session"][number - 1]):
            raise SpecError(f"packet {number} is in no session")
        session = int(rows["session"][number - 1])
        numbers = self.opened.numbers_of(session)
        blocks = as_pcapng(self.opened, self.exchanges, [session])
        lines = tree(blocks, int(np.searchsorted(numbers, number)) + 1)
        return _json([visible(line) for line in lines])

    def export(self, request: Request) -> Response:
        """The packets of sessions as pcapng, or the sessions as JSON."""
        numbers = [int(word) for word in request.query_params.get("sessions", "").split(",") if word.isdecimal()][
            :1000
        ]
        if not numbers:
            raise SpecError("export: name the sessions")
        for number in numbers:
            self.exchanges.check(number)
        if request.path_params["form"] == "html":
            text = html(PAGE, f"{self.opened.name}, session {numbers[0]}", answers(numbers[0], self._asked))
            return Response(text, media_type="application/octet-stream")
        if request.path_params["form"] == "json":
            table = self.opened.sessions.rows[np.array(numbers) - 1]
            columns = session_columns(table, self.opened.description.interfaces, self.opened.completeness)
            rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
            return _json(rows)
        blocks = as_pcapng(self.opened, self.exchanges, numbers)
        return StreamingResponse(blocks, media_type="application/octet-stream")

    def _asked(self, path: str) -> Any:
        """Return the answer to a question of our own."""
        where, _, query = path.partition("?")
        parts = where.split("/")
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": where,
            "query_string": query.encode(),
            "headers": [],
        }
        scope["path_params"] = {"number": parts[1] if len(parts) > 1 else "", "form": parts[-1]}
        kind = parts[-1] if parts[0] == "session" and len(parts) > 2 else parts[0]
        answer = getattr(self, kind)(Request(scope))
        if isinstance(answer, StreamingResponse):
            return b"".join(as_pcapng(self.opened, self.exchanges, [int(query.partition("=")[2])]))
        if answer.media_type == "application/json":
            return msgspec.json.decode(answer.body)
        return bytes(answer.body)


def _number(text: str | None, default: int) -> int:
    try:
        return int(float(text)) if text not in (None, "") else default
    except (ValueError, OverflowError):
        raise SpecError(f"{text!r} is not a number") from None


def application(opened: Opened, token: str, port: int) -> ASGIApp:
    """Return the application that shows a capture to those who have the token."""
    data: Future[ASGIApp] = Future()
    data.set_result(data_of(opened))
    return Front(Guard(token, port), data)


def data_of(opened: Opened) -> ASGIApp:
    """Return what answers questions about a capture, under /api/; who may ask is the front's to say."""
    api = _Api(opened)

    def told(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        """A handler whose errors are answers: 400 for what the request got wrong, 500 for the file."""

        def answered(request: Request) -> Response:
            try:
                answer: Response = handler(request)
                return answer
            except BicapError as error:
                status = 400 if isinstance(error, SpecError) else 500
                return Response(msgspec.json.encode({"error": str(error)}), status, media_type="application/json")
            except OSError as error:
                text = f"{opened.name} cannot be read: {error.strerror}"
                return Response(msgspec.json.encode({"error": text}), 500, media_type="application/json")

        return answered

    routes = [
        Route("/api/status", told(api.status)),
        Route("/api/events", api.events),
        Route("/api/sessions", told(api.sessions)),
        Route("/api/findings", told(api.findings)),
        Route("/api/complete", told(api.complete)),
        Route("/api/where/{number:int}", told(api.where)),
        Route("/api/session/{number:int}", told(api.session)),
        Route("/api/session/{number:int}/ladder", told(api.ladder)),
        Route("/api/session/{number:int}/two", told(api.two)),
        Route("/api/session/{number:int}/sequence", told(api.sequence)),
        Route("/api/session/{number:int}/streams", told(api.streams)),
        Route("/api/session/{number:int}/raw/{side:int}", told(api.raw)),
        Route("/api/packets", told(api.packets)),
        Route("/api/packet/{number:int}", told(api.packet)),
        Route("/api/packet/{number:int}/tree", told(api.tree)),
        Route("/api/export/{form:str}", told(api.export)),
    ]
    return Starlette(routes=routes)
