"""A DNS message -> its first question, and its response code (RFC 1035, section 4.1)."""

import numpy as np

from capture.analysis.application.message import MessageKind, MessageRow
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import net16
from capture.arrays.jit import borrowing_loop as loop

_QUERY, _ANSWER = int(MessageKind.DNS_QUERY), int(MessageKind.DNS_ANSWER)
_NAME_MAX = 255


@loop
def dns(data: Bytes, at: int, end: int, message: MessageRow) -> None:
    """Fill the message if data[at:end] is a DNS message with a question."""
    if at + 17 > end or net16(data, at + 4) == 0 or net16(data, at + 4) > 16:
        return
    name = at + 12
    k = name
    while data[k] != 0:
        length = np.int64(data[k])
        if length > 63:  # a pointer: the first name has nothing to point at
            return
        k += 1 + length
        if k + 5 > end or k - name > _NAME_MAX:
            return
    message.name_at = name
    message.name_length = k + 1 - name
    message.type = net16(data, k + 1)
    message.code = np.int64(data[at + 3]) & 15
    message.kind = _ANSWER if data[at + 2] & 0x80 else _QUERY
