"""Numbers of link layers in capture files (LINKTYPE_) that can be decoded (https://www.tcpdump.org/linktypes.html)."""

NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, PPP_HDLC, PPP_ETHER, RAW = 0, 1, 9, 12, 14, 50, 51, 101
C_HDLC, LOOP, LINUX_SLL, PPP_WITH_DIR, IPV4, IPV6, NFLOG, LINUX_SLL2 = 104, 108, 113, 204, 228, 229, 239, 276
LINK_TYPES = frozenset({
    *(NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, PPP_HDLC, PPP_ETHER, RAW),
    *(C_HDLC, LOOP, LINUX_SLL, PPP_WITH_DIR, IPV4, IPV6, NFLOG, LINUX_SLL2),
})  # fmt: skip
