"""TLS records -> server name, ALPN and version of a hello; the number of an alert (RFC 8446, RFC 6066, RFC 7301)."""

import numpy as np

from capture.analysis.application.message import MessageKind, MessageRow
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import net16
from capture.arrays.jit import borrowing_loop as loop

_CLIENT, _SERVER, _ALERT = int(MessageKind.CLIENT_HELLO), int(MessageKind.SERVER_HELLO), int(MessageKind.ALERT)
ALERT_RECORD, HANDSHAKE_RECORD = 0x15, 0x16
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS = 0, 16, 43
_RECORD_MAX = 1 << 14


@loop
def tls(data: Bytes, at: int, end: int, message: MessageRow) -> None:
    """Fill the message if data[at:end] begins with a hello, or with an alert that is not encrypted."""
    if at + 6 > end or data[at + 1] != 3 or data[at + 2] > 4:
        return
    length = net16(data, at + 3)
    if length == 0 or length > _RECORD_MAX:
        return
    if data[at] == ALERT_RECORD:
        if length == 2 and at + 7 <= end and (data[at + 5] == 1 or data[at + 5] == 2):
            message.kind = _ALERT
            message.code = data[at + 6]
        return
    hello(data, at + 5, min(end, at + 5 + length), at + 5 + length <= end, message)


@loop
def hello(data: Bytes, at: int, end: int, whole: bool, message: MessageRow) -> None:
    """Fill the message with the hello at data[at:end], as far as it is there. `whole`: no more can come."""
    if at + 6 > end or data[at + 1] != 0 or data[at + 4] != 3:
        return
    kind = np.int64(data[at])
    if kind != _CLIENT_HELLO and kind != _SERVER_HELLO:
        return
    message.kind = _CLIENT if kind == _CLIENT_HELLO else _SERVER
    message.code = net16(data, at + 4)
    length = np.int64(data[at + 1]) << 16 | net16(data, at + 2)
    message.whole = whole or at + 4 + length <= end
    end = min(end, at + 4 + length)
    at += 6 + 32
    if at >= end:
        return
    at += 1 + np.int64(data[at])  # session identifier
    if kind == _CLIENT_HELLO:
        if at + 2 > end:
            return
        at += 2 + net16(data, at)  # cipher suites
        if at >= end:
            return
        at += 1 + np.int64(data[at])  # compression methods
    else:
        at += 3
    at += 2  # length of all extensions
    while at + 4 <= end:
        extension, length = net16(data, at), net16(data, at + 2)
        at += 4
        if at + length > end:
            return
        if extension == _SERVER_NAME and kind == _CLIENT_HELLO and length >= 5 and data[at + 2] == 0:
            message.name_at = at + 5
            message.name_length = min(net16(data, at + 3), length - 5)
        elif extension == _ALPN and length >= 2:
            message.list_at = at + 2
            message.list_length = length - 2
        elif extension == _SUPPORTED_VERSIONS and kind == _SERVER_HELLO and length == 2:
            message.code = net16(data, at)
        at += length
