"""The dtype of decoded packets, with units.

Numbers are in host byte order. Times are nanoseconds since 1970 (int64), durations nanoseconds, sizes bytes on the
wire. An address is two int64, the upper and the lower eight bytes of its number; IPv4 is in the lower.
"""

from enum import IntFlag

from capture.arrays.row_types import I64, U8, U16, U32, Record, dtype_of


class Kind(IntFlag):
    """Properties that decoding found in a packet."""

    TIMESTAMPS = 1
    "a TCP timestamps option: tsval and tsecr are valid"
    FIRST_FRAGMENT = 2
    "more fragments follow"
    LATER_FRAGMENT = 4
    "a fragment without ports"
    CUT = 8
    "headers are cut off: fields that were not captured are 0"
    ICMP_ERROR = 16
    "the packet that it quotes begins at payload_at"
    FOREIGN = 128
    "TCP numbers of another connection; set by a Tracker"


class Mark(IntFlag):
    """What the session's earlier packets say about a packet."""

    REPEATED = 1
    "its bytes, SYN or FIN had been sent before; or a DNS query or echo request that was asked before"
    LOST_BEFORE = 2
    "a repetition whose first copy never passed the capture point"
    OVERTAKEN = 4
    "later packets of its sender came first"
    COPY = 8
    "the same IP packet again"
    KEEPALIVE = 16
    ZERO_WINDOW = 32
    AFTER_GAP = 64
    "skips bytes that are not in the file so far"
    ACKNOWLEDGES_UNSEEN = 128
    "acknowledges bytes that are not in the file"


class PacketRow(Record):
    """A packet of a file."""

    time_ns: I64
    number: I64  # the first packet of a file is 1
    session: I64  # 0: not IP, or not tracked
    offset: I64  # index of its first byte in the batch's data
    source_high: I64
    source_low: I64
    destination_high: I64
    destination_low: I64
    captured: U32  # bytes in the file
    original: U32  # bytes on the wire
    interface: U32
    flags: U32  # epb_flags
    payload: U32  # bytes on the wire behind the TCP, UDP or ICMP header, for others behind IP
    payload_at: U32  # index of the payload's first byte, from `offset`
    sequence: U32
    acknowledgment: U32
    tsval: U32
    tsecr: U32
    identification: U32  # of IP; echo and query identifiers are in the ports
    vlan: U32  # the outer tag's identifier, above 12 bits of a second tag's; 0: no tag, or a priority only
    window: U16  # as in the header, not scaled
    source_port: U16
    destination_port: U16
    tcp_flags: U16
    family: U8  # 4, 6; 0: not IP
    protocol: U8  # of the upper layer
    icmp_type: U8
    icmp_code: U8
    hops: U8  # TTL or hop limit
    kind: U8  # bits of Kind
    side: U8  # side of the session that sent it: 0 client, 1 server
    marks: U8  # bits of Mark
    options: U32  # bytes of the block's options, as scan.FoundPacket has them


PACKET = dtype_of(PacketRow)
