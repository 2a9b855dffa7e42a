"""AES-128 of single blocks (FIPS 197), for QUIC's Initial packets, whose keys everybody can derive.

Nothing here is secret, so it need not run in constant time. There are some 80 blocks for each connection.
"""

import numpy as np

from capture.arrays.aliases import Bytes
from capture.arrays.jit import borrowing_loop as loop

BLOCK, ROUNDS = 16, 10
ROUND_KEYS = BLOCK * (ROUNDS + 1)


def _sbox() -> Bytes:
    """Return the substitution table (FIPS 197, section 5.1.1), made by walking through all powers of 3."""
    table = np.zeros(256, np.uint8)
    power = inverse = 1
    while True:
        power = (power ^ power << 1 ^ (0x11B if power & 0x80 else 0)) & 0xFF  # times 3
        for shift in (1, 2, 4):  # divided by 3
            inverse = (inverse ^ inverse << shift) & 0xFF
        inverse ^= 0x09 if inverse & 0x80 else 0
        turned = inverse
        for turn in range(1, 5):
            turned ^= (inverse << turn | inverse >> (8 - turn)) & 0xFF
        table[power] = turned ^ 0x63
        if power == 1:
            break
    table[0] = 0x63
    return table


SBOX = _sbox()


@loop
def expand(key: Bytes, keys: Bytes) -> None:
    """Write the ROUND_KEYS bytes of round keys for a key of 16 bytes."""
    for k in range(BLOCK):
        keys[k] = key[k]
    constant = np.int64(1)
    for at in range(BLOCK, ROUND_KEYS, 4):
        first = at % BLOCK == 0
        for k in range(4):
            before = keys[at - 4 + (k + 1) % 4] if first else keys[at - 4 + k]
            mixed = SBOX[before] if first else before
            if first and k == 0:
                mixed ^= np.uint8(constant)
            keys[at + k] = keys[at - BLOCK + k] ^ mixed
        if first:
            constant = (constant << 1 ^ (0x11B if constant & 0x80 else 0)) & 0xFF


@loop
def _double(value: int) -> int:
    return (value << 1 ^ (0x11B if value & 0x80 else 0)) & 0xFF


@loop
def encrypt(keys: Bytes, block: Bytes, work: Bytes) -> None:
    """Encrypt a block in place; `work` are 16 bytes for use meanwhile."""
    for k in range(BLOCK):
        block[k] ^= keys[k]
    for number in range(1, ROUNDS + 1):
        for column in range(4):
            for row in range(4):
                work[4 * column + row] = SBOX[block[4 * ((column + row) % 4) + row]]
        for column in range(4):
            a, b, c, d = (
                np.int64(work[4 * column]),
                np.int64(work[4 * column + 1]),
                np.int64(work[4 * column + 2]),
                np.int64(work[4 * column + 3]),
            )
            if number < ROUNDS:
                every = a ^ b ^ c ^ d
                a, b, c, d = (
                    a ^ every ^ _double(a ^ b),
                    b ^ every ^ _double(b ^ c),
                    c ^ every ^ _double(c ^ d),
                    d ^ every ^ _double(d ^ a),
                )
            block[4 * column] = a ^ np.int64(keys[BLOCK * number + 4 * column])
            block[4 * column + 1] = b ^ np.int64(keys[BLOCK * number + 4 * column + 1])
            block[4 * column + 2] = c ^ np.int64(keys[BLOCK * number + 4 * column + 2])
            block[4 * column + 3] = d ^ np.int64(keys[BLOCK * number + 4 * column + 3])
