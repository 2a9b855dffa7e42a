"""A packet of a session -> its fields, each with the place of its bytes, and its bytes."""

from typing import Any

import numpy as np

from capture.analysis.packets.compiled.tcp_options import TCP_OPTIONS, tcp_options
from capture.analysis.packets.packet_table import Kind
from capture.analysis.packets.reading import Batch
from capture.analysis.query.names import hosts
from capture.arrays.cells import lines
from capture.pcapng.describe import Description
from capture.views.packet_lines import DIRECTIONS
from capture.wire.protocols import ACK, FIN, RST, SYN, TCP, UDP, icmp_text, protocol_name

BYTES_MAX = 1 << 14
_FLAGS = (
    (SYN, "SYN"),
    (ACK, "ACK"),
    (FIN, "FIN"),
    (RST, "RST"),
    (0x08, "PSH"),
    (0x20, "URG"),
    (0x40, "ECE"),
    (0x80, "CWR"),
)
_WAYS = {"In": "into the pod", "Out": "from the pod"}

Field = dict[str, Any]


def packet_detail(
    batch: Batch, description: Description, relative: tuple[int, int] | None, scaled: int
) -> dict[str, Any]:
    """Return fields and bytes of the only packet of a batch.

    `relative` are its sequence and acknowledgment numbers in the session, `scaled` is its window in bytes or -1.
    """
    rows = batch.packets
    row = rows[0]
    start, captured = int(row["offset"]), int(row["captured"])
    said = np.zeros(1, TCP_OPTIONS)
    tcp_options(batch.data, rows, said)
    upper = int(said["header_at"][0])
    if upper < 0 and int(row["protocol"]) != TCP and int(row["payload_at"]) >= 8:
        upper = int(row["payload_at"]) - 8
    content = batch.data[start : start + min(captured, BYTES_MAX)].tobytes()
    fields = [*_ends(rows, description, upper, content), *_upper(row, said[0], upper, relative, scaled)]
    fields += [
        _field("payload", f"{int(row['payload']):,} B", int(row["payload_at"]), captured),
        _field("captured", f"{captured:,} of {int(row['original']):,} B"),
        _field("interface", description.interfaces[int(row["interface"])].name or str(int(row["interface"]))),
    ]
    way = DIRECTIONS[int(row["flags"]) & 3]
    if way:
        fields.append(_field("direction", _WAYS[way]))
    return {
        "n": int(row["number"]),
        "session": int(row["session"]),
        "time_ns": str(int(row["time_ns"])),
        "fields": fields,
        "hex": content.hex(),
        "captured": captured,
        "original": int(row["original"]),
    }


def _field(name: str, text: str, first: int = -1, last: int = -1) -> Field:
    return {"name": name, "text": text, "at": [first, last] if 0 <= first < last else None}


def _ends(rows: Any, description: Description, upper: int, content: bytes) -> list[Field]:
    row = rows[0]
    family = int(row["family"])
    if not family:
        return [_field("what", "no IP")]
    network = _network(family, upper, content)
    places = {4: ((12, 16), (16, 20)), 6: ((8, 24), (24, 40))}[family]
    fields = []
    for name, side, place in zip(("from", "to"), ("source", "destination"), places, strict=True):
        port = int(row[f"{side}_port"])
        text = lines(hosts(rows, side))[0] + (f":{port}" if port and int(row["protocol"]) in (TCP, UDP) else "")
        known = description.names and lines(hosts(rows, side, description.names))[0]
        fields.append(_field(name, text, *((network + place[0], network + place[1]) if network >= 0 else (-1, -1))))
        if known and not text.startswith(known):
            fields[-1]["also"] = known
    hop = (8, 9) if family == 4 else (7, 8)
    at = (network + hop[0], network + hop[1]) if network >= 0 else (-1, -1)
    fields.append(_field("TTL" if family == 4 else "hop limit", str(int(row["hops"])), *at))
    if family == 4:
        at = (network + 4, network + 6) if network >= 0 else (-1, -1)
        fields.append(_field("IP id", f"{int(row['identification']):,}", *at))
    return fields


def _network(family: int, upper: int, content: bytes) -> int:
    """Return the place of the IP header in front of the upper layer's; -1 if it is not known."""
    if upper < 0:
        return -1
    if family == 6:
        return upper - 40 if upper >= 40 and content[upper - 40] >> 4 == 6 else -1
    for words in range(5, 16):
        at = upper - 4 * words
        if at >= 0 and content[at] == 0x40 | words:
            return at
    return -1


def _upper(row: Any, said: Any, upper: int, relative: tuple[int, int] | None, scaled: int) -> list[Field]:
    protocol, kind = int(row["protocol"]), int(row["kind"])
    if kind & Kind.LATER_FRAGMENT or protocol != TCP:
        if protocol in (1, 58):
            return [
                _field(
                    "says",
                    icmp_text(int(row["family"]), int(row["icmp_type"]), int(row["icmp_code"])),
                    upper,
                    upper + 2,
                )
            ]
        return [_field("protocol", protocol_name(protocol))]
    flags = int(row["tcp_flags"])
    at = upper if upper >= 0 else -99
    sequence = f"{int(row['sequence']):,}" + (f" ({relative[0]:,})" if relative else "")
    answer = (
        f"{int(row['acknowledgment']):,}" + (f" ({relative[1]:,})" if relative else "") if flags & ACK else "none"
    )
    window = f"{scaled:,}" if scaled >= 0 else f"{int(row['window']):,} \u00d7 2^n"
    options = []
    if int(said["mss"]):
        options.append(f"mss {int(said['mss']):,}")
    if int(said["scale"]):
        options.append(f"scale {int(said['scale']) - 1}")
    if int(said["blocks"]):
        options.append(f"SACK {int(said['blocks'])}")
    fields = [
        _field("flags", " ".join(name for bit, name in _FLAGS if flags & bit) or "none", at + 13, at + 14),
        _field("seq", sequence, at + 4, at + 8),
        _field("ack", answer, at + 8, at + 12),
        _field("window", window, at + 14, at + 16),
    ]
    if options:
        fields.append(_field("options", ", ".join(options), at + 20, int(row["payload_at"])))
    if kind & Kind.TIMESTAMPS:
        fields.append(_field("TSval", f"{int(row['tsval']):,}"))
    return fields
