"""The batches of a file and the name of a session -> the data of its sides, and in the end its row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from capture.analysis.packets.reading import Batch
from capture.analysis.sessions.notes import notes_of
from capture.analysis.sessions.session_table import records
from capture.analysis.sessions.tracker import Tracker
from capture.analysis.streams.dialogue import Dialogue
from capture.analysis.streams.reassembly import Part
from capture.arrays.aliases import Table
from capture.errors import FormatError, SpecError
from capture.filters import conversations as lists
from capture.units import format_count
from capture.wire.addresses import Names, halves, place_text
from capture.wire.protocols import TCP, UDP, protocol_name

_OTHERS = 8
"""Numbers of other sessions with the same five-tuple that are kept at most."""


def no_such_session(text: str, count: int) -> SpecError:
    """Return the error that a file of `count` sessions has no session with this number or five-tuple."""
    sessions = format_count(count, "session")
    return SpecError(f"there is no session {text}; the file has {sessions}: see `bicap sessions`")


@dataclass(frozen=True, slots=True)
class Which:
    """A session by its number, or the first session with a five-tuple."""

    text: str
    number: int = 0
    five_tuple: lists.Conversation | None = None

    @classmethod
    def parse(cls, text: str) -> "Which":
        """Read "7", or "tcp 10.0.0.1:4000 10.0.0.2:80" from either end. Raises SpecError."""
        if text.isdecimal() and int(text) > 0:
            return cls(text, number=int(text))
        try:
            return cls(text, five_tuple=lists.parse_conversation(text, "session"))
        except SpecError as error:
            raise SpecError(
                f"{error}; write a number from `bicap sessions`, or 'tcp 10.0.0.1:4000 10.0.0.2:80'"
            ) from None

    def of(self, packets: Table) -> Any:
        """Return a mask of packets that may belong to the session."""
        if self.five_tuple is None:
            return packets["session"] == self.number
        ends = [(halves(end[0]), end[1]) for end in (self.five_tuple.source, self.five_tuple.destination)]

        def between(sender: Any, receiver: Any) -> Any:
            (source, source_port), (destination, destination_port) = sender, receiver
            wanted = {"source_high": source[0], "source_low": source[1], "source_port": source_port}
            wanted |= {"destination_high": destination[0], "destination_low": destination[1]}
            wanted |= {"destination_port": destination_port}
            return np.logical_and.reduce([packets[name] == value for name, value in wanted.items()])

        kind = (packets["protocol"] == self.five_tuple.protocol) & (packets["family"] == self.five_tuple.family)
        return kind & (between(*ends) | between(*ends[::-1]))


@dataclass(slots=True)
class Followed:
    """One session of a file. Iterate `parts`; `dialogue` is set from the first part on, other fields at the end.

    `session` is its row as a plain object (session_table.records); `others` are numbers of up to eight sessions with
    the same five-tuple; `notes` are sentences about the file, in which it has
    this `name`.
    """

    which: Which
    by_interface: bool = True
    name: str = "the file"
    number: int = 0
    dialogue: Dialogue | None = None
    session: Any = None
    others: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def parts(self, batches: Iterable[Batch]) -> Iterator[Part]:
        """Return the parts of the dialogue in order. Raises SpecError if there is no such session of TCP or UDP.

        A FormatError of `batches`, for a damaged file, is raised after everything that could be read.
        """
        tracker = Tracker(by_interface=self.by_interface)
        damage: FormatError | None = None
        count, source = 0, iter(batches)
        while True:
            try:
                batch = next(source, None)
            except FormatError as error:
                batch, damage = None, error
            if batch is None:
                break
            ended = [sessions for sessions, _ in tracker.feed(batch.data, batch.packets)]
            count = max(count, int(batch.packets["session"].max()))
            chosen = batch.packets[self.which.of(batch.packets)]
            if len(chosen):
                yield from self._feed(chosen, batch)
            self._find_row(ended)
        self._find_row(sessions for sessions, _ in tracker.finish())
        self.notes = notes_of(self.name, tracker)
        if self.dialogue is None:
            if damage is not None:
                raise damage
            raise no_such_session(self.which.text, count)
        yield from self.dialogue.finish()
        if damage is not None:
            raise damage

    def _feed(self, packets: Table, batch: Batch) -> Iterator[Part]:
        if self.dialogue is None:
            if int(packets["protocol"][0]) not in (TCP, UDP):
                what = protocol_name(int(packets["protocol"][0]))
                raise SpecError(f"session {self.which.text} is {what}; only tcp and udp can be followed")
            self.number = int(packets["session"][0])
            self.dialogue = Dialogue(packets[:1].copy()[0])
        mine = packets["session"] == self.number
        self.others.update(packets["session"][~mine].tolist()[: _OTHERS - len(self.others)])
        yield from self.dialogue.feed(packets[mine], batch.data)

    def _find_row(self, ended: Iterable[Table]) -> None:
        for sessions in ended:
            chosen = sessions[sessions["session"] == self.number]
            if len(chosen):
                (self.session,) = records(chosen)

    @property
    def protocol(self) -> str:
        """Name of the protocol: tcp or udp."""
        assert self.dialogue is not None
        return protocol_name(self.dialogue.protocol)

    def address(self, side: int, names: Names | None = None) -> str:
        """Return address:port of client (0) or server (1), with the name in `names` if the address has one."""
        assert self.dialogue is not None
        return place_text(int(self.dialogue.first["family"]), *self.dialogue.endpoint(side), names)
