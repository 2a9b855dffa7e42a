"""The table of decoded packets: its dtype, with units.

Numbers are in host byte order. Times are nanoseconds since 1970 (int64), durations nanoseconds, sizes bytes on the
wire. An address is two int64, the upper and the lower eight bytes of its number; IPv4 is in the lower.
"""

from enum import IntFlag

from capture.arrays.row_types import I64, U8, U16, U32, Record, dtype_of


class Kind(IntFlag):
    """What decoding found in a packet."""

    TIMESTAMPS = 1
    "a TCP timestamps option: tsval and tsecr hold"
    FIRST_FRAGMENT = 2
    "more fragments follow"
    LATER_FRAGMENT = 4
    "no ports in it"
    CUT = 8
    "headers end before they are complete: what was not there is 0"
    ICMP_ERROR = 16
    "the packet it is about begins at payload_at"


class PacketRow(Record):
    """A packet of a file."""

    time_ns: I64
    number: I64  # the first packet of a file is 1
    session: I64  # 0: not IP, or not tracked
    offset: I64  # of its first byte in the bytes of the batch
    source_high: I64
    source_low: I64
    destination_high: I64
    destination_low: I64
    captured: U32
    original: U32
    interface: U32
    flags: U32  # epb_flags
    payload: U32  # bytes behind the TCP, UDP or ICMP header on the wire; behind IP for others
    payload_at: U32  # where they begin, from `offset`
    sequence: U32
    acknowledgment: U32
    tsval: U32
    tsecr: U32
    identification: U32  # of IP; echo and query identifiers are in the ports
    window: U16  # as it stands in the header
    source_port: U16
    destination_port: U16
    tcp_flags: U16
    family: U8  # 4, 6; 0: no IP
    protocol: U8  # the upper layer's
    icmp_type: U8
    icmp_code: U8
    hops: U8  # TTL or hop limit
    kind: U8
    side: U8  # who of the session sent it: 0 client, 1 server


PACKET = dtype_of(PacketRow)
