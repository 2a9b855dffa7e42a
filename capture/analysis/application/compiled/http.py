"""The head of an HTTP/1 message -> method, target and Host of a request, or the status of an answer (RFC 9112)."""

import numpy as np

from capture.analysis.application.message import MessageKind, MessageRow
from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop

_REQUEST, _ANSWER = int(MessageKind.HTTP_REQUEST), int(MessageKind.HTTP_ANSWER)
HEAD_MAX = 1 << 12
"""Bytes of a head that are searched."""
_METHOD_MAX = 20
_SPACE, _RETURN, _LINE, _COLON, _TAB, _ZERO = 0x20, 0x0D, 0x0A, 0x3A, 0x09, 0x30
_VERSION = (0x48, 0x54, 0x54, 0x50, 0x2F, 0x31, 0x2E)
"""HTTP/1."""


@loop
def _is_version(data: Bytes, at: int, end: int) -> bool:
    if at + 8 > end:
        return False
    same = 0
    for k in range(7):
        same += data[at + k] == _VERSION[k]
    return same == 7


@loop
def http(data: Bytes, at: int, end: int, message: MessageRow) -> None:
    """Fill the message if data[at:end] begins with the head of a request or an answer."""
    if _is_version(data, at, end):
        status = np.int64(0)
        for k in range(at + 9, at + 12):
            if k >= end or not _ZERO <= data[k] <= _ZERO + 9:
                return
            status = status * 10 + np.int64(data[k]) - _ZERO
        if data[at + 8] == _SPACE:
            message.kind = _ANSWER
            message.code = status
        return
    limit = min(end, at + HEAD_MAX)
    target = at
    while target < limit and 0x41 <= data[target] <= 0x5A:
        target += 1
    if not 0 < target - at <= _METHOD_MAX or target >= limit or data[target] != _SPACE:
        return
    method = target - at
    target += 1
    behind = target
    while behind < limit and data[behind] > _SPACE:
        behind += 1
    if behind == target or behind >= limit or data[behind] != _SPACE or not _is_version(data, behind + 1, end):
        return
    message.kind = _REQUEST
    message.verb_length = method
    message.list_at = target
    message.list_length = behind - target
    _headers(data, behind, limit, end, message)


@loop
def _headers(data: Bytes, at: int, limit: int, end: int, message: MessageRow) -> None:
    """Find the Host among the lines behind data[at]; the message is whole if the head ends or is too long."""
    message.whole = limit < end
    while at < limit:
        while at < limit and data[at] != _LINE:
            at += 1
        at += 1
        if at >= limit:
            return
        if data[at] == _RETURN or data[at] == _LINE:
            message.whole = 1
            return
        if at + 5 < limit and _is_host(data, at):
            at += 5
            while at < limit and (data[at] == _SPACE or data[at] == _TAB):
                at += 1
            start = at
            while at < limit and data[at] > _SPACE:
                at += 1
            if at < limit:
                message.name_at = start
                message.name_length = at - start
                message.whole = 1
            return


@loop
def _is_host(data: Bytes, at: int) -> bool:
    return (
        data[at] | 0x20 == 0x68
        and data[at + 1] | 0x20 == 0x6F
        and data[at + 2] | 0x20 == 0x73
        and data[at + 3] | 0x20 == 0x74
        and data[at + 4] == _COLON
    )
