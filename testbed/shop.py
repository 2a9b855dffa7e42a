"""One seed -> a pcapng file of a small shop, as its web pods' interface saw it: every way a conversation goes wrong.

A model of TCP writes the packets: slow start, delayed ACKs, SACK, retransmissions, windows. The model is not a
network: the tests that use it are about what the page draws of known packets. Captures of real traffic are the
business of tests/e2e and tests/web.
"""

import json
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from random import Random

from capture.pcapng.blocks import InterfaceBlock, InterfaceStatistics, interfaces, names, section_header
from testbed import packets

START_NS = 1_795_958_580_000_000_000
MSS = 1448
SYN, ACK, PSH, FIN, RST = 0x02, 0x10, 0x08, 0x01, 0x04
PODS = {
    "10.4.1.17": "shop/web-7d9f",
    "10.4.1.18": "shop/web-x2lq",
    "10.4.2.11": "shop/cart-0",
    "10.4.2.12": "shop/search-0",
    "10.4.2.13": "shop/stock-1",
    "10.4.3.8": "bank/api-0",
    "10.4.3.9": "media/store-0",
    "10.4.3.10": "ops/backup-0",
    "10.4.0.10": "kube-system/dns",
    "10.4.2.14": "shop/db-0",
}
_BY_NAME = {name: address for address, name in PODS.items()}
US, MS, S = 1_000, 1_000_000, 1_000_000_000


@dataclass
class ShopWire:
    """The capture point: frames with their times."""

    frames: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(time, order of making, frame)"""

    def put(self, time_ns: int, frame: bytes) -> None:
        self.frames.append((time_ns, len(self.frames), frame))


@dataclass
class Talk:
    """One TCP connection as the point beside the client sees it. Times are those at the point."""

    wire: ShopWire
    random: Random
    client: str
    server: str
    port: int
    sport: int
    now: int
    trip: int = 900 * US
    """From the point to the server and back, ns."""
    scale: int = 2
    sent: list[int] = field(default_factory=lambda: [0, 0])
    """Sequence number after the last byte of client and server."""
    got: list[int] = field(default_factory=lambda: [0, 0])
    """What client and server have acknowledged."""
    windows: list[int] = field(default_factory=lambda: [64_240, 65_160])
    made: int = 0

    def __post_init__(self) -> None:
        self.sent = [self.random.randrange(1 << 32), self.random.randrange(1 << 32)]

    def packet(
        self, side: int, flags: int, payload: bytes = b"", *, at: int | None = None, sequence: int | None = None,
        acknowledgment: int | None = None, window: int | None = None, options: bytes = b"", seen: bool = True,
    ) -> None:  # fmt: skip
        """One packet of a side; `seen`: False leaves it out of the file."""
        ends = (self.client, self.sport, self.server, self.port)
        source, sport, target, dport = ends if side == 0 else (*ends[2:], *ends[:2])
        first = self.sent[side] if sequence is None else sequence
        answer = self.sent[1 - side] if acknowledgment is None else acknowledgment
        stamp = struct.pack(
            "!BBBBII", 1, 1, 8, 10, (self.now // MS) & 0xFFFFFFFF, max(self.now // MS - 1, 0) & 0xFFFFFFFF
        )
        options = (options or stamp) if not flags & SYN else options
        room = self.windows[side] if window is None else window
        raw = room if flags & SYN else room >> 7
        offset = (20 + len(options)) // 4 << 4
        header = struct.pack(
            "!HHIIBBHHH", sport, dport, first % (1 << 32), answer % (1 << 32) if flags & ACK else 0, offset, flags,
            min(raw, 65535), 0, 0,
        )  # fmt: skip
        self.made += 1
        frame = packets.with_checksum(packets.ip(source, target, 6, header + options + payload))
        frame = frame[:18] + struct.pack("!H", (self.sport * 7 + self.made) & 0xFFFF) + frame[20:]
        if seen:
            self.wire.put(self.now if at is None else at, packets.with_checksum(frame))
        if sequence is None:
            self.sent[side] += len(payload) + bool(flags & SYN) + bool(flags & FIN)

    def syn(self) -> None:
        options = (
            struct.pack("!BBHBBBBIIBBB", 2, 4, 1460, 4, 2, 8, 10, self.now // MS & 0xFFFFFFFF, 0, 1, 3, 3) + b"\7"
        )
        self.packet(0, SYN, options=options[:20])

    def syn_ack(self) -> None:
        options = (
            struct.pack("!BBHBBBBIIBBB", 2, 4, 1460, 4, 2, 8, 10, self.now // MS & 0xFFFFFFFF, 1, 1, 3, 3) + b"\7"
        )
        self.packet(1, SYN | ACK, options=options[:20])

    def wait(self, ns: float) -> None:
        self.now += int(ns)

    def open(self) -> None:
        self.syn()
        self.wait(self.trip * self.random.uniform(0.95, 1.1))
        self.syn_ack()
        self.wait(self.random.uniform(1, 4) * US)
        self.packet(0, ACK)

    def ask(self, text: bytes, think: float) -> None:
        """A request, and the wait until its answer passes here."""
        self.wait(self.random.uniform(10, 30) * US)
        self.packet(0, ACK | PSH, text)
        self.wait(self.trip + think)

    def answer(self, data: bytes, first_window: int = 10, seen: frozenset[int] = frozenset()) -> None:
        """The server's data, in rounds that double; `seen` has the numbers of segments that the file lacks."""
        segments = [data[at : at + MSS] for at in range(0, len(data), MSS)]
        window, number = first_window, 0
        while segments:
            round_, segments = segments[:window], segments[window:]
            begun = self.now
            for index, segment in enumerate(round_):
                last = not segments and index == len(round_) - 1
                self.packet(1, ACK | (PSH if last else 0), segment, seen=number not in seen)
                number += 1
                if index % 2 or last:
                    self.packet(0, ACK, at=self.now + int(self.random.uniform(1, 3) * US))
                self.wait(12.5 * US)
            window *= 2
            if segments:
                self.now = max(self.now, begun + int(self.trip * self.random.uniform(1.02, 1.08)))

    def close(self) -> None:
        self.wait(self.random.uniform(0.4, 1.2) * MS)
        self.packet(0, ACK | FIN)
        self.wait(self.trip)
        self.packet(1, ACK)
        self.wait(20 * US)
        self.packet(1, ACK | FIN)
        self.wait(3 * US)
        self.packet(0, ACK)


def _sacked(*blocks: tuple[int, int]) -> bytes:
    content = b"".join(struct.pack("!II", first % (1 << 32), last % (1 << 32)) for first, last in blocks)
    return b"\1\1" + bytes([5, 2 + len(content)]) + content


def lossy(talk: Talk, size: int, lost: frozenset[int]) -> None:
    """The server's `size` bytes, of which these segments are lost behind the point: SACK, then sent again."""
    first = talk.sent[1]
    count, window, number = -(-size // MSS), 10, 0
    missing: list[int] = []
    highest = first
    acked = first
    back = 0
    while number < count or missing:
        begun = talk.now
        burst = [("new", at) for at in range(number, min(number + window, count))]
        number += len(burst)
        if missing:
            burst = [("again", at) for at in missing] + burst
            missing = []
        received: list[tuple[int, int]] = []
        hole = False
        for what, at in burst:
            start = first + at * MSS
            payload = bytes(min(MSS, size - at * MSS))
            talk.packet(1, ACK, payload, sequence=start)
            back = max(back + 900, talk.now + int(talk.trip * talk.random.uniform(1.0, 1.05)))
            if what == "new" and at in lost:
                missing.append(at)
                hole = True
            else:
                highest = max(highest, start + len(payload))
                if missing:
                    if received and received[-1][1] == start:
                        received[-1] = (received[-1][0], start + len(payload))
                    else:
                        received.append((start, start + len(payload)))
                if not missing:
                    acked = highest
                options = _sacked(*received[-1:], *received[:-1][-2:]) if received else b""
                limit = first + missing[0] * MSS if missing else acked
                if hole or at % 2 or at == count - 1 or what == "again":
                    talk.packet(0, ACK, at=back, acknowledgment=limit, options=options, window=196_608)
            talk.wait(talk.random.uniform(9, 22) * US)
        window = max(window // 2, 10) if missing else window * 2
        talk.now = max(talk.now, begun + int(talk.trip * 1.1))
    talk.sent[1] = first + size


class Shop:
    """All conversations of a minute."""

    def __init__(self, seed: int = 7) -> None:
        self.wire, self.random, self._port = ShopWire(), Random(seed), 39_000

    def talk(self, client: str, server: str, port: int, at_s: float, trip: int = 900 * US) -> Talk:
        self._port = 33_000 + (self._port - 33_000 + self.random.randrange(1, 900)) % 27_000
        return Talk(
            self.wire, self.random, _BY_NAME[client], _BY_NAME[server], port, self._port,
            START_NS + int(at_s * S), trip,
        )  # fmt: skip

    def web(self) -> str:
        return self.random.choice(("shop/web-7d9f", "shop/web-x2lq"))

    def cart(self, at_s: float, size: int = 0, think_ms: float = 0) -> Talk:
        talk = self.talk(self.web(), "shop/cart-0", 8080, at_s, trip=int(self.random.uniform(420, 950) * US))
        talk.open()
        size = size or self.random.randrange(700, 5000)
        path = b"/export/2026-11.csv" if size > 100_000 else b"/cart/c-%d" % self.random.randrange(10_000, 99_999)
        talk.ask(b"GET %s HTTP/1.1\r\nHost: cart-0.shop:8080\r\nX-Request-Id: 7f3a-19c2\r\n\r\n" % path,
                 (think_ms or self.random.uniform(0.6, 6)) * MS)  # fmt: skip
        talk.answer(_http(200, _cart(self.random, size), "text/csv" if size > 100_000 else "application/json"))
        talk.close()
        return talk

    def dns(self, at_s: float, answered: bool = True) -> None:
        client, server = _BY_NAME[self.web()], _BY_NAME["kube-system/dns"]
        now, sport = START_NS + int(at_s * S), self.random.randrange(33_000, 60_000)
        head = self.random.randbytes(2)
        name = b"".join(
            bytes([len(part)]) + part for part in self.random.choice((b"cart-0.shop", b"api-0.bank")).split(b".")
        )
        question = head + bytes.fromhex("0100000100000000 0000") + name + b"\0\0\1\0\1"
        reply = (
            head
            + bytes.fromhex("8180000100010000 0000")
            + name
            + bytes.fromhex("0000010001c00c00010001000000050004")
            + bytes([10, 4, 2, 11])
        )
        self.wire.put(now, packets.with_checksum(packets.udp(client, sport, server, 53, question)))
        if answered:
            after = now + int(self.random.uniform(300, 1400) * US)
            self.wire.put(after, packets.with_checksum(packets.udp(server, 53, client, sport, reply)))
        else:
            self.wire.put(now + 5 * S, packets.with_checksum(packets.udp(client, sport, server, 53, question)))

    def unanswered(self, at_s: float, tries: int) -> None:
        talk = self.talk(self.web(), "bank/api-0", 80, at_s)
        first, wait = talk.sent[0], 1.007
        for _ in range(tries):
            talk.sent[0] = first
            talk.syn()
            talk.wait(wait * S)
            wait = wait * 2 + 0.04

    def refused(self, at_s: float) -> None:
        talk = self.talk(self.web(), "shop/stock-1", 8081, at_s)
        talk.syn()
        talk.wait(self.random.uniform(505, 523) * US)
        talk.packet(1, RST | ACK, sequence=0, options=b"\1\1\1\1")

    def reset_at_once(self, at_s: float) -> None:
        talk = self.talk(self.web(), "shop/search-0", 9200, at_s, trip=630 * US)
        talk.open()
        talk.wait(self.random.uniform(4, 9) * MS)
        talk.packet(0, ACK | PSH, b"GET /_search HTTP/1.1\r\nHost: search-0\r\n\r\n")
        talk.wait(talk.trip)
        talk.packet(1, RST | ACK, options=b"\1\1\1\1")

    def store(self, at_s: float, size: int, lost: frozenset[int]) -> None:
        talk = self.talk("shop/web-x2lq", "media/store-0", 9000, at_s, trip=14 * MS)
        talk.open()
        talk.wait(200 * US)
        talk.ask(b"GET /media/cat.webm HTTP/1.1\r\nHost: store-0.media:9000\r\n\r\n", 30 * MS)
        talk.windows[0] = 196_608
        lossy(talk, size, lost)
        talk.close()

    def zero_window(self, at_s: float) -> None:
        talk = self.talk("shop/web-7d9f", "ops/backup-0", 873, at_s, trip=660 * US)
        talk.open()
        for part in range(2):
            for at in range(144):
                talk.packet(0, ACK, bytes(MSS))
                if at % 2:
                    talk.packet(1, ACK, at=talk.now + int(1.2 * US), window=65_536 if part or at < 143 else 0)
                talk.wait(33 * US)
            if part:
                break
            talk.wait(52 * US)
            talk.packet(1, ACK, window=0)
            for wait in (200, 400):
                talk.wait(wait * MS)
                talk.packet(0, ACK, sequence=talk.sent[0] - 1)
                talk.wait(650 * US)
                talk.packet(1, ACK, window=0)
            talk.wait(14.4 * MS)
            talk.packet(1, ACK, window=65_536)
            talk.wait(2 * US)
        talk.wait(3 * MS)
        talk.packet(1, ACK | PSH, b"done\r\n")
        talk.close()

    def black_hole(self, at_s: float, after_s: float) -> None:
        """Small packets pass, full segments never arrive, and are sent again until the file ends."""
        talk = self.talk("shop/web-7d9f", "ops/backup-0", 873, at_s, trip=820 * US)
        talk.open()
        talk.wait(2 * MS)
        talk.packet(0, ACK | PSH, b"@RSYNCD: 31.0 sha512\n")
        talk.wait(talk.trip)
        talk.packet(1, ACK | PSH, b"@RSYNCD: 31.0 sha512\n")
        talk.wait(4 * US)
        talk.packet(0, ACK)
        first, until = talk.sent[0], talk.now + int(after_s * S)
        for _ in range(10):
            talk.packet(0, ACK, bytes(MSS))
            talk.wait(2 * US)
        wait = 0.21
        while talk.now + wait * S < until:
            talk.wait(wait * S)
            talk.packet(0, ACK, bytes(MSS), sequence=first)
            wait *= 2

    def slow_checkout(self, at_s: float) -> None:
        talk = self.talk("shop/web-7d9f", "shop/cart-0", 8080, at_s, trip=700 * US)
        talk.open()
        talk.ask(b"GET /cart/c-20817 HTTP/1.1\r\nHost: cart-0.shop:8080\r\nX-Request-Id: 7f3a-19c2\r\n\r\n", 2 * MS)
        body = {"cart": "c-20817", "currency": "EUR", "lines": [
            {"sku": "A-4711", "title": "Kettle", "count": 1, "price": 39.9},
            {"sku": "A-0815", "title": "Mug", "count": 4, "price": 8.5}], "total": 73.9, "voucher": None}  # fmt: skip
        talk.answer(_http(200, json.dumps(body, indent=1).encode()))
        talk.wait(14 * MS)
        order = b'{"payment": "card", "voucher": "WINTER10", "ship": "pickup"}'
        talk.ask(b"POST /cart/c-20817/checkout HTTP/1.1\r\nHost: cart-0.shop\r\nContent-Type: application/json\r\n"
                 b"Idempotency-Key: 51b0\r\nContent-Length: %d\r\n\r\n" % len(order) + order, 1500 * MS)  # fmt: skip
        talk.answer(_http(504, b'{"error": "upstream", "upstream": "bank/api-0:80", "after_ms": 1500}'))
        talk.wait(30 * MS)
        talk.ask(b"GET /cart/c-20817/history HTTP/1.1\r\nHost: cart-0.shop:8080\r\n\r\n", 3 * MS)
        talk.answer(_http(200, _cart(self.random, 7600)), seen=frozenset({3, 4}))
        talk.close()

    def database(self, at_s: float) -> None:
        talk = self.talk(self.web(), "shop/db-0", 5432, at_s, trip=330 * US)
        talk.open()
        for _ in range(8):
            talk.wait(self.random.uniform(10, 90) * MS)
            talk.ask(b"Q\0\0\0\x20SELECT sku FROM stock\0" + bytes(9), self.random.uniform(1, 8) * MS)
            talk.answer(bytes(self.random.randrange(600, 9000)))
        talk.close()


def _http(status: int, body: bytes, kind: str = "application/json") -> bytes:
    reason = {200: "OK", 504: "Gateway Timeout"}[status]
    return (
        f"HTTP/1.1 {status} {reason}\r\nDate: Sun, 29 Nov 2026 13:23:00 GMT\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _cart(random: Random, size: int) -> bytes:
    lines: list[str] = []
    while sum(map(len, lines)) < size - 40:
        title = random.choice(("Kettle", "Mug", "Lamp", "Desk", "Chair", "Shelf"))
        lines.append(
            f'  {{"sku": "A-{random.randrange(1000, 9999)}", "title": "{title}", '
            f'"price": {random.randrange(500, 9900) / 100}, "stock": {random.randrange(90)}}}'
        )
    return ('{\n "items": [\n' + ",\n".join(lines) + "\n ]\n}").encode()


def frames(seed: int = 7) -> list[tuple[int, bytes]]:
    """All frames of the shop's minute in order of time, with their times."""
    shop = Shop(seed)
    random = shop.random
    for _ in range(140):
        shop.cart(random.uniform(0, 58))
    shop.cart(8.411, size=300_000, think_ms=3)
    for _ in range(70):
        shop.dns(random.uniform(0, 58))
    for at in (7, 19, 22.5, 24.6, 40, 41):
        shop.dns(at, answered=False)
    for _ in range(11):
        talk = shop.talk(shop.web(), "bank/api-0", 80, random.uniform(1, 20), trip=600 * US)
        talk.open()
        talk.ask(
            b"POST /charge HTTP/1.1\r\nHost: api-0.bank\r\nContent-Length: 2\r\n\r\n{}", random.uniform(30, 60) * MS
        )
        talk.answer(_http(200, b'{"ok": true}'))
        talk.close()
    for number in range(18):
        shop.unanswered(22 + number * 1.2, 6 if number == 2 else random.choice((3, 4, 4, 5)))
    for number in range(9):
        shop.refused(10 + number * 5.1)
    for _ in range(62):
        talk = shop.talk(shop.web(), "shop/search-0", 9200, random.uniform(0, 58), trip=630 * US)
        talk.open()
        talk.ask(b"GET /_search?q=mug HTTP/1.1\r\nHost: search-0.shop:9200\r\n\r\n", random.uniform(4, 25) * MS)
        talk.answer(_http(200, _cart(random, random.randrange(900, 6000))))
        talk.close()
    for number in range(6):
        shop.reset_at_once(9.6 + number * 6.4)
    shop.store(12.906, 720_000, frozenset({70, 71, 82, 140, 141, 200, 260}))
    for at, size in ((15.2, 300_000), (17, 200_000), (43, 150_000), (43.4, 120_000), (44, 160_000)):
        shop.store(at, size, frozenset(random.sample(range(10, size // MSS - 30), 4)))
    shop.zero_window(31.299)
    shop.black_hole(23.6, 27)
    shop.black_hole(40.1, 14)
    shop.slow_checkout(17.249)
    for _ in range(6):
        shop.database(random.uniform(0, 50))
    return [(time, frame) for time, _, frame in sorted(shop.wire.frames) if time < START_NS + 60 * S]


def two_nodes(near: Path, far: Path, seed: int = 7) -> None:
    """Write what two nodes saw of fifteen conversations: two clocks, 0.6 ms apart, two packets lost between."""
    random = Random(seed)
    offset = 4_687_000
    seen: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = ([], [])
    shop = Shop(seed)
    for number in range(15):
        shop.wire = ShopWire()
        talk = shop.talk("shop/web-7d9f", "bank/api-0", 80, 1 + number * 0.09, trip=1390 * US)
        if number == 6:
            first = talk.sent[0]
            talk.syn()
            talk.wait(1006.9 * MS)
            talk.sent[0] = first
        talk.open()
        talk.ask(b"POST /charge HTTP/1.1\r\nHost: api-0.bank\r\nContent-Length: 2\r\n\r\n{}", 1.9 * MS)
        segments, base = 6, talk.sent[1]
        for _ in range(segments):
            talk.packet(1, ACK, bytes(MSS))
            talk.wait(12 * US)
        talk.wait(20 * US)
        if number == 6:
            talk.packet(0, ACK, acknowledgment=base + MSS * 4, options=_sacked((base + MSS * 5, base + MSS * 6)))
            talk.wait(210 * MS)
            talk.packet(1, ACK, bytes(MSS), sequence=base + 4 * MSS)
            talk.wait(60 * US)
        talk.packet(0, ACK)
        talk.close()
        data = 0
        for at, (time_ns, _, frame) in enumerate(sorted(shop.wire.frames)):
            delay = int(random.uniform(580, 680) * US)
            by_client = frame[26:30] == ip_address(_BY_NAME["shop/web-7d9f"]).packed
            other = time_ns + offset + (delay if by_client else -delay)
            large = not by_client and len(frame) > 1000
            data += large
            gone = number == 6 and ((by_client and at == 0) or (large and data == 5))
            if by_client or not gone:
                seen[0].append((time_ns, frame))
            if not by_client or not gone:
                seen[1].append((other, frame))
    for path, found, interface in ((near, seen[0], "veth7d9f01"), (far, seen[1], "veth2ab801")):
        _write(path, sorted(found), interface, lost=0)


def write(path: Path, seed: int = 7, interface: str = "shop-web") -> int:
    """Write the file; return the number of its packets."""
    found = frames(seed)
    _write(path, found, interface, lost=4)
    return len(found)


def _write(path: Path, found: list[tuple[int, bytes]], interface: str, lost: int) -> None:
    addresses: dict[IPv4Address | IPv6Address, str] = {ip_address(address): name for address, name in PODS.items()}
    with path.open("wb") as file:
        file.write(section_header(hardware="", os="", application="bicap testbed", comment="a model of a shop"))
        file.write(interfaces([InterfaceBlock(interface, description="veth of the web pods")]) + names(addresses))
        for time_ns, frame in found:
            total = 32 + len(frame) + -len(frame) % 4
            padding = bytes(-len(frame) % 4)
            head = (6, total, 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), len(frame))
            file.write(struct.pack("<IIIIIII", *head) + frame + padding + struct.pack("<I", total))
        counts = InterfaceStatistics(
            interface=0, start_ns=found[0][0], end_ns=START_NS + 60 * S, received=len(found) + lost, dropped=lost,
            accepted=len(found) + lost, delivered=len(found),
        )  # fmt: skip
        file.write(counts.encode())
