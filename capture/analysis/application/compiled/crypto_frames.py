"""A QUIC Initial packet of a client, and its keys -> the bytes of its CRYPTO frames (RFC 9000, RFC 9001, RFC 9369).

Bytes are decrypted and not authenticated: with wrong keys the frames make no sense, and nothing is found.
"""

import numpy as np

from capture.analysis.application.compiled.aes import BLOCK, encrypt
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import net32
from capture.arrays.jit import borrowing_loop as loop

CRYPTO_MAX = 1 << 12
"""Bytes of a client's CRYPTO frames that are kept: a hello with post-quantum keys has less than 2 KiB."""
_VERSION_1, _VERSION_2 = 1, 0x6B3343CF
_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO = 0, 1, 2, 3, 6


@loop
def version(data: Bytes, at: int, end: int) -> int:
    """Return the version of an Initial packet at data[at:end], at least 7 bytes; 0 if it is none."""
    number = net32(data, at + 1)
    kind = data[at] >> 4 & 3
    if (number == _VERSION_1 and kind == 0) or (number == _VERSION_2 and kind == 1):
        return number
    return 0


@loop
def _varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number at data[at], and the index behind it; -1 if it is not there (RFC 9000, section 16)."""
    if at >= end:
        return -1, at
    size = np.int64(1) << (data[at] >> 6)
    if at + size > end:
        return -1, at
    value = np.int64(data[at]) & 0x3F
    for k in range(at + 1, at + size):
        value = value << 8 | np.int64(data[k])
    return value, at + size


@loop
def crypto_frames(
    data: Bytes,
    at: int,
    end: int,
    keys: Bytes,
    header_keys: Bytes,
    iv: Bytes,
    work: Bytes,
    plain: Bytes,
    crypto: Bytes,
    known: Bytes,
) -> bool:
    """Write the CRYPTO frames of a packet into crypto[:CRYPTO_MAX], and 1 into `known` for each byte; False for none.

    `keys` and `header_keys` are round keys, `iv` has 12 bytes, `work` 48, `plain` as many as the packet.
    """
    start = at
    at += 5
    for _ in range(2):  # connection identifiers
        if at >= end:
            return False
        at += 1 + np.int64(data[at])
    token, at = _varint(data, at, end)
    if token < 0 or at + token > end:
        return False
    length, at = _varint(data, at + token, end)
    if length < 20 or at + length > end:
        return False
    block, scratch, mask = work[:16], work[16:32], work[32:48]
    for k in range(BLOCK):
        mask[k] = data[at + 4 + k]
    encrypt(header_keys, mask, scratch)
    number_length = ((np.int64(data[start]) ^ np.int64(mask[0])) & 3) + 1
    first, size = at + number_length, length - number_length - 16
    for position in range(0, size, BLOCK):
        for k in range(12):
            block[k] = iv[k]
        for k in range(number_length):
            block[12 - number_length + k] ^= data[at + k] ^ mask[1 + k]
        counter = position // BLOCK + 2
        for k in range(4):
            block[12 + k] = counter >> (8 * (3 - k)) & 0xFF
        encrypt(keys, block, scratch)
        for k in range(min(BLOCK, size - position)):
            plain[position + k] = data[first + position + k] ^ block[k]
    return _frames(plain, size, crypto, known)


@loop
def _frames(plain: Bytes, size: int, crypto: Bytes, known: Bytes) -> bool:
    at, found = np.int64(0), False
    while at < size:
        kind = np.int64(plain[at])
        at += 1
        if kind in (_PADDING, _PING):
            continue
        if kind in (_ACK, _ACK_ECN):
            ranges = np.int64(0)
            for k in range(4):
                value, at = _varint(plain, at, size)
                if value < 0:
                    return found
                if k == 2:
                    ranges = value
            for _ in range(2 * ranges + (3 if kind == _ACK_ECN else 0)):
                value, at = _varint(plain, at, size)
                if value < 0:
                    return found
            continue
        if kind != _CRYPTO:
            return found
        offset, at = _varint(plain, at, size)
        length, at = _varint(plain, at, size)
        if offset < 0 or length < 0 or at + length > size:
            return found
        for k in range(min(length, max(CRYPTO_MAX - offset, 0))):
            crypto[offset + k] = plain[at + k]
            known[offset + k] = 1
        at += length
        found = True
    return found
