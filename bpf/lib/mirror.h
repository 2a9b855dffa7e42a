/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The head of a packet -> the head of its mirror, in place: MAC and IP addresses and ports are exchanged, and
 * an ICMP type becomes the type that answers it. Used only if no tcpdump expression tests the mirror.
 *
 * A packet has no mirror if a field to exchange, or a header before it, is cut short, overlaps, or lies
 * beyond the head. The end of the last header does not matter if nothing behind it is exchanged.
 */
#if EXPRESSION

/* Defined in filter.h: the type that answers another. */
static __always_inline u8 icmp_answer(u8 type);
static __always_inline u8 icmpv6_answer(u8 type);

/* Exchange `size` (a constant, a multiple of 2) bytes at `a` and `b`. */
static __always_inline void exchange(u8 *a, u8 *b, u32 size) {
    for (u32 i = 0; i < size; i += 2) {
        u16 kept = *(u16 *)(a + i);
        *(u16 *)(a + i) = *(u16 *)(b + i);
        *(u16 *)(b + i) = kept;
    }
}

/* True if what is at `at` has `size` bytes, of the `length` that there are. */
static __always_inline bool has_bytes(u64 at, u64 size, u64 length) {
    u64 end = at + size;
    unlinked(end);
    return end <= length;
}

static __always_inline bool mirror_transport(u8 *head, u32 length, u64 at, u8 protocol) {
    if (!has_ports(protocol) && protocol != PROTOCOL_ICMP && protocol != PROTOCOL_ICMPV6)
        return true; /* nothing to exchange, wherever it is */
    opaque(at);
    if (at > HEAD_END)
        return false;
    if (has_ports(protocol)) {
        if (!has_bytes(at, 4, length))
            return false;
        exchange(head + at, head + at + 2, 2);
    } else {
        if (!has_bytes(at, 1, length))
            return false;
        head[at] = protocol == PROTOCOL_ICMP ? icmp_answer(head[at]) : icmpv6_answer(head[at]);
    }
    return true;
}

static __always_inline bool mirror_ipv4(u8 *head, u32 length, u64 at) {
    opaque(at);
    if (at > HEAD_END - IPV4_HEADER || !has_bytes(at, IPV4_HEADER, length))
        return false;
    u8 *header = head + at;
    exchange(header + 12, header + 16, 4);
    if (be16(header + 6) & 0x1fff)
        return true;
    u32 header_length = (header[0] & 0xf) * 4;
    return header_length >= IPV4_HEADER && mirror_transport(head, length, at + header_length, header[9]);
}

static __always_inline bool mirror_ipv6(u8 *head, u32 length, u64 at) {
    opaque(at);
    if (at > HEAD_END - IPV6_HEADER || !has_bytes(at, IPV6_HEADER, length))
        return false;
    u8 protocol = head[at + 6];
    exchange(head + at + 8, head + at + 24, 16);
    at += IPV6_HEADER;
    for (int i = 0; i < EXTENSIONS_MIRRORED; i++) {
        if (protocol != EXTENSION_HOP_BY_HOP && protocol != EXTENSION_ROUTING &&
            protocol != EXTENSION_FRAGMENT && protocol != EXTENSION_DESTINATION)
            break;
        opaque(at);
        if (at > HEAD - 8 || !has_bytes(at, 8, length))
            return false;
        u8 *header = head + at;
        if (protocol == EXTENSION_FRAGMENT && be16(header + 2) & 0xfff8)
            return true;
        at += protocol == EXTENSION_FRAGMENT ? 8 : (header[1] + 1) * 8;
        protocol = header[0];
    }
    return mirror_transport(head, length, at, protocol);
}

static __always_inline bool mirror_arp(u8 *head, u32 length, u64 at) {
    opaque(at);
    if (at > HEAD_END - 28 || !has_bytes(at, 28, length))
        return false;
    exchange(head + at + 8, head + at + 18, 10); /* hardware and protocol address of sender and target */
    return true;
}

static __always_inline bool mirror_head(CONTEXT *ctx, u8 *head, u32 length) {
    u64 at = ETHERNET_HEADER;
    if (length < ETHERNET_HEADER)
        return false;
    exchange(head, head + 6, 6);
    u16 ethertype = be16(head + at - 2);
    for (int tags = 0; tags < VLAN_TAGS && is_vlan(ethertype); tags++) {
        at += VLAN_TAG;
        if (at > length)
            return false;
        ethertype = be16(head + at - 2);
    }
    switch (ethertype) {
    case ETHERTYPE_IPV4:
        return mirror_ipv4(head, length, at);
    case ETHERTYPE_IPV6:
        return mirror_ipv6(head, length, at);
    case ETHERTYPE_ARP:
    case ETHERTYPE_RARP:
        return mirror_arp(head, length, at);
    default:
        return true;
    }
}

#endif
