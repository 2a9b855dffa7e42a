"""Packets and programs of classic BPF -> a mask of the packets that they accept; libpcap itself runs the programs."""

import numpy as np

from capture.analysis.packets.packet_table import PacketRow
from capture.arrays.aliases import Longs, Mask
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.jit import c_function
from capture.arrays.row_types import Rows

_bpf_filter = c_function("bpf_filter", "uint32", "intp", "intp", "uint32", "uint32")
"""Address of a program, address of a packet, its length on the wire, bytes captured -> 0: not accepted."""


@loop
def accepted(address: int, packets: Rows[PacketRow], programs: Longs, skipped: Longs, mask: Mask) -> None:
    """Write [packet] into `mask`: true if the program of the packet's interface accepts the packet.

    `address` is that of the batch's data, `programs` [interface] those of programs, `skipped` [interface] the bytes
    at a packet's start that the program does not see.
    """
    for i in range(len(packets)):
        row = packets[i]
        skip = skipped[row.interface]
        captured = np.int64(row.captured) - skip
        mask[i] = captured >= 0 and _bpf_filter(
            programs[row.interface], address + row.offset + skip, np.int64(row.original) - skip, captured
        )
