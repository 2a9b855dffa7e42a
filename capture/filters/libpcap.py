"""A tcpdump expression -> classic BPF, compiled by libpcap itself through its own API (pcap_compile(3PCAP))."""

import ctypes
import ctypes.util
import functools
import re
import threading
from typing import Any, NamedTuple

from capture.errors import FilterError

DLT_EN10MB = 1
SNAPLEN = 262_144
PCAP_NETMASK_UNKNOWN = 0xFFFFFFFF
_ERROR_SIZE = 256

_lock = threading.Lock()  # pcap_compile() was not thread-safe before libpcap 1.8


class Instruction(NamedTuple):
    """One classic BPF instruction (struct bpf_insn)."""

    code: int
    jt: int
    jf: int
    k: int


class _Insn(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class BpfProgram(ctypes.Structure):
    """struct bpf_program."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.POINTER(_Insn)))


@functools.cache
def library() -> Any:
    """Return the shared library with typed functions. Raises FilterError if it is missing."""
    name = ctypes.util.find_library("pcap") or "libpcap.so.0.8"
    try:
        pcap = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)  # so that compiled loops find bpf_filter() in it
    except OSError:
        raise FilterError(
            "tcpdump expressions need libpcap, which is not installed; install libpcap0.8 (Fedora: libpcap)"
        ) from None
    pcap.pcap_open_dead.restype = ctypes.c_void_p
    pcap.pcap_open_dead.argtypes = [ctypes.c_int, ctypes.c_int]
    pcap.pcap_compile.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(BpfProgram),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    ]
    pcap.pcap_geterr.restype = ctypes.c_char_p
    pcap.pcap_geterr.argtypes = [ctypes.c_void_p]
    pcap.pcap_freecode.argtypes = [ctypes.POINTER(BpfProgram)]
    pcap.pcap_close.argtypes = [ctypes.c_void_p]
    return pcap


def compile_expression(text: str, link: int = DLT_EN10MB) -> tuple[Instruction, ...]:
    """Return the optimised program for packets of a DLT_ link type, by default Ethernet.

    Raises FilterError with libpcap's message and the position.
    """
    program, message = _compile(text, link)
    if program is None:
        place = "" if message.endswith(_WHOLE) else ", at position {} ({})".format(*_position(text, link))
        raise FilterError(f"expression {text!r}: {message}{place}")
    return program


def _compile(text: str, link: int) -> tuple[tuple[Instruction, ...] | None, str]:
    """Return the instructions and "", or None and libpcap's message."""
    program, pcap = BpfProgram(), library()
    with _lock:
        handle = pcap.pcap_open_dead(link, SNAPLEN)
        try:
            if pcap.pcap_compile(handle, ctypes.byref(program), text.encode(), 1, PCAP_NETMASK_UNKNOWN):
                return None, pcap.pcap_geterr(handle).decode(errors="replace")
        finally:
            pcap.pcap_close(handle)
    try:
        return tuple(Instruction(i.code, i.jt, i.jf, i.k) for i in program.instructions[: program.length]), ""
    finally:
        pcap.pcap_freecode(ctypes.byref(program))


_WHOLE = "rejects all packets"
"""End of a message that is about the whole expression."""
_WORD = re.compile(r"[()\[\]]|&&|\|\||[!<>=]=?|[^\s()\[\]!<>=&|]+|\S")
_ENDINGS = (
    "",
    " 1",
    " 10.0.0.1",
    " ::1",
    " 02:00:00:00:00:01",
    " tcp",
    " host 10.0.0.1",
    " port 1",
    " \\tcp",
    "[0] = 0",
)
_ENDINGS_OF_TERMS = ("] = 0", " = 0", " 0 = 0", " 0] = 0", ":1] = 0")


def _position(text: str, link: int) -> tuple[int, str]:
    """Return the position of the error, counted from 1, and the word there; libpcap does not report them.

    The error is at the first word after which no ending makes a valid expression.
    """
    for word in _WORD.finditer(text):
        start = text[: word.end()]
        closing = ")" * (start.count("(") - start.count(")"))
        if all(_compile(start + ending + closing, link)[0] is None for ending in (*_ENDINGS, *_ENDINGS_OF_TERMS)):
            return word.start() + 1, repr(word[0])
    return len(text) + 1, "the end"
