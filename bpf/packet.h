/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Bytes of an Ethernet frame -> addresses, protocol and ports. */

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERNET_HEADER = 14,
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_SCTP = 132,
};

/* Host byte order throughout, so that generated code can compare with plain constants. */
struct endpoint {
    u32 address[4]; /* most significant word first; IPv4 is in the first */
    u32 port;       /* 0 where the protocol has none */
};

struct packet {
    struct endpoint source, destination;
    u8 family; /* 4 or 6 */
    u8 protocol;
};

static __always_inline u16 be16(const u8 *p) {
    return (u16)(p[0] << 8 | p[1]);
}

static __always_inline u32 be32(const u8 *p) {
    return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static __always_inline void parse_ports(struct __sk_buff *skb, u32 offset, struct packet *packet) {
    u8 ports[4];
    if (packet->protocol != PROTOCOL_TCP && packet->protocol != PROTOCOL_UDP &&
        packet->protocol != PROTOCOL_SCTP)
        return;
    if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
        return;
    packet->source.port = be16(ports);
    packet->destination.port = be16(ports + 2);
}

static __always_inline bool parse_ipv4(struct __sk_buff *skb, u32 offset, const u8 *header,
                                       struct packet *packet) {
    u32 fragment_offset = be16(header + 6) & 0x1fff;
    packet->family = 4;
    packet->protocol = header[9];
    packet->source.address[0] = be32(header + 12);
    packet->destination.address[0] = be32(header + 16);
    if (fragment_offset == 0)
        parse_ports(skb, offset + (header[0] & 0xf) * 4, packet);
    return true;
}

static __always_inline bool parse_ipv6(struct __sk_buff *skb, u32 offset, struct packet *packet) {
    u8 header[IPV6_HEADER];
    if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
        return false;
    packet->family = 6;
    packet->protocol = header[6];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        packet->source.address[i] = be32(header + 8 + 4 * i);
        packet->destination.address[i] = be32(header + 24 + 4 * i);
    }
    parse_ports(skb, offset + IPV6_HEADER, packet);
    return true;
}

/* False: not an IP packet, or too short to be one. `packet` must be zero before. */
static __always_inline bool parse(struct __sk_buff *skb, struct packet *packet) {
    u8 start[ETHERNET_HEADER + IPV4_HEADER]; /* one read brings the EtherType and a whole IPv4 header */
    if (bpf_skb_load_bytes(skb, 0, start, sizeof(start)))
        return false;
    switch (be16(start + 12)) {
    case ETHERTYPE_IPV4:
        return parse_ipv4(skb, ETHERNET_HEADER, start + ETHERNET_HEADER, packet);
    case ETHERTYPE_IPV6:
        return parse_ipv6(skb, ETHERNET_HEADER, packet);
    default:
        return false;
    }
}
