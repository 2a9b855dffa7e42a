"""The table of decoded packets: its dtype, with units.

Numbers are in host byte order. Times are nanoseconds since 1970 (int64), durations nanoseconds, sizes bytes on the
wire. An address is two int64, the upper and the lower eight bytes of its number; IPv4 is in the lower.
"""

from enum import IntFlag

import numpy as np


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


PACKET = np.dtype(
    [
        ("time_ns", "i8"),
        ("number", "i8"),  # the first packet of a file is 1
        ("session", "i8"),  # 0: not IP, or not tracked
        ("offset", "i8"),  # of its first byte in the bytes of the batch
        ("source_high", "i8"),
        ("source_low", "i8"),
        ("destination_high", "i8"),
        ("destination_low", "i8"),
        ("captured", "u4"),
        ("original", "u4"),
        ("interface", "u4"),
        ("flags", "u4"),  # epb_flags
        ("payload", "u4"),  # bytes behind the TCP, UDP or ICMP header on the wire; behind IP for others
        ("payload_at", "u4"),  # where they begin, from `offset`
        ("sequence", "u4"),
        ("acknowledgment", "u4"),
        ("tsval", "u4"),
        ("tsecr", "u4"),
        ("identification", "u4"),  # of IP; echo and query identifiers are in the ports
        ("window", "u2"),  # as it stands in the header
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("tcp_flags", "u2"),
        ("family", "u1"),  # 4, 6; 0: no IP
        ("protocol", "u1"),  # the upper layer's
        ("icmp_type", "u1"),
        ("icmp_code", "u1"),
        ("hops", "u1"),  # TTL or hop limit
        ("kind", "u1"),
        ("side", "u1"),  # who of the session sent it: 0 client, 1 server
    ],
    align=True,
)
