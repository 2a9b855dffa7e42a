/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Bytes of a frame -> addresses, upper-layer protocol, ports, and the fields of the transport header that
 * rules test.
 *
 * Every parser checks that bytes exist before it reads them. A field that rules can test and the packet does
 * not have (a later fragment has no ports) gets a value that equals no valid one.
 */

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_RARP = 0x8035,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_QINQ_OLD = 0x9100,
    ETHERNET_HEADER = 14,
    VLAN_TAGS = 2,
    ARP_MESSAGE = 28, /* for IPv4 over Ethernet (RFC 826) */
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    IPV6_EXTENSIONS = 8, /* most extension headers that are skipped */
    /* https://www.iana.org/assignments/protocol-numbers */
    PROTOCOL_ICMP = 1,
    PROTOCOL_IPIP = 4,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_IPV6 = 41,
    PROTOCOL_GRE = 47,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_SCTP = 132,
    EXTENSION_HOP_BY_HOP = 0,
    EXTENSION_ROUTING = 43,
    EXTENSION_FRAGMENT = 44,
    EXTENSION_AUTHENTICATION = 51,
    EXTENSION_DESTINATION = 60,
    EXTENSION_MOBILITY = 135,
    EXTENSION_HIP = 139,
    EXTENSION_SHIM6 = 140,
    IN_PLACE_MAX = 1 << 15, /* the verifier follows packet pointers up to 64 KiB */
    OFFSET_MASK = (1 << 16) - 1,
    NO_PORT = 1 << 16,
    NO_DETAIL = 1 << 16,
    TCP_FLAGS = 13, /* offset in the TCP header (RFC 9293) */
};

/* Host byte order throughout, so that generated code can compare with plain constants. */
struct endpoint {
    u64 high, low; /* the address: IPv4 is `low`, with `high` 0 */
    u32 port;      /* NO_PORT if the packet has none */
};

struct packet {
    struct endpoint source, destination;
    u32 transport; /* offset of the transport header; the end of the headers if the packet is not IP */
    u32 detail;    /* TCP: the flags; ICMP: type << 8 | code; NO_DETAIL if the packet has neither */
    u32 fragment;  /* identification, if `first` or `later` */
    u8 protocol;   /* upper-layer protocol, behind IPv6 extension headers */
    bool first;    /* the first of several fragments */
    bool later;    /* a fragment without the transport header */
    bool quoted;   /* in an ICMP error */
    bool has_flow; /* it is IP */
    bool control;  /* opens or ends a conversation, or reports an error about it */
    u32 outer;     /* directions in which an ICMP error matched by itself (match.h) */
    u64 flow;      /* hash of the conversation, the same for both directions (flow.h) */
};

/* The beginning of a layer's header; ethertype 0 means that it is an Ethernet header. */
struct layer {
    u32 offset;
    u16 ethertype;
};

/*
 * Point `header` to `size` (a constant) bytes at `offset`: in place if they are linear, else copied to
 * `buffer`; false if the packet ends before. Like the kernel's skb_header_pointer(), but without NULL:
 * before Linux 6.2 the verifier does not connect a NULL with the result of the helper that it is made from.
 *
 * Reading in place costs a tenth of the copy, but doubles the verifier's paths. So headers that are rare or
 * read in a loop are always copied (`in_place` is a constant).
 */
static __always_inline bool find_header(CONTEXT *ctx, bool in_place, u32 offset, u8 *buffer, u32 size,
                                        const u8 **header) {
    *header = buffer;
#if !DROPPED
    if (in_place && offset < IN_PLACE_MAX) {
        const u8 *linear = (const u8 *)(long)ctx->data + offset;
        if (linear + size <= (const u8 *)(long)ctx->data_end) {
            *header = linear;
            return true;
        }
    }
#endif
    return !load_bytes(ctx, offset, buffer, size);
}

/* Fields are read whole: the verifier allows unaligned reads of packets if the machine can do them. */
static __always_inline u16 be16(const u8 *p) {
    return bpf_ntohs(*(const u16 *)p);
}

static __always_inline u32 be32(const u8 *p) {
    return bpf_ntohl(*(const u32 *)p);
}

static __always_inline u64 be64(const u8 *p) {
    return (u64)be32(p) << 32 | be32(p + 4);
}

static __always_inline bool is_vlan(u16 ethertype) {
    return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ || ethertype == ETHERTYPE_QINQ_OLD;
}

/* Move from an Ethernet layer to the network layer in it, behind VLAN tags; false if the packet ends before.
 */
static __always_inline bool parse_ethernet(CONTEXT *ctx, bool in_place, struct layer *layer) {
    u8 buffer[2] __attribute__((aligned(8)));
    u32 at = layer->offset + ETHERNET_HEADER - 2;
    const u8 *type;
    if (!find_header(ctx, in_place, at, buffer, 2, &type))
        return false;
    layer->ethertype = be16(type);
#pragma clang loop unroll(disable)
    for (int tags = 0; tags < VLAN_TAGS && is_vlan(layer->ethertype); tags++) {
        at += VLAN_TAG;
        if (load_bytes(ctx, at, buffer, 2))
            return false;
        layer->ethertype = be16(buffer);
    }
    layer->offset = at + 2;
    return true;
}

static __always_inline bool has_ports(u8 protocol) {
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static __always_inline void no_transport(struct packet *packet) {
    packet->source.port = packet->destination.port = NO_PORT;
    packet->detail = NO_DETAIL;
}

static __always_inline void parse_transport(CONTEXT *ctx, bool in_place, struct packet *packet) {
    u8 buffer[4] __attribute__((aligned(8)));
    const u8 *header;
    if (packet->later)
        return;
    if (has_ports(packet->protocol)) {
        if (!find_header(ctx, in_place, packet->transport, buffer, 4, &header))
            return;
        packet->source.port = be16(header);
        packet->destination.port = be16(header + 2);
        if (TCP_FLAGS_ASKED && packet->protocol == PROTOCOL_TCP &&
            find_header(ctx, in_place, packet->transport + TCP_FLAGS, buffer, 1, &header))
            packet->detail = header[0];
    } else if (packet->protocol == PROTOCOL_ICMP || packet->protocol == PROTOCOL_ICMPV6) {
        if (!load_bytes(ctx, packet->transport, buffer, 2))
            packet->detail = be16(buffer);
    }
}

static __always_inline bool parse_ipv4(CONTEXT *ctx, bool in_place, u32 offset, struct packet *packet) {
    u8 buffer[IPV4_HEADER] __attribute__((aligned(8)));
    const u8 *header;
    if (!find_header(ctx, in_place, offset, buffer, IPV4_HEADER, &header))
        return false;
    u16 fragment = be16(header + 6);
    packet->protocol = header[9];
    packet->source.high = packet->destination.high = 0;
    packet->source.low = be32(header + 12);
    packet->destination.low = be32(header + 16);
    packet->transport = offset + (header[0] & 0xf) * 4;
    packet->later = fragment & 0x1fff;
    packet->first = !packet->later && fragment & 0x2000; /* more fragments */
    packet->fragment = be16(header + 4);
    no_transport(packet);
    parse_transport(ctx, in_place, packet);
    return true;
}

static __always_inline bool is_extension(u8 next) {
    const u64 low = 1ULL << EXTENSION_HOP_BY_HOP | 1ULL << EXTENSION_ROUTING | 1ULL << EXTENSION_FRAGMENT |
                    1ULL << EXTENSION_AUTHENTICATION | 1ULL << EXTENSION_DESTINATION;
    return next < 64 ? low >> next & 1
                     : next == EXTENSION_MOBILITY || next == EXTENSION_HIP || next == EXTENSION_SHIM6;
}

/* Skip extension headers up to the upper layer (RFC 8200, section 4); false if the packet ends before. */
static __always_inline bool skip_extensions(CONTEXT *ctx, struct packet *packet) {
    u8 buffer[8] __attribute__((aligned(8)));
    u32 zero = unknown_zero(ctx), at = packet->transport, fragment = zero, identification = zero;
    u8 next = packet->protocol;
    if (!is_extension(next))
        return true;
    packet->protocol ^= zero; /* the verifier need not know these values where skipping fails */
    packet->transport = (packet->transport ^ zero) & OFFSET_MASK;
#pragma clang loop unroll(disable)
    for (int i = 0; i < IPV6_EXTENSIONS && is_extension(next) && !(fragment & 0xfff8); i++) {
        /* Every round looks like the first to the verifier, so values that were read do not multiply its
         * paths. */
        at = (at ^ zero) & OFFSET_MASK;
        fragment ^= zero;
        next ^= zero;
        if (load_bytes(ctx, at, buffer, 8))
            return false;
        if (next == EXTENSION_FRAGMENT) {
            fragment = be16(buffer + 2);
            identification = be32(buffer + 4);
            at += 8;
        } else if (next == EXTENSION_AUTHENTICATION) {
            at += (buffer[1] + 2) * 4; /* RFC 4302, section 2.2 */
        } else {
            at += (buffer[1] + 1) * 8;
        }
        next = buffer[0];
    }
    packet->protocol = next;
    packet->transport = at;
    packet->fragment = identification;
    packet->later = fragment & 0xfff8;
    packet->first = !packet->later && fragment & 1;
    return true;
}

static __always_inline bool parse_ipv6(CONTEXT *ctx, bool in_place, u32 offset, struct packet *packet) {
    u8 buffer[IPV6_HEADER] __attribute__((aligned(8)));
    const u8 *header;
    if (!find_header(ctx, in_place, offset, buffer, IPV6_HEADER, &header))
        return false;
    packet->protocol = header[6];
    packet->source.high = be64(header + 8);
    packet->source.low = be64(header + 16);
    packet->destination.high = be64(header + 24);
    packet->destination.low = be64(header + 32);
    packet->transport = offset + IPV6_HEADER;
    packet->first = packet->later = false;
    packet->fragment = 0;
    no_transport(packet);
    if (skip_extensions(ctx, packet))
        parse_transport(ctx, in_place, packet);
    return true;
}
