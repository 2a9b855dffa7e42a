"""Numbers of link layers in capture files (LINKTYPE_), and their names."""

NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW = 0, 1, 12, 14, 101
LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = 108, 113, 228, 229, 276
LINK_TYPES = {
    ETHERNET: "Ethernet",
    LINUX_SLL: "Linux cooked v1",
    LINUX_SLL2: "Linux cooked v2",
    RAW: "raw IP",
    RAW_BSD: "raw IP",
    RAW_OPENBSD: "raw IP",
    IPV4: "raw IPv4",
    IPV6: "raw IPv6",
    NULL: "BSD loopback",
    LOOP: "OpenBSD loopback",
}
"""LINKTYPE_ numbers that can be decoded (https://www.tcpdump.org/linktypes.html)."""
