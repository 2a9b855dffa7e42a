"""Packets of known sessions -> the messages that their payload begins with, by port and by the first bytes."""

from capture.analysis.application.compiled.dns import dns
from capture.analysis.application.compiled.http import http
from capture.analysis.application.compiled.tls import ALERT_RECORD, HANDSHAKE_RECORD, tls
from capture.analysis.application.message import MessageKind, MessageRow
from capture.analysis.packets.packet_table import Kind, Mark, PacketRow
from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import Rows
from capture.wire.protocols import TCP, UDP

_UNREADABLE = int(Kind.LATER_FRAGMENT | Kind.CUT | Kind.ICMP_ERROR)
_AGAIN, _LOST_BEFORE = int(Mark.REPEATED | Mark.COPY), int(Mark.LOST_BEFORE)
_QUIC = int(MessageKind.QUIC_INITIAL)
_DNS_PORT, _QUIC_PORT = 53, 443
_QUIC_LEAST = 1200
"""Bytes of a datagram with a client's Initial packet, at least (RFC 9000, section 14.1)."""


@loop
def clear(message: MessageRow) -> None:
    """Make the message that of nothing, so that it can be filled."""
    message.name_length = message.list_length = message.verb_length = message.code = message.type = 0
    message.name_at = message.list_at = 0
    message.kind = 0
    message.whole = 1


@loop
def _may_begin(first: int) -> bool:
    """True if a message of TLS or HTTP can begin with this byte; most packets of a stream begin with another."""
    return first in (HANDSHAKE_RECORD, ALERT_RECORD) or 0x41 <= first <= 0x5A


@loop
def message_at(data: Bytes, at: int, end: int, message: MessageRow) -> None:
    """Fill the message with what data[at:end], of TCP, begins with."""
    clear(message)
    message.start = at
    message.end = end
    if data[at] == HANDSHAKE_RECORD or data[at] == ALERT_RECORD:
        tls(data, at, end, message)
    elif 0x41 <= data[at] <= 0x5A:
        http(data, at, end, message)


@loop
def messages(data: Bytes, packets: Rows[PacketRow], found: Rows[MessageRow]) -> int:
    """Write the messages of packets, each sent for the first time, into `found`. Return their number.

    `found` has room for one for each packet.
    """
    count = 0
    for i in range(len(packets)):
        row = packets[i]
        if not row.payload or row.kind & _UNREADABLE or (row.marks & _AGAIN and not row.marks & _LOST_BEFORE):
            continue
        at = row.offset + row.payload_at
        end = row.offset + row.captured
        if end > at + row.payload:  # padding behind it
            end = at + row.payload
        if at >= end:
            continue
        asks = row.source_port == _DNS_PORT or row.destination_port == _DNS_PORT
        if row.protocol == TCP and not asks and not _may_begin(data[at]):
            continue
        message = found[count]
        if row.protocol == TCP:
            if asks:
                clear(message)
                dns(data, at + 2, end, message)  # the length goes before it (RFC 7766)
            else:
                message_at(data, at, end, message)
        elif row.protocol == UDP:
            clear(message)
            if asks:
                dns(data, at, end, message)
            elif row.destination_port == _QUIC_PORT and end - at >= _QUIC_LEAST and data[at] & 0xC0 == 0xC0:
                message.kind = _QUIC
        else:
            continue
        if message.kind:
            message.packet = i
            message.start = at
            message.end = end
            count += 1
    return count
