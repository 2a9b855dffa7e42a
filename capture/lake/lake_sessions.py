"""Tables of sessions -> the columns of the lake's table `sessions`.

It is a table, and therefore longer than other modules. Numbers that docs/analysis.md explains have its names here.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from capture.analysis.application.message_names import DNS_CODES, DNS_TYPES, TLS_ALERTS, TLS_VERSIONS, named
from capture.analysis.query.columns import COLUMNS
from capture.analysis.query.names import CLOSES, HANDSHAKES, ROLES, states
from capture.analysis.sessions.session_table import SIDES, Role
from capture.arrays.aliases import Mask, Numbers, Table
from capture.arrays.cells import lines
from capture.arrays.texts import TEXTS
from capture.lake.arrow_arrays import each, texts, words
from capture.lake.common import (
    TableRows,
    capture_columns,
    end_columns,
    field_of,
    label_column,
    number_column,
    partition_columns,
    protocol_columns,
    time_columns,
    vlan_columns,
    with_ports,
)
from capture.lake.identity import community_id
from capture.lake.schema import INT32, TEXT, WORD, LakeColumn, TableSchema
from capture.views.handshakes import handshake_sentences
from capture.wire.addresses import address_text
from capture.wire.protocols import ICMP, ICMPV6, TCP

_Values = Callable[[Table], Any]
_NO_TCP = "the protocol is not TCP"
_SIDE_COUNTS = (
    ("packets", "packets", "Packets that the {side} sent."),
    ("bytes", "bytes", "Bytes of these packets on the wire."),
    ("payload", "bytes", "TCP and UDP payload that the {side} sent, repeated bytes included."),
    ("data_packets", "packets", "Packets with payload."),
    ("retransmitted", "packets", "Packets of the {side} whose bytes, SYN or FIN had been sent before."),
    ("retransmitted_bytes", "bytes", "Repeated bytes of the {side}."),
    ("lost_before", "packets", "Retransmitted packets whose first copy never passed the capture point."),
    ("reordered", "packets", "Packets of the {side} that others overtook."),
    ("duplicated", "packets", "Copies of the same IP packet."),
    ("keepalives", "packets", "Keep-alive packets of the {side}."),
    ("zero_windows", "packets", "Packets in which the {side} had no room to receive."),
    ("not_captured", "bytes", "Bytes that the other side acknowledged and the file does not have."),
    ("unacknowledged", "bytes", "Bytes, SYN and FIN that the other side had not acknowledged at the end."),
    ("largest_acknowledged", "bytes", "Largest segment of the {side} that the other side acknowledged; 0 for none."),
    ("stuck", "packets", "Times that the first unacknowledged bytes were sent again, while the receiver had room."),
    ("rtt_count", "samples", "Round trips from the capture point to the {side}, by pure acknowledgments."),
    ("rtt_ambiguous", "samples", "Acknowledgments left out because of a retransmission."),
    ("rtt_unsampled", "segments", "Segments that were not followed because too many were in flight."),
)
_SIDE_PACKETS = (
    ("retransmitted_packet", "retransmitted packet"),
    ("zero_window_packet", "packet with no room to receive"),
    ("fin_packet", "FIN"),
    ("rst_packet", "RST"),
)


def _packet(name: str, what: str, side: str = "") -> LakeColumn:
    """Return a column with the number of a packet in the capture."""

    def field(table: Table) -> Numbers:
        found: Numbers = table[side][name] if side else table[name]
        return found

    full = f"{side}_{name}" if side else name
    return number_column(
        full,
        "packet number",
        f"Number of the {what} in the capture.",
        "there is none",
        lambda t: field(t) == 0,
        field,
    )


def _word(name: str, help: str, null: str, names: dict[Any, str]) -> LakeColumn:
    known = [names[number] for number in range(len(names))]
    return LakeColumn(name, WORD, "", help, null, lambda r: words(r.table[name], known))


def _text(name: str, help: str, null: str) -> LakeColumn:
    return LakeColumn(name, TEXT, "", help, null, lambda r: texts(TEXTS.words(r.table[name].tolist())))


def _named_number(name: str, help: str, null: str, names: dict[int, str], base: int = 0) -> LakeColumn:
    def word(number: int) -> str:
        return named(names, number - base) if number else ""

    return LakeColumn(name, TEXT, "", help, null, lambda r: each(word, TEXT, r.table[name]))


def _not_tcp(table: Table) -> Mask:
    mask: Mask = table["protocol"] != TCP
    return mask


def _identity() -> Iterator[LakeColumn]:
    yield from partition_columns("first_ns", "the session's first packet")
    yield from capture_columns()
    yield number_column("session", "", "Number of the session in the capture, from 1 in order of first packets.")
    yield LakeColumn(
        "community_id",
        TEXT,
        "",
        "Community ID (version 1, seed 0): the same at every point that sees the conversation untranslated.",
        "ICMP other than echo",
        _community_ids,
    )
    yield from time_columns("start", "first_ns", "the first packet")
    yield number_column(
        "duration_ns", "ns", "From the first packet to the last.", values=lambda t: t["last_ns"] - t["first_ns"]
    )
    yield from protocol_columns()
    yield from vlan_columns()
    for side in SIDES:
        yield from end_columns(side, side)
        yield label_column(side, side)
    yield _word(
        "role",
        "Evidence for which side is the client: `asked` (SYN or echo request), `ports`, `first` (packet).",
        "",
        ROLES,
    )


def _community_ids(rows: TableRows) -> Any:
    table = rows.table
    unknown = np.isin(table["protocol"], (ICMP, ICMPV6)) & (table["role"] != Role.ASKED)
    ends = [table[f"{side}_{part}"] for side in SIDES for part in ("high", "low")]
    ports = [np.where(with_ports(table), table[f"{side}_port"], 0) for side in SIDES]

    def number(unknown: int, family: int, protocol: int, *values: int) -> str | None:
        if unknown:
            return None
        client_high, client_low, server_high, server_low, client_port, server_port = values
        client, server = (client_high, client_low, client_port), (server_high, server_low, server_port)
        return community_id(family, protocol, client, server)

    return each(number, TEXT, unknown.astype(np.int64), table["family"], table["protocol"], *ends, *ports)


def _verdicts() -> Iterator[LakeColumn]:
    yield number_column("packets", "packets", "Packets of both sides.", values=_both("packets"))
    yield number_column("bytes", "bytes", "Bytes of both sides on the wire.", values=_both("bytes"))
    yield number_column(
        "retransmitted", "packets", "Retransmitted packets of both sides.", values=_both("retransmitted")
    )
    yield LakeColumn(
        "state",
        WORD,
        "",
        "State at the last packet, like `established` or `closed`; `one-way` and `two-way` for other protocols.",
        "",
        lambda r: pa.array(lines(states(r.table)), TEXT).dictionary_encode().cast(WORD),
    )
    yield _word("handshake", "Outcome of the TCP handshake, as docs/analysis.md lists them.", _NO_TCP, HANDSHAKES)
    yield LakeColumn(
        "handshake_words",
        TEXT,
        "",
        "The same as a sentence, with the packets that show it.",
        _NO_TCP,
        lambda r: texts(lines(handshake_sentences(r.table, r.origin.completeness))),
    )
    yield _word("close", "How the session ended, as docs/analysis.md lists them.", "", CLOSES)
    yield number_column("syns", "packets", "SYNs of the client, repeated ones included.", _NO_TCP, _not_tcp)
    yield number_column("syn_acks", "packets", "SYN-ACKs of the server, repeated ones included.", _NO_TCP, _not_tcp)
    for side, what in (("server", "SYN to SYN-ACK"), ("client", "SYN-ACK to ACK")):
        yield number_column(
            f"{side}_handshake_ns", "ns", f"From {what}.", "it is not in the file, or ambiguous",
            _negative(f"{side}_ns"), field_of(f"{side}_ns"),
        )  # fmt: skip
    yield number_column(
        "reset_after_ns", "ns", "From the SYN that an RST answers, or from the ACK, to the RST.", "unknown",
        _negative("reset_after_ns"),
    )  # fmt: skip
    for name, what in (
        ("first_packet", "session's first packet"),
        ("last_packet", "session's last packet"),
        ("syn_packet", "first SYN"),
        ("syn_ack_packet", "first SYN-ACK"),
        ("ack_packet", "third packet of the handshake"),
        ("rst_packet", "RST that ended the session"),
        ("icmp_packet", "first ICMP error about the session"),
    ):
        yield _packet(name, what)
    yield LakeColumn(
        "icmp_sender",
        TEXT,
        "",
        "Sender of that ICMP error.",
        "there is none",
        lambda r: each(
            lambda family, high, low: address_text(family, high, low) if family else "",
            TEXT,
            np.where(r.table["icmp_packet"] > 0, r.table["family"], 0),
            r.table["icmp_high"],
            r.table["icmp_low"],
        ),
    )
    for name in ("icmp_type", "icmp_code"):
        what = f"{name.partition('_')[2].capitalize()} of that ICMP error."
        yield number_column(name, "", what, "there is none", lambda t: t["icmp_packet"] == 0, kind=INT32)
    yield number_column(
        "requests", "requests", "Requests that were answered: of a client over TCP, DNS queries, echo requests."
    )
    yield number_column("unanswered", "requests", "DNS queries and echo requests without an answer.")
    yield number_column("repeated", "requests", "Repetitions of DNS queries and echo requests.")
    yield number_column(
        "first_byte_mean_ns", "ns", "Mean time from the end of a request to the first byte of its answer.",
        "no request was answered", lambda t: t["requests"] == 0,
        lambda t: t["first_byte_sum_ns"] // np.maximum(t["requests"], 1),
    )  # fmt: skip


def _negative(name: str) -> Callable[[Table], Mask]:
    def none(table: Table) -> Mask:
        mask: Mask = table[name] < 0
        return mask

    return none


def _both(name: str) -> _Values:
    return lambda table: table["client"][name].astype(np.int64) + table["server"][name]


def _of_side(side: str) -> Iterator[LakeColumn]:
    for name, unit, help in _SIDE_COUNTS:
        yield number_column(f"{side}_{name}", unit, help.format(side=side), values=field_of(name, side))
    yield number_column(
        f"{side}_stuck_size", "bytes", "Smallest of the segments in `stuck`.", "there is none",
        lambda t: t[side]["stuck_size"] == 0, lambda t: t[side]["stuck_size"],
    )  # fmt: skip

    def no_rtt(table: Table) -> Mask:
        mask: Mask = table[side]["rtt_count"] == 0
        return mask

    def mean(table: Table) -> Numbers:
        found: Numbers = table[side]["rtt_sum_ns"] // np.maximum(table[side]["rtt_count"], 1)
        return found

    for word, values in (
        ("mean", mean),
        ("min", lambda t: t[side]["rtt_min_ns"]),
        ("max", lambda t: t[side]["rtt_max_ns"]),
    ):
        what = f"{word.capitalize()} of these round trips."
        yield number_column(f"{side}_rtt_{word}_ns", "ns", what, "there is none", no_rtt, values)
    for name, what in _SIDE_PACKETS:
        yield _packet(name, f"{side}'s first {what}", side)


def _application() -> Iterator[LakeColumn]:
    unseen = "it was not seen"
    yield _text("application", "`dns`, `tls`, `http` or `quic`, by the payload.", "none of them was recognised")
    yield _text("server_name", "Server name in the client's TLS or QUIC hello.", unseen)
    yield _text("alpn", "Application protocol that the server chose, else those that the client offered.", unseen)
    yield _named_number("tls_version", "Version that the server chose, like `1.3`.", unseen, TLS_VERSIONS)
    yield _named_number("tls_alert", "First TLS alert that was not encrypted.", unseen, TLS_ALERTS)
    yield LakeColumn(
        "tls_alert_by",
        WORD,
        "",
        "Side that sent it.",
        unseen,
        lambda r: words(r.table["tls_alert_side"], ("", *SIDES)),
    )
    yield _text("http_method", "Method of the first request.", unseen)
    yield _text("http_host", "Host of the first request.", unseen)
    yield _text("http_path", "Path of the first request, without its query.", unseen)
    yield number_column(
        "http_status", "", "Status of the first answer, or of the first from 400 on.", unseen,
        lambda t: t["http_status"] == 0, kind=INT32,
    )  # fmt: skip
    for name, what in (
        ("http_requests", "HTTP requests."),
        ("http_answers", "HTTP answers."),
        ("http_4xx", "Answers from 400 to 499."),
        ("http_5xx", "Answers from 500 to 599."),
    ):
        yield number_column(name, "messages", what, "the application is not `http`", lambda t: ~_is(t, "http"))
    yield _packet("error_packet", "first packet with a TLS alert, an error of DNS, or an HTTP status from 500 on")
    yield _text("dns_name", "Name in the first question.", unseen)
    yield _named_number("dns_type", "Type of the first question, like `AAAA`.", unseen, DNS_TYPES)
    yield _named_number(
        "dns_code", "Code of the first answer, or of the first with an error, like `NXDOMAIN`.", unseen, DNS_CODES, 1
    )
    yield number_column(
        "dns_errors", "messages", "Answers with an error.", "the application is not `dns`", lambda t: ~_is(t, "dns")
    )


def _kernel() -> Iterator[LakeColumn]:
    """What `bicap record --reasons` heard of the session from the kernel of its node."""
    no_drop, no_reset = "the kernel told of no drop that is a loss", "the kernel told of no reset"
    yield number_column("drops", "packets", "Packets of the session that the kernel dropped, at least.")
    yield _packet("drop_packet", "event of the first drop")
    yield _of_reason("drop_reason", "Reason of the first drop, like `NETFILTER_DROP`.", no_drop)
    yield _of_reason("drop_class", "What that means, like `policy` or `full`.", no_drop)
    yield _of_reason("drop_place", "Function of the kernel that dropped it.", no_drop)
    yield _packet("reset_packet", "event of the first reset")
    yield _of_reason("reset_reason", "Why the kernel reset the connection.", no_reset)


def _of_reason(name: str, help: str, null: str) -> LakeColumn:
    return LakeColumn(name, TEXT, "", help, null, lambda r: texts(COLUMNS[name](r.table)))


def _is(table: Table, application: str) -> Mask:
    mask: Mask = table["application"] == TEXTS.number(application)
    return mask


SESSIONS = TableSchema(
    name="sessions",
    version=1,
    help="One row per conversation and interface: what `bicap sessions` shows.",
    sorted_by="start_ns",
    columns=(*_identity(), *_verdicts(), *_of_side("client"), *_of_side("server"), *_application(), *_kernel()),
)
