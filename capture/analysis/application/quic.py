"""Initial packets of a QUIC client, and keys made from its connection identifier -> the start of its hello."""

import hashlib
import hmac
import struct

import numpy as np

from capture.analysis.application.compiled.aes import ROUND_KEYS, expand
from capture.analysis.application.compiled.crypto_frames import CRYPTO_MAX, crypto_frames, version
from capture.arrays.aliases import Bytes

_SALTS = {
    1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    0x6B3343CF: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
"""RFC 9001, section 5.2, and RFC 9369, section 3.3.1."""
_LABELS = {1: b"quic", 0x6B3343CF: b"quicv2"}


def _expand_label(secret: bytes, label: bytes, length: int) -> bytes:
    """Return HKDF-Expand-Label without context, of at most 32 bytes (RFC 8446, section 7.1)."""
    label = b"tls13 " + label
    info = struct.pack("!HB", length, len(label)) + label + b"\0"
    return hmac.digest(secret, info + b"\1", hashlib.sha256)[:length]


class ClientHello:
    """What the Initial packets of a client have brought of its hello."""

    def __init__(self) -> None:
        self._keys, self._header_keys = np.zeros(ROUND_KEYS, np.uint8), np.zeros(ROUND_KEYS, np.uint8)
        self._iv = np.zeros(12, np.uint8)
        self._ready = False
        self.data = np.zeros(CRYPTO_MAX, np.uint8)
        self._known = np.zeros(CRYPTO_MAX + 1, np.uint8)

    def add(self, data: Bytes, at: int, end: int) -> int:
        """Add a datagram data[at:end] with a long header; return how many bytes of the hello are known."""
        number = version(data, at, end)
        if not number or (not self._ready and not self._derive(number, data, at)):
            return self.length
        crypto_frames(
            data, at, end, self._keys, self._header_keys, self._iv,
            np.zeros(48, np.uint8), np.zeros(end - at, np.uint8), self.data, self._known,
        )  # fmt: skip
        return self.length

    @property
    def length(self) -> int:
        """Bytes at the start of the hello that are known without a gap."""
        return int(np.argmin(self._known))

    def _derive(self, number: int, data: Bytes, at: int) -> bool:
        """Make the keys from the first packet's destination; a later one has an identifier that the server chose."""
        size = int(data[at + 5])
        if size > 20:
            return False
        connection = data[at + 6 : at + 6 + size].tobytes()
        secret = hmac.digest(_SALTS[number], connection, hashlib.sha256)
        client, label = _expand_label(secret, b"client in", 32), _LABELS[number]
        for name, keys in ((b" key", self._keys), (b" hp", self._header_keys)):
            expand(np.frombuffer(_expand_label(client, label + name, 16), np.uint8), keys)
        self._iv[:] = np.frombuffer(_expand_label(client, label + b" iv", 12), np.uint8)
        self._ready = True
        return True
