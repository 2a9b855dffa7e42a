"""Real TLS of Python's ssl, QUIC Initial packets encrypted by libcrypto, HTTP and DNS -> frames of conversations."""

import ctypes
import ctypes.util
import hashlib
import hmac
import ssl
import struct
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed import packets

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
Turn = tuple[bool, bytes]
"""True if the client said it, and the bytes."""


def tcp_frames(turns: Iterable[Turn], port: int, client_port: int = 40_000, segment: int = 1400) -> list[bytes]:
    """Return a connection in segments, with its handshake and without its end."""
    next_of = {True: 1000, False: 5000}

    def one(by_client: bool, flags: int, payload: bytes = b"") -> bytes:
        ends = (CLIENT, client_port, SERVER, port) if by_client else (SERVER, port, CLIENT, client_port)
        acknowledgment = next_of[not by_client] if flags & packets.ACK else 0
        frame = packets.tcp(*ends, flags, payload, sequence=next_of[by_client], acknowledgment=acknowledgment)
        next_of[by_client] += len(payload) + bool(flags & packets.SYN)
        return frame

    frames = [one(True, packets.SYN), one(False, packets.SYN | packets.ACK), one(True, packets.ACK)]
    for by_client, said in turns:
        for at in range(0, len(said), segment):
            frames.append(one(by_client, packets.ACK | 8, said[at : at + segment]))
    return frames


@cache
def certificate() -> bytes:
    """Return a key and a certificate that nobody knows."""
    with TemporaryDirectory() as folder:
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        words += ["-subj", "/CN=web.shop", "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"]
        subprocess.run(words, check=True, capture_output=True)
        return (Path(folder) / "key").read_bytes() + (Path(folder) / "certificate").read_bytes()


def tls(
    name: str | None, version: ssl.TLSVersion, alpn: list[str], chosen: list[str], trusting: bool = True
) -> list[Turn]:
    """Return what both sides say in a TLS handshake until it is complete, or one of them refuses it."""
    server_context, client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with TemporaryDirectory() as folder:
        (Path(folder) / "both").write_bytes(certificate())
        server_context.load_cert_chain(f"{folder}/both")
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE if trusting else ssl.CERT_REQUIRED
    client_context.minimum_version = client_context.maximum_version = version
    for context, protocols in ((client_context, alpn), (server_context, chosen)):
        if protocols:
            context.set_alpn_protocols(protocols)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = server_context.wrap_bio(up, down, server_side=True)
    turns: list[Turn] = []
    pending = {client, server}
    while pending:
        for side, out in ((client, up), (server, down)):
            try:
                side.do_handshake()
                pending.discard(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                pending.clear()
            said = out.read()
            if said:
                turns.append((side is client, said))
                out.write(said)
    return turns


def _label(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label, by the book (RFC 8446, section 7.1; RFC 5869, section 2.3)."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([0])
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.new(secret, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def _cipher(name: str, key: bytes, iv: bytes, plain: bytes, about: bytes = b"") -> bytes:
    """Encrypt with libcrypto; the tag follows if it makes one."""
    library = ctypes.CDLL(ctypes.util.find_library("crypto"))
    for function in ("EVP_CIPHER_CTX_new", f"EVP_{name}"):
        getattr(library, function).restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.EVP_CIPHER_CTX_new())
    cipher = ctypes.c_void_p(getattr(library, f"EVP_{name}")())
    assert library.EVP_EncryptInit_ex(context, cipher, None, key, iv or None) == 1
    size, out, tag = ctypes.c_int(), ctypes.create_string_buffer(len(plain) + 32), ctypes.create_string_buffer(16)
    if about:
        assert library.EVP_EncryptUpdate(context, None, ctypes.byref(size), about, len(about)) == 1
    assert library.EVP_EncryptUpdate(context, out, ctypes.byref(size), plain, len(plain)) == 1
    encrypted = out.raw[: len(plain)]
    if about:
        assert library.EVP_EncryptFinal_ex(context, out, ctypes.byref(size)) == 1
        assert library.EVP_CIPHER_CTX_ctrl(context, 0x10, 16, tag) == 1  # EVP_CTRL_AEAD_GET_TAG
        encrypted += tag.raw
    library.EVP_CIPHER_CTX_free(context)
    return encrypted


_SALTS = {
    1: ("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", b"quic", 0),
    0x6B3343CF: ("0dede3def700a6db819381be6e269dcbf9bd2ed9", b"quicv2", 1),
}


def quic_initial(
    frames: bytes,
    number: int = 0,
    version: int = 1,
    connection: bytes = bytes.fromhex("8394c8f03e515708"),
    first: bytes | None = None,
    token: bytes = b"",
) -> bytes:
    """Return a client's Initial packet of 1200 bytes; `first` is the identifier that its keys are made from."""
    salt, label, kind = _SALTS[version]
    secret = _label(hmac.new(bytes.fromhex(salt), first or connection, hashlib.sha256).digest(), b"client in", 32)
    key, iv, header_key = (
        _label(secret, label + name, size) for name, size in ((b" key", 16), (b" iv", 12), (b" hp", 16))
    )
    header = bytes([0xC0 | kind << 4 | 3]) + struct.pack("!IB", version, len(connection)) + connection
    header += bytes([4]) + b"here" + bytes([len(token)]) + token
    plain = frames + bytes(1200 - len(header) - 2 - 4 - 16 - len(frames))
    header += (0x4000 | (4 + len(plain) + 16)).to_bytes(2, "big")
    protected = header + number.to_bytes(4, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    encrypted = _cipher("aes_128_gcm", key, nonce, plain, protected)
    mask = _cipher("aes_128_ecb", header_key, b"", encrypted[:16])
    packet = bytearray(protected + encrypted)
    packet[0] ^= mask[0] & 0x0F
    for at in range(4):
        packet[len(header) + at] ^= mask[1 + at]
    return bytes(packet)


def crypto(offset: int, content: bytes) -> bytes:
    """Return a CRYPTO frame."""
    return b"\6" + (0x4000 | offset).to_bytes(2, "big") + (0x4000 | len(content)).to_bytes(2, "big") + content


def hello_of(turns: list[Turn]) -> bytes:
    """Return the client's hello without the record that carries it."""
    return turns[0][1][5:]


def dns(name: str, kind: int = 1, identifier: int = 7, code: int | None = None) -> bytes:
    """Return a query, or an answer without records if it has a code."""
    flags = 0x0100 if code is None else 0x8180 | code
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"
    return struct.pack("!HHHHHH", identifier, flags, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)
