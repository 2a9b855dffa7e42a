/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The argument of a program -> a packet's length, bytes and tag, alike for tc, XDP and dropped packets.
 *
 * At tc a packet has an skb, which holds the tag if a NIC or the kernel took it out of the bytes. At XDP
 * there is no skb yet, only the frame as the driver has it. Of a packet that the kernel drops there is an skb
 * that a program may only read as memory; what it was before is made from that (dropped.h).
 */
#if DROPPED

#define CONTEXT struct dropped

enum {
    NEXT = 0,
    LINK_HEADER = 14,
};

struct dropped {
    u64 at;     /* address of the Ethernet header; where there is none, 14 bytes before the network header */
    u64 length; /* bytes that can be read from there */
    u32 original;  /* bytes that the packet has, with its Ethernet header */
    u16 ethertype; /* network byte order */
    u16 headless;  /* 1: the packet has no Ethernet header (yet), and those bytes are not its own */
};

static __always_inline u32 length_of(CONTEXT *ctx) {
    return ctx->original;
}

static __always_inline long load_bytes(CONTEXT *ctx, u32 offset, void *to, u32 size) {
    if (offset + size > ctx->length)
        return -1;
    if (ctx->headless && offset < LINK_HEADER) {
        if (size != 2)
            return -1;
        *(u16 *)to = ctx->ethertype;
        return 0;
    }
    return bpf_probe_read_kernel(to, size, (void *)(ctx->at + offset));
}

#define ANY_FIELD original

#elif XDP

#define CONTEXT struct xdp_md

enum {
    NEXT = 2, /* XDP_PASS */
};

static __always_inline u32 length_of(CONTEXT *ctx) {
    return xdp_length(ctx);
}

static __always_inline long load_bytes(CONTEXT *ctx, u32 offset, void *to, u32 size) {
    return xdp_load_bytes(ctx, offset, to, size);
}

#define ANY_FIELD rx_queue_index

#else

#define CONTEXT struct __sk_buff

enum {
    NEXT = -1, /* TCX_NEXT and TC_ACT_UNSPEC: the packet goes on to the next program */
};

static __always_inline u32 length_of(CONTEXT *ctx) {
    return ctx->len;
}

static __always_inline long load_bytes(CONTEXT *ctx, u32 offset, void *to, u32 size) {
    return bpf_skb_load_bytes(ctx, offset, to, size);
}

#define ANY_FIELD len

#endif

#if DROPPED || XDP

/* The bytes have all tags. */
static __always_inline u32 has_tag(CONTEXT *ctx) {
    return 0;
}

static __always_inline u16 tag_protocol(CONTEXT *ctx) {
    return 0;
}

static __always_inline u16 tag_control(CONTEXT *ctx) {
    return 0;
}

#else

/*
 * True if the skb holds a tag. Read by assembly: if clang computes the address of the field once for two
 * reads, the verifier rejects the program, because it takes the pointer for a modified context.
 */
static __always_inline u32 has_tag(CONTEXT *ctx) {
    u64 present;
    asm volatile("%0 = *(u32 *)(%1 + %2)"
                 : "=r"(present)
                 : "r"(ctx), "i"(__builtin_offsetof(struct __sk_buff, vlan_present)));
    return present;
}

/* Network byte order. */
static __always_inline u16 tag_protocol(CONTEXT *ctx) {
    return ctx->vlan_proto;
}

static __always_inline u16 tag_control(CONTEXT *ctx) {
    return ctx->vlan_tci;
}

#endif

enum {
    MACS = 12, /* the two addresses, before the tag */
    VLAN_TAG = 4,
};

static __always_inline void put_tag(CONTEXT *ctx, u16 *to) {
    to[0] = tag_protocol(ctx);
    to[1] = bpf_htons(tag_control(ctx));
}

/*
 * Copy the first `size` bytes of a packet as the wire has it, at most `most` (a constant); if it is `tagged`,
 * a tag that was taken out is among them. False if the packet cannot be read.
 */
static __always_inline bool copy_packet(CONTEXT *ctx, u8 *to, u64 size, u64 most, u32 tagged) {
    if (!tagged)
        return !load_bytes(ctx, 0, to, within(size, most));
    put_tag(ctx, (u16 *)(to + MACS));
    u64 before = MACS + VLAN_TAG;
    return !load_bytes(ctx, 0, to, MACS) &&
           !load_bytes(ctx, MACS, to + before, within(size - before, most - before));
}

/* Return a zero that the verifier does not know. Paths that differ only in constants then look alike to it.
 */
static __always_inline u32 unknown_zero(CONTEXT *ctx) {
    u32 value = ctx->ANY_FIELD;
    opaque(value);
    return value ^ ctx->ANY_FIELD;
}
