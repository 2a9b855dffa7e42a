"""Headers of TCP packets -> what their options say: maximum segment size, window scale, blocks of SACK."""

import numpy as np

from capture.analysis.packets.compiled.decode import option_length
from capture.analysis.packets.packet_table import Kind, PacketRow
from capture.arrays.aliases import Bytes
from capture.arrays.compiled.byte_numbers import net16, net32
from capture.arrays.jit import borrowing_loop as loop
from capture.arrays.row_types import I64, U8, U16, U32, Record, Rows, dtype_of
from capture.wire.protocols import TCP

_LATER, _CUT = int(Kind.LATER_FRAGMENT), int(Kind.CUT)


class TcpOptions(Record):
    """Options of one TCP packet."""

    sack_0: U32  # first and last number of up to four blocks, as sent
    sack_1: U32
    sack_2: U32
    sack_3: U32
    sack_4: U32
    sack_5: U32
    sack_6: U32
    sack_7: U32
    mss: U16  # 0: none
    scale: U8  # 1 + shift count; 0: none
    blocks: U8  # number of SACK blocks
    header_at: I64  # index of the TCP header's first byte, from the packet's; -1: none


TCP_OPTIONS = dtype_of(TcpOptions)


@loop
def tcp_options(data: Bytes, packets: Rows[PacketRow], out: Rows[TcpOptions]) -> None:
    """Fill a row for each packet. The header ends where the payload begins; its length is the one that fits."""
    for i in range(len(packets)):
        packet, row = packets[i], out[i]
        row.mss, row.scale, row.blocks = 0, 0, 0
        row.header_at = -1
        if packet.protocol != TCP or packet.kind & (_LATER | _CUT):
            continue
        end = np.int64(packet.offset) + packet.payload_at
        for words in range(5, 16):
            at = end - 4 * words
            if at < packet.offset or np.int64(data[at + 12]) >> 4 != words:
                continue
            if net32(data, at + 4) == packet.sequence and net16(data, at) == packet.source_port:
                row.header_at = at - packet.offset
                _read(data, at + 20, end, row)
                break


@loop
def _read(data: Bytes, at: int, end: int, row: TcpOptions) -> None:
    length = option_length(data, at, end)
    while length:
        option = data[at]
        if option == 2 and length == 4:
            row.mss = net16(data, at + 2)
        elif option == 3 and length == 3:
            shift = np.int64(data[at + 2])
            row.scale = (14 if shift > 14 else shift) + 1
        elif option == 5 and length >= 10:
            count = (length - 2) // 8
            count = 4 if count > 4 else count
            row.blocks = count
            row.sack_0, row.sack_1 = net32(data, at + 2), net32(data, at + 6)
            if count > 1:
                row.sack_2, row.sack_3 = net32(data, at + 10), net32(data, at + 14)
            if count > 2:
                row.sack_4, row.sack_5 = net32(data, at + 18), net32(data, at + 22)
            if count > 3:
                row.sack_6, row.sack_7 = net32(data, at + 26), net32(data, at + 30)
        at += length
        length = option_length(data, at, end)
