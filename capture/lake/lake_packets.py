"""Tables of packets -> the columns of the lake's table `packets`: headers, and what their session says of them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from capture.analysis.packets.packet_table import Kind
from capture.analysis.sessions.session_table import SIDES
from capture.arrays.aliases import Mask, Table
from capture.arrays.rows import alike
from capture.lake.arrow_arrays import flags, words
from capture.lake.common import (
    TableRows,
    capture_columns,
    end_columns,
    field_of,
    number_column,
    partition_columns,
    protocol_columns,
    time_columns,
    vlan_columns,
)
from capture.lake.schema import BOOLEAN, INT32, WORD, WORDS, LakeColumn, TableSchema
from capture.views.packet_lines import mark_words
from capture.wire.protocols import ICMP, ICMPV6, TCP

_DIRECTIONS = ("", "in", "out", "")
_CUT = "it was cut off"


def _no_session(table: Table) -> Mask:
    mask: Mask = table["session"] == 0
    return mask


def _no_ip(table: Table) -> Mask:
    mask: Mask = table["family"] == 0
    return mask


def _no_identification(table: Table) -> Mask:
    fragment = table["kind"] & (Kind.FIRST_FRAGMENT | Kind.LATER_FRAGMENT) > 0
    mask: Mask = ~((table["family"] == 4) | ((table["family"] == 6) & fragment))
    return mask


def _no_header(*protocols: int) -> Callable[[Table], Mask]:
    """Return the mask of packets without such a header: of other protocols, later fragments, and cut ones."""

    def none(table: Table) -> Mask:
        whole = table["kind"] & (Kind.LATER_FRAGMENT | Kind.CUT) == 0
        mask: Mask = ~(np.isin(table["protocol"], protocols) & whole & (table["family"] > 0))
        return mask

    return none


def _no_timestamps(table: Table) -> Mask:
    mask: Mask = table["kind"] & Kind.TIMESTAMPS == 0
    return mask


def _sides(rows: TableRows) -> Any:
    return words(np.where(rows.table["session"] > 0, rows.table["side"] + 1, 0), ("", *SIDES))


def _marks(rows: TableRows) -> Any:
    distinct, which = alike(rows.table["marks"], rows.table["protocol"])
    return pa.array([mark_words(*one) for one in distinct], WORDS).take(pa.array(which, pa.int64()))


def _kind(bit: Kind) -> Callable[[TableRows], Any]:
    return lambda rows: flags(rows.table["kind"] & bit > 0)


def _columns() -> Iterator[LakeColumn]:
    yield from partition_columns("time_ns", "the packet")
    yield from capture_columns()
    yield number_column("number", "packet number", "Number of the packet in the capture, from 1.")
    yield number_column("session", "", "Number of its session.", "it is in none", _no_session)
    yield from time_columns("time", "time_ns", "the packet")
    yield from protocol_columns()
    yield from vlan_columns()
    yield LakeColumn(
        "direction", WORD, "", "`in` or `out`, from the interface's view (docs/formats.md).", "the file does not say",
        lambda r: words(r.table["flags"] & 3, _DIRECTIONS),
    )  # fmt: skip
    yield LakeColumn(
        "side", WORD, "", "Side of the session that sent it: `client` or `server`.", "it is in none", _sides
    )
    yield from end_columns("source", "sender")
    yield from end_columns("destination", "receiver")
    yield number_column("captured", "bytes", "Bytes in the file.")
    yield number_column("original", "bytes", "Bytes on the wire.")
    yield number_column(
        "payload",
        "bytes",
        "Bytes on the wire behind the TCP, UDP or ICMP header, for others behind IP.",
        "the packet is not IP",
        _no_ip,
    )
    yield number_column("hops", "", "TTL or hop limit.", "the packet is not IP", _no_ip, kind=INT32)
    yield number_column(
        "identification", "", "Identification of IPv4, and of fragments of IPv6.", "there is none", _no_identification
    )
    tcp, icmp = _no_header(TCP), _no_header(ICMP, ICMPV6)
    no_tcp, no_icmp = f"there is no TCP header, or {_CUT}", f"there is no ICMP header, or {_CUT}"
    for name, unit, help, field in (
        ("tcp_flags", "", "Flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.", "tcp_flags"),
        ("tcp_sequence", "", "Sequence number, as in the header.", "sequence"),
        ("tcp_acknowledgment", "", "Acknowledgment number, as in the header.", "acknowledgment"),
        ("tcp_window", "", "Window as in the header, not scaled.", "window"),
    ):
        yield number_column(name, unit, help, no_tcp, tcp, field_of(field))
    for name in ("tsval", "tsecr"):
        help = f"{name.upper()} of TCP's timestamps."
        yield number_column(f"tcp_{name}", "", help, "there are none", _no_timestamps, field_of(name))
    for name, help in (("icmp_type", "Type of ICMP."), ("icmp_code", "Code of ICMP.")):
        yield number_column(name, "", help, no_icmp, icmp, kind=INT32)
    for name, help, bit in (
        ("first_fragment", "True if more fragments follow it.", Kind.FIRST_FRAGMENT),
        ("later_fragment", "True for a fragment without ports.", Kind.LATER_FRAGMENT),
        ("cut", "True if headers were cut off.", Kind.CUT),
        ("icmp_error", "True for an ICMP error about another packet.", Kind.ICMP_ERROR),
    ):
        yield LakeColumn(name, BOOLEAN, "", help, "", _kind(bit))
    yield LakeColumn(
        "marks", WORDS, "", "What earlier packets of the session say about it, as docs/analysis.md lists it.", "",
        _marks,
    )  # fmt: skip


PACKETS = TableSchema(
    name="packets",
    version=1,
    help="One row per packet, without its payload: what `bicap read` shows.",
    sorted_by="number",
    columns=tuple(_columns()),
)
