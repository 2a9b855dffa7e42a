/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The kernel's memory of a packet or a socket -> what match.h reads: a packet's bytes, or a tuple.
 *
 * Nothing here may be taken for granted: offsets come from the kernel's BTF (FIELDS in capture/kernel), every
 * read may fail, and a packet is wherever the layer that dropped it had got to.
 */

/* All fields of an skb that are wanted lie in these bytes from SKB_FIRST on: one read instead of a dozen. */
struct skb_part {
    u8 bytes[SKB_BYTES];
};

#define SKB(part, type, field) (*(type *)((part)->bytes + (SKB_##field - SKB_FIRST)))

/* Inodes of namespaces are above this; any other number is no namespace. */
enum {
    NAMESPACE_LEAST = 0xeffffff8,
    NO_HEADER = 0xffff, /* mac_header before it is set */
};

static __always_inline u64 word_at(u64 address) {
    u64 word = 0;
    bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
    return word;
}

static __always_inline u32 inode_of(u64 net) {
    u32 inode = 0;
    bpf_probe_read_kernel(&inode, sizeof(inode), (void *)(net + NET_INUM));
    return inode >= NAMESPACE_LEAST ? inode : 0;
}

/*
 * Return the namespace of a packet, 0 if nothing says so. The packet's own socket comes last: a frame that
 * crossed a veth may still have the sender's.
 */
static __always_inline u32 namespace_of(struct skb_part *skb, u64 receiver) {
    u32 inode = receiver ? inode_of(word_at(receiver + SOCK_NET)) : 0;
    u64 device = SKB(skb, u64, DEV), route = SKB(skb, u64, REFDST) & ~7ULL, socket = SKB(skb, u64, SK);
    if (!inode && device)
        inode = inode_of(word_at(device + DEVICE_NET));
    if (!inode && route) {
        device = word_at(route + DST_DEV);
        inode = device ? inode_of(word_at(device + DEVICE_NET)) : 0;
    }
    if (!inode && socket)
        inode = inode_of(word_at(socket + SOCK_NET));
    return inode;
}

/* False if the skb is no packet of IP or ARP: sockets of other kinds use skbs, too. */
static __always_inline bool packet_of(struct skb_part *skb, struct dropped *packet) {
    u16 type = bpf_ntohs(SKB(skb, u16, PROTOCOL)), mac = SKB(skb, u16, MAC_HEADER);
    u16 network = SKB(skb, u16, NETWORK_HEADER);
    u64 head = SKB(skb, u64, HEAD), data = SKB(skb, u64, DATA);
    u32 length = SKB(skb, u32, LEN), beyond = SKB(skb, u32, DATA_LEN);
    if (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6 && type != ETHERTYPE_ARP)
        return false;
    packet->ethertype = SKB(skb, u16, PROTOCOL);
    packet->headless = mac == NO_HEADER || mac >= network;
    u64 begin = packet->headless ? (u64)network - LINK_HEADER : mac;
    u64 end = data - head + length - beyond;
    packet->at = head + begin;
    packet->length = end > begin && end - begin < (1 << 16) ? end - begin : 0;
    packet->original = packet->length + beyond;
    return packet->length > LINK_HEADER;
}
