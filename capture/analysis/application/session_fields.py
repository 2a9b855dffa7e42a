"""Messages of sessions -> the application fields in the rows of sessions (session_table.SessionApplication)."""

from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np

from capture.analysis.application.heard import Heard
from capture.analysis.application.message import MessageKind
from capture.analysis.application.messages import Messages
from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Table
from capture.arrays.texts import TEXTS


@dataclass(slots=True)
class _Fields:
    """The fields of SessionApplication, in any order."""

    application: int = 0
    server_name: int = 0
    alpn: int = 0
    tls_version: int = 0
    tls_alert: int = 0
    tls_alert_side: int = 0
    http_method: int = 0
    http_host: int = 0
    http_path: int = 0
    http_status: int = 0
    http_requests: int = 0
    http_answers: int = 0
    http_4xx: int = 0
    http_5xx: int = 0
    http_5xx_others: int = 0
    dns_name: int = 0
    dns_type: int = 0
    dns_code: int = 0
    dns_errors: int = 0
    error_packet: int = 0

    def add(self, heard: Heard, packet: int) -> None:
        """Add a message that a packet completes; of each kind the first one names the session, counts are of all."""
        if not self.error_packet and _is_error(heard):
            self.error_packet = packet
        name = TEXTS.number(heard.name)
        match heard.kind:
            case MessageKind.DNS_QUERY | MessageKind.DNS_ANSWER:
                self._is("dns")
                if not self.dns_name:
                    self.dns_name, self.dns_type = name, heard.type
                if heard.kind is MessageKind.DNS_ANSWER:
                    self.dns_errors += heard.code > 0
                    if self.dns_code <= 1:  # an error goes before a success
                        self.dns_code = heard.code + 1
            case MessageKind.CLIENT_HELLO | MessageKind.QUIC_INITIAL:
                self._is("tls" if heard.kind is MessageKind.CLIENT_HELLO else "quic")
                self.server_name = self.server_name or name
                self.alpn = self.alpn or TEXTS.number(heard.alpn)
            case MessageKind.SERVER_HELLO:
                self._is("tls")
                self.tls_version = self.tls_version or heard.code
                if heard.alpn:  # what was chosen, instead of what was offered
                    self.alpn = TEXTS.number(heard.alpn)
            case MessageKind.ALERT:
                self._is("tls")
                if heard.code and not self.tls_alert:
                    self.tls_alert, self.tls_alert_side = heard.code, heard.side + 1
            case MessageKind.HTTP_REQUEST:
                self._is("http")
                self.http_requests += 1
                if not self.http_method:
                    self.http_method = TEXTS.number(heard.method)
                    self.http_host, self.http_path = name, TEXTS.number(heard.path)
            case MessageKind.HTTP_ANSWER:
                self._is("http")
                self.http_answers += heard.code >= 200
                self.http_4xx += heard.code // 100 == 4
                self.http_5xx += heard.code // 100 == 5
                if heard.code >= 200 and (not self.http_status or _class(self.http_status) < _class(heard.code)):
                    self.http_status = heard.code
                self.http_5xx_others += heard.code // 100 == 5 and heard.code != self.http_status

    def _is(self, application: str) -> None:
        self.application = self.application or TEXTS.number(application)


def _class(status: int) -> int:
    """Return 4 or 5 for errors, 0 for other statuses."""
    return status // 100 if status >= 400 else 0


def _is_error(heard: Heard) -> bool:
    """True for an alert that is no goodbye, an error of DNS, and an HTTP status from 500 on."""
    match heard.kind:
        case MessageKind.ALERT | MessageKind.DNS_ANSWER:
            return heard.code > 0
        case MessageKind.HTTP_ANSWER:
            return heard.code // 100 == 5
    return False


_NAMES = tuple(field.name for field in fields(_Fields))
_values = attrgetter(*_NAMES)


class Applications:
    """The application fields of open sessions. `add` a batch after the Tracker had it, then `fill` ended sessions."""

    def __init__(self) -> None:
        self._messages = Messages()
        self._open: dict[int, _Fields] = {}

    def add(self, batch: Batch) -> list[Heard]:
        """Add the messages of a batch, and return them."""
        heard = self._messages.of(batch)
        numbers = batch.packets["number"]
        for one in heard:
            self._add(one, int(numbers[one.packet]) if one.packet >= 0 else 0)
        return heard

    def fill(self, sessions: Table) -> None:
        """Write the fields into the rows of ended sessions."""
        for heard in self._messages.left(sessions["session"]):
            self._add(heard, 0)
        for number in self.show(sessions):
            del self._open[number]

    def show(self, sessions: Table) -> list[int]:
        """Write the fields, as far as they are known, into the rows of sessions that may be open.

        Return the numbers of the sessions of which something is known.
        """
        if not self._open:
            return []
        known = [(place, number) for place, number in enumerate(sessions["session"].tolist()) if number in self._open]
        if known:
            places, numbers = map(list, zip(*known, strict=True))
            columns = np.array([_values(self._open[number]) for number in numbers], np.int64)
            for at, name in enumerate(_NAMES):
                sessions[name][places] = columns[:, at]
        return [number for _, number in known]

    def _add(self, heard: Heard, packet: int) -> None:
        if heard.session not in self._open:
            self._open[heard.session] = _Fields()
        self._open[heard.session].add(heard, packet)
