"""Thousands of conversations -> their frames, the hash that samplers use, and the frames that a program kept.

numpy computes the hash from the description in bpf/lib/flow.h, and shares no code with the program.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from capture.filters.filter_h import filter_program
from capture.kernel import syscall
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import sampling_program
from testbed import packets
from tests.kernel.harness import Programs, RingPacket

SNAPLEN = 80
"""Snaplen that is longer than any frame here."""
PORTION = 2000
"""Packets between readings of the ring, which holds more records than these."""
COUNTED = ("matched", "sampled_by_flow", "sampled_by_packet", "sampled_by_first", "sampled_by_rate",
           "sampled_by_pressure", "lost_ring_full", "lost_other")  # fmt: skip

Numbers = npt.NDArray[np.uint64]
Yes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TupleEnds:
    """One end of many conversations: addresses as two words, and ports."""

    high: Numbers
    low: Numbers
    port: Numbers


@dataclass(frozen=True)
class Conversations:
    """Many conversations of one family and protocol."""

    family: int
    protocol: int
    client: TupleEnds
    server: TupleEnds

    def __len__(self) -> int:
        return len(self.client.port)

    def only(self, which: npt.NDArray[np.int64]) -> "Conversations":
        """Return some of them, by their positions."""
        client, server = (
            TupleEnds(end.high[which], end.low[which], end.port[which]) for end in (self.client, self.server)
        )
        return Conversations(self.family, self.protocol, client, server)

    def frames(self, back: bool = False) -> list[bytes]:
        """Return a packet of each, from the client or back from the server, without payload; TCP has only ACK."""
        source, destination = (self.server, self.client) if back else (self.client, self.server)
        ends = ("10.0.0.1", 1, "10.0.0.2", 2) if self.family == 4 else ("fd00::1", 1, "fd00::2", 2)
        template = (packets.tcp if self.protocol == packets.TCP else packets.udp)(*ends)
        many = np.tile(np.frombuffer(template, np.uint8), (len(self), 1))
        at, words = (26, 1) if self.family == 4 else (22, 4)
        for end in (source, destination):
            if self.family == 6:
                many[:, at : at + 8] = _big_endian(end.high, ">u8")
                many[:, at + 8 : at + 16] = _big_endian(end.low, ">u8")
            else:
                many[:, at : at + 4] = _big_endian(end.low, ">u4")
            at += 4 * words
        many[:, at : at + 2] = _big_endian(source.port, ">u2")
        many[:, at + 2 : at + 4] = _big_endian(destination.port, ">u2")
        return [row.tobytes() for row in many]

    def numbers(self, seed: int = 0) -> Numbers:
        """Return the hashes of the canonical tuples (bpf/lib/flow.h), the same for both directions."""
        low, high = _in_order(self.client, self.server)
        number = np.full(len(self), seed, np.uint64)
        if self.family == 6:
            number = mix(mix(number, low.high), high.high)
        number = mix(mix(number, low.low), high.low)
        return mix(number, (low.port << np.uint64(16) | high.port) << np.uint64(8) | np.uint64(self.protocol))

    def in_share(self, share: Fraction, seed: int = 0) -> Yes:
        """Return a mask of those that a share keeps."""
        return self.numbers(seed) >> np.uint64(32) < np.uint64(max(1, round(share * 2**32)))


def mix(number: Numbers, word: Numbers | int) -> Numbers:
    """Return one step of the hash in bpf/lib/flow.h, for many at a time."""
    product = (number ^ np.uint64(word)) * np.uint64(0x9FB21C651E98DF25)
    mixed: Numbers = product ^ product >> np.uint64(32)
    return mixed


def _big_endian(values: Numbers, kind: str) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values.astype(kind)).view(np.uint8).reshape(len(values), -1)


def _in_order(a: TupleEnds, b: TupleEnds) -> tuple[TupleEnds, TupleEnds]:
    """Return low and high ends, in the order of address and port."""
    above = (a.high > b.high) | (a.high == b.high) & (
        (a.low > b.low) | (a.low == b.low) & (a.port > b.port)
    )  # fmt: skip

    def pick(x: TupleEnds, y: TupleEnds) -> TupleEnds:
        return TupleEnds(*(np.where(above, q, p) for p, q in ((x.high, y.high), (x.low, y.low), (x.port, y.port))))

    return pick(a, b), pick(b, a)


def conversations(count: int) -> list[Conversations]:
    """So many, a quarter each of both families and of TCP and UDP, as a node sees them.

    Some hundred clients, whose addresses and ports follow each other, talk to four servers, of which two have lower
    addresses than the clients.
    """
    each = count // 4
    number = np.arange(each, dtype=np.uint64)
    client, port, which = number // np.uint64(250), number % np.uint64(250), number % np.uint64(4)
    found = []
    for family, network in ((4, 10 << 24), (6, 0xFD00 << 48)):
        for protocol, service in ((packets.TCP, 443), (packets.UDP, 53)):
            v6 = np.uint64(family == 6)
            base, wide = np.uint64(0 if family == 6 else network), v6 * np.uint64(network)
            servers = np.where(which < 2, np.uint64(1), np.uint64(1 << 16)) + which
            found.append(
                Conversations(
                    family,
                    protocol,
                    TupleEnds(np.full(each, wide), base + np.uint64(0x1000) + client, np.uint64(32768) + port),
                    TupleEnds(np.full(each, wide), base + servers, np.full(each, service, np.uint64)),
                )
            )
    return found


def sampled(
    *samplers: str,
    seed: int = 0,
    keep_control: bool = True,
    headers_only: bool = False,
    measures: Sequence[OnPressure] = (),
    snaplen: int = SNAPLEN,
    slot: int = 0,
    **filters: Any,
) -> Programs:
    """Load programs with these samplers; `filters` are arguments of filter_program."""
    asked = Sampling(
        samplers=tuple(parse_sampler(text) for text in samplers),
        seed=seed,
        keep_control=keep_control,
        headers_only=headers_only,
    )
    program = sampling_program(asked, measures)
    asks = {name: getattr(program, name) for name in ("asks_flow", "asks_control", "asks_headers")}
    return Programs(filter_program(**filters, **asks), snaplen=snaplen, slot=slot, sampling=program)


def records(
    programs: Programs, frames: Iterable[bytes], entry: str = "from_pod", repeat: int = 1
) -> Iterator[RingPacket]:
    """Yield the records that programs keep of frames, each of which passes `repeat` times."""
    descriptor = programs.descriptors[entry]
    for number, frame in enumerate(frames, start=1):
        syscall.prog_test_run(descriptor, frame, repeat)
        if number % (PORTION // repeat) == 0:
            yield from programs.records()
    yield from programs.records()


def kept(programs: Programs, frames: Sequence[bytes], entry: str = "from_pod", repeat: int = 1) -> list[int]:
    """Return how often each frame is kept, of the times that it passes; frames differ, and none is lost."""
    found = Counter(record.packet for record in records(programs, frames, entry, repeat))
    assert found.keys() <= set(frames)
    lost = [
        programs.counters(entry)[way][f"lost_{why}"]
        for way in ("forward", "reverse")
        for why in ("ring_full", "other")
    ]
    assert not any(lost)
    return [found[frame] for frame in frames]


def is_kept(programs: Programs, frame: bytes, entry: str = "from_pod") -> bool:
    """True if one packet is kept."""
    return programs.run(frame, entry) is not None


def counts(
    programs: Programs, entry: str = "from_pod", way: str = "forward", names: Sequence[str] = COUNTED
) -> dict[str, int]:
    """Return counters of one direction."""
    row = programs.counters(entry)[way]
    return {name: int(row[name]) for name in names}
