"""A tcpdump expression -> the packets of a file that it accepts, compiled and run by libpcap.

An expression means something else for each link type, so it is compiled when the first packets of an interface come.
It sees a packet as it is in the file: what a tunnel carries is part of its payload.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Mask
from capture.errors import FilterError
from capture.filters import libpcap
from capture.pcapng.describe import InterfaceDescription
from capture.wire.link_types import IPV4, IPV6, LOOP, NULL, RAW, RAW_BSD, RAW_OPENBSD

_DLT_RAW = 12
_INSTRUCTION = np.dtype([("code", "u2"), ("jt", "u1"), ("jf", "u1"), ("k", "u4")])
_ANCILLARY = 0xFFFFF000
"""SKF_AD_OFF: from this offset on, a load asks the kernel for a property that is not in the packet's bytes."""
_LOADS, _BY_OFFSET = (0, 1), 0x20
"""Classes of instructions that load, and the mode of those that load from a fixed offset."""


class PacketFilter:
    """A tcpdump expression. Raises FilterError when it is first used on a link type for which it is wrong."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._by_link: dict[int, tuple[np.ndarray[Any, Any], int]] = {}
        self._programs = np.zeros(0, np.int64)
        self._skipped = np.zeros(0, np.int64)

    def accepted(self, batch: Batch, interfaces: Sequence[InterfaceDescription]) -> Mask:
        """Return a mask of the packets of a batch that the expression accepts; `interfaces` are those of the file."""
        if len(self._programs) < len(interfaces):
            self._compile(interfaces)
        from capture.analysis.packets.compiled.accepted import accepted  # needs libpcap, which is loaded by now

        mask = np.zeros(len(batch.packets), np.bool_)
        accepted(batch.data.ctypes.data, batch.packets, self._programs, self._skipped, mask)
        return mask

    def _compile(self, interfaces: Sequence[InterfaceDescription]) -> None:
        found = [self._program(interface.link) for interface in interfaces]
        self._programs = np.array([program.ctypes.data for program, _ in found], np.int64)
        self._skipped = np.array([skipped for _, skipped in found], np.int64)

    def _program(self, link: int) -> tuple[np.ndarray[Any, Any], int]:
        """Return the program for a LINKTYPE_, and the bytes at a packet's start that it does not see."""
        if link not in self._by_link:
            dlt, skipped = link, 0
            if link in (NULL, LOOP):  # the address family's number and byte order are those of the writer's system
                dlt, skipped = _DLT_RAW, 4
            elif link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
                dlt = _DLT_RAW
            program = libpcap.compile_expression(self.text, dlt)
            for step in program:
                if step.code & 7 in _LOADS and step.code & 0xE0 == _BY_OFFSET and step.k >= _ANCILLARY:
                    raise FilterError(f"expression {self.text!r}: inbound and outbound are not supported in files")
            self._by_link[link] = np.array([tuple(step) for step in program], _INSTRUCTION), skipped
        return self._by_link[link]
