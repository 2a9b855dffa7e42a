/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A parsed packet -> the number of bytes of its headers, up to the transport layer: the part that is kept
 * without payload.
 *
 * The layer that matched is the last one that is kept; an ICMP error also keeps the headers of the packet it
 * is about, up to its ports. A packet that is not IP keeps its Ethernet header, an ARP packet also its
 * message.
 */
#if HEADERS_ASKED

enum {
    TCP_HEADER = 20,
    SCTP_HEADER = 12,   /* the common header (RFC 9260, section 3) */
    PORTS_AND_MORE = 8, /* bytes of the transport layer that every ICMP error has (RFC 792) */
};

static __always_inline u32 transport_bytes(CONTEXT *ctx, const struct packet *packet) {
    u8 length;
    if (packet->later)
        return 0; /* all of it is payload */
    if (packet->quoted)
        return PORTS_AND_MORE;
    switch (packet->protocol) {
    case PROTOCOL_TCP:
        if (load_bytes(ctx, packet->transport + TCP_FLAGS - 1, &length, 1))
            return TCP_HEADER;
        return length >> 4 > 5 ? (length >> 4) * 4 : TCP_HEADER;
    case PROTOCOL_UDP:
        return UDP_HEADER;
    case PROTOCOL_SCTP:
        return SCTP_HEADER;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
        return ICMP_HEADER;
    default:
        return 0;
    }
}

/* Return the number of bytes, of `whole`, that are kept at a level of pressure. */
static __always_inline u32 without_payload(CONTEXT *ctx, const struct packet *packet, u32 level, u32 whole) {
    if (!HEADERS_ONLY && (level ^ unknown_zero(ctx)) < PRESSURE_CUTS_FROM)
        return whole;
    u32 headers = packet->transport + (packet->has_flow ? transport_bytes(ctx, packet) : 0);
    return headers && headers < whole ? headers : whole; /* 0: the packet ends within its tags */
}

#else

static __always_inline u32 without_payload(CONTEXT *ctx, const struct packet *packet, u32 level, u32 whole) {
    return whole;
}

#endif
