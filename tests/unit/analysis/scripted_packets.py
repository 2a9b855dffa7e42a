"""Packets of conversations, as tests write them -> the sessions and samples that a Tracker returns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from capture.analysis.packets.compiled.decode import decode
from capture.analysis.packets.packet_table import PACKET
from capture.analysis.sessions.session_table import Measure, records
from capture.analysis.sessions.tracker import Tracker
from capture.wire.link_types import ETHERNET
from testbed import packets

CLIENT, SERVER = ("10.0.0.1", 40_000), ("10.0.0.2", 80)
MS = 1_000_000
S, SA, A, F, R = packets.SYN, packets.SYN | packets.ACK, packets.ACK, packets.FIN | packets.ACK, packets.RST

Frame = tuple[float, bytes]
"""Time, ms, and the bytes of a frame."""


def segment(
    ms: float,
    sender: str,
    flags: int,
    sequence: int = 0,
    acknowledgment: int = 0,
    payload: int = 0,
    *,
    ports: tuple[int, int] = (CLIENT[1], SERVER[1]),
    identification: int = 0,
    **more: Any,
) -> Frame:
    """Return a TCP segment of "client" or "server"; their sequence numbers begin at 1000 and 5000."""
    ends = ((CLIENT[0], ports[0]), (SERVER[0], ports[1]))
    source, destination = ends if sender == "client" else ends[::-1]
    own, other = (1000, 5000) if sender == "client" else (5000, 1000)
    frame = packets.tcp(
        *source,
        *destination,
        flags,
        bytes(payload),
        sequence=(own + sequence) & 0xFFFFFFFF,
        acknowledgment=(other + acknowledgment) & 0xFFFFFFFF if flags & A else 0,
        **more,
    )
    return ms, frame[:18] + identification.to_bytes(2, "big") + frame[20:]


HANDSHAKE = [
    segment(0, "client", S),
    segment(10, "server", SA, 0, 1),
    segment(13, "client", A, 1, 1),
]


@dataclass
class Tracked:
    """Output of a Tracker, in order of the sessions' first packets."""

    sessions: list[Any] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list, compare=False)
    """The same in the order of the output."""
    samples: list[tuple[int, str, str, float]] = field(default_factory=list)

    @property
    def only(self) -> Any:
        (session,) = self.sessions
        return session

    def durations_ms(self, measure: Measure, side: str) -> list[float]:
        return [ms for _, name, where, ms in self.samples if (name, where) == (measure.name, side)]


def decoded(
    frames: Sequence[Frame], first_number: int = 1, interfaces: Sequence[int] = (), captured: int = 65535
) -> tuple[Any, Any]:
    """Return bytes and rows of PACKET. `interfaces`: of each frame; default: 0. `captured`: bytes of each at most."""
    rows = np.zeros(len(frames), PACKET)
    rows["time_ns"] = [round(1000 * MS + ms * MS) for ms, _ in frames]
    rows["original"] = [len(frame) for _, frame in frames]
    rows["captured"] = np.minimum(rows["original"], captured)
    rows["offset"] = np.cumsum([0, *(len(frame) for _, frame in frames)])[:-1]
    rows["interface"] = interfaces if interfaces else 0
    data = np.frombuffer(b"".join(frame for _, frame in frames) or b"\0", np.uint8)
    decode(data, np.full(max(16, int(rows["interface"].max(initial=0)) + 1), ETHERNET, np.int64), rows, first_number)
    return data, rows


def track(
    frames: Iterable[Frame],
    batch: int = 1000,
    interfaces: Sequence[int] = (),
    captured: int = 65535,
    **settings: Any,
) -> Tracked:
    """Feed frames in batches of this size. `interfaces`: the interface of each frame; default: 0."""
    listed, found, tracker = list(frames), Tracked(), Tracker(**settings)

    def take(results: Iterable[tuple[Any, Any]]) -> None:
        for sessions, samples in results:
            found.tables.append(sessions)
            found.sessions += records(sessions)
            for one in samples:
                side = ("client", "server")[one["side"]]
                name = Measure(one["measure"]).name
                found.samples.append((int(one["session"]), name, side, int(one["duration_ns"]) / MS))

    for start in range(0, len(listed), batch):
        part = listed[start : start + batch]
        data, rows = decoded(part, start + 1, interfaces[start : start + batch], captured)
        take(tracker.feed(data, rows))
    take(tracker.finish())
    found.sessions.sort(key=lambda session: session.session)
    return found
