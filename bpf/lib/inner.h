/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet that contains another -> the layer at which the other begins: the packet that an ICMP error is
 * about, or with --inner the content of a tunnel.
 */

enum {
    UDP_HEADER = 8,
    PORT_GENEVE = 6081, /* RFC 8926 */
    PORT_VXLAN = 4789,  /* RFC 7348 */
    PORT_VXLAN_LINUX = 8472,
    VXLAN_HEADER = 8,
    VXLAN_VNI_VALID = 0x08,
    GENEVE_HEADER = 8,
    GRE_HEADER = 4, /* RFC 2784, RFC 2890 */
    GRE_CHECKSUM = 0x80,
    GRE_KEY = 0x20,
    GRE_SEQUENCE = 0x10,
    ETHERTYPE_TEB = 0x6558, /* transparent Ethernet bridging */
    ICMP_HEADER = 8,
};

/* The kind of the packet that another contains. */
enum below {
    NOTHING_BELOW,
    ERROR_BELOW, /* the contained packet went in the other direction */
    TUNNEL_BELOW,
};

/* RFC 792 and RFC 1122, section 3.2.2: unreachable, source quench, redirect, time exceeded, parameter
 * problem. */
static __always_inline bool is_icmp_error(u8 family, const struct packet *packet) {
    u32 type = packet->detail >> 8;
    if (packet->detail == NO_DETAIL)
        return false;
    if (family == 4)
        return packet->protocol == PROTOCOL_ICMP &&
               (type == 3 || type == 4 || type == 5 || type == 11 || type == 12);
    return packet->protocol == PROTOCOL_ICMPV6 && type >= 1 && type <= 4; /* RFC 4443, section 2.1 */
}

static __always_inline bool gre(CONTEXT *ctx, u32 at, struct layer *layer) {
    u8 header[GRE_HEADER] __attribute__((aligned(8)));
    if (load_bytes(ctx, at, header, GRE_HEADER) || header[1] & 7) /* version 1 is PPTP's */
        return false;
    u16 type = be16(header + 2);
    layer->ethertype = type == ETHERTYPE_TEB ? 0 : type;
    layer->offset = at + GRE_HEADER + (header[0] & GRE_CHECKSUM ? 4 : 0) + (header[0] & GRE_KEY ? 4 : 0) +
                    (header[0] & GRE_SEQUENCE ? 4 : 0);
    return true;
}

static __always_inline bool udp_tunnel(CONTEXT *ctx, u32 port, u32 at, struct layer *layer) {
    u8 header[8] __attribute__((aligned(8)));
    if (port != PORT_VXLAN && port != PORT_VXLAN_LINUX && port != PORT_GENEVE)
        return false;
    if (load_bytes(ctx, at, header, 8))
        return false;
    if (port != PORT_GENEVE) {
        layer->ethertype = 0;
        layer->offset = at + VXLAN_HEADER;
        return header[0] & VXLAN_VNI_VALID;
    }
    u16 type = be16(header + 2);
    layer->ethertype = type == ETHERTYPE_TEB ? 0 : type;
    layer->offset = at + GENEVE_HEADER + (header[0] & 0x3f) * 4;
    return header[0] >> 6 == 0; /* version */
}

static __always_inline enum below find_below(CONTEXT *ctx, const struct packet *packet, struct layer *layer) {
    u8 family = layer->ethertype == ETHERTYPE_IPV4 ? 4 : 6;
    if (packet->later)
        return NOTHING_BELOW;
    if (ERRORS_ASKED && is_icmp_error(family, packet)) {
        layer->offset = packet->transport + ICMP_HEADER;
        return ERROR_BELOW;
    }
    if (!INNER_ASKED)
        return NOTHING_BELOW;
    switch (packet->protocol) {
    case PROTOCOL_IPIP:
    case PROTOCOL_IPV6:
        layer->ethertype = packet->protocol == PROTOCOL_IPIP ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
        layer->offset = packet->transport;
        return TUNNEL_BELOW;
    case PROTOCOL_GRE:
        return gre(ctx, packet->transport, layer) ? TUNNEL_BELOW : NOTHING_BELOW;
    case PROTOCOL_UDP:
        return udp_tunnel(ctx, packet->destination.port, packet->transport + UDP_HEADER, layer)
                   ? TUNNEL_BELOW
                   : NOTHING_BELOW;
    default:
        return NOTHING_BELOW;
    }
}
