"""Records of drops and resets -> packets of an interface of their own in a file, and what rules see.

A record has the packet as the kernel had it. A reset that answers no packet has only the tuple of its socket: an RST
is made from that, and its comment says so.
"""

import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any

import numpy as np

from capture.abi import REASON_DROP, REASON_RESET_SENT
from capture.kernel.netns import NAMED
from capture.kernel.reasons import Reasons
from capture.pcapng import blocks
from capture.plan import EVENTS_NAME
from capture.wire.drop_reasons import DROPPED, EVENTS, PEER_RESET, RESET, KernelReason
from capture.wire.frame_ends import conversation_of_frame

EVENTS_KEPT = 1 << 16
"""Latest events that are remembered."""
INTERFACE = blocks.InterfaceBlock(EVENTS_NAME, EVENTS)
"""The interface of events in a file."""
_time_of = attrgetter("time_ns")
_WORDS = {REASON_DROP: DROPPED, REASON_RESET_SENT: RESET}


@dataclass(frozen=True, slots=True)
class ReasonEvent:
    """An event; `time_ns` is CLOCK_MONOTONIC."""

    time_ns: int
    reason: KernelReason
    data: bytes
    original: int
    note: str
    session: str

    def block(self, interface: int, offset_ns: int) -> bytes:
        """Return its block in a file."""
        sentence = f": {self.reason.sentence}" if self.reason.sentence else ""
        return blocks.packet(
            interface, self.time_ns + offset_ns, self.data, self.original, f"{self.reason}{sentence}{self.note}"
        )


class ReasonEvents:
    """The latest events, in order of time. `take` reads what is new."""

    def __init__(self, reasons: Reasons) -> None:
        self._reasons = reasons
        self.events: deque[ReasonEvent] = deque(maxlen=EVENTS_KEPT)
        self.forgotten = 0
        """Events that are no longer among the latest."""
        self._of_namespaces: Counter[tuple[int, str, str]] = Counter()
        self.detach: Callable[[], None] = reasons.detach

    def take(self) -> list[ReasonEvent]:
        """Return the events since the last call, in order of time."""
        new = [self._event(record) for record in self._reasons.take()]
        self._of_namespaces.update((one.reason.netns, one.reason.what, one.reason.reason) for one in new)
        self.forgotten += max(0, len(self.events) + len(new) - EVENTS_KEPT)
        # An event of another CPU may be read one call later: then the last ones of before are sorted in again.
        overlap = []
        while new and self.events and self.events[-1].time_ns > new[0].time_ns:
            overlap.append(self.events.pop())
        self.events.extend(sorted([*reversed(overlap), *new], key=_time_of) if overlap else new)
        return new

    def _event(self, record: np.void) -> ReasonEvent:
        kind = int(record["kind"])
        reason = KernelReason(
            _WORDS.get(kind, PEER_RESET),
            self._reasons.reason(kind, int(record["reason"])),
            self._reasons.place(int(record["location"])),
            int(record["netns"]),
        )
        time_ns, data = int(record["time_ns"]), record["bytes"].tobytes()[: int(record["captured"])]
        note = ""
        if record["family"]:
            data, note = _rst(record), "; made from the socket"
        elif record["headless"]:
            ethertype = int(record["ethertype"]).to_bytes(2, "little")
            data, note = bytes(12) + ethertype + data[14:], "; its Ethernet header is made up"
        original = len(data) if record["family"] else max(int(record["original"]), len(data))
        return ReasonEvent(time_ns, reason, data, original, note, conversation_of_frame(data))

    def due(self, until_ns: int, most: int) -> list[ReasonEvent]:
        """Return the oldest events before a time, at most so many, in order of time; they stay until `done`."""
        return [event for event in islice(self.events, most) if event.time_ns < until_ns]

    def done(self) -> None:
        """Forget the oldest event: it was written."""
        self.events.popleft()

    def between(self, from_ns: int, until_ns: int) -> Sequence[ReasonEvent]:
        """Return the remembered events of a time, without its end."""
        return [event for event in self.events if from_ns <= event.time_ns < until_ns]

    @property
    def missed(self) -> int:
        """Records that were overwritten before they were read."""
        return self._reasons.missed

    def counts(self) -> Counter[KernelReason]:
        """Return how many events of captured conversations there were, by reason and place, in all namespaces."""
        counted: Counter[KernelReason] = Counter()
        for one in self._reasons.counts():
            counted[KernelReason(_WORDS.get(one.kind, PEER_RESET), one.reason, one.place)] += one.recorded + one.over
        return counted

    def as_json(self) -> dict[str, Any]:
        """Return plain values: the counts of all events, those of other conversations, too."""
        places = [
            {
                "what": _WORDS.get(one.kind, PEER_RESET),
                "reason": one.reason,
                "place": one.place,
                "events": one.count,
                "recorded": one.recorded,
                "over_the_rate": one.over,
                "others": one.other,
                "interrupted": one.busy,
            }
            for one in self._reasons.counts()
        ]
        names = namespace_names()
        namespaces = [
            {"netns": netns, "name": names.get(netns), "what": what, "reason": reason, "recorded": count}
            for (netns, what, reason), count in self._of_namespaces.most_common()
        ]
        return {
            "missed": self.missed, "forgotten": self.forgotten, "places": places, "namespaces": namespaces,
        }  # fmt: skip


def namespace_names(folder: str = NAMED) -> dict[int, str]:
    """Return the names of network namespaces by inode number; a pod's is called by its CNI."""
    names: dict[int, str] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                names[os.stat(entry.path).st_ino] = entry.name
    return names


def _rst(record: Any) -> bytes:
    """Return an Ethernet frame with an RST from a socket's own side."""
    size = 4 if record["family"] == 4 else 16
    source, destination = (bytes(record[side].tobytes()[:size]) for side in ("source", "destination"))
    ports = b"".join(int(record[f"{side}_port"]).to_bytes(2, "big") for side in ("source", "destination"))
    tcp = ports + bytes(8) + bytes([5 << 4, 4]) + bytes(6)
    if size == 4:
        return bytes(12) + b"\x08\x00\x45\0\0\x28" + bytes(4) + b"\x40\x06\0\0" + source + destination + tcp
    return bytes(12) + b"\x86\xdd\x60\0\0\0\0\x14\x06\x40" + source + destination + tcp
