/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The start of a packet, as it will be in the file -> the words that a translated tcpdump expression reads.
 *
 * A tag that the NIC or the kernel took out is put back first, as tcpdump does, so that offsets are those of
 * libpcap. Offsets count from the Ethernet header; `length` includes the tag.
 */
#if EXPRESSION

enum {
    HEAD = 128,
    HEAD_END = HEAD - 4, /* a word that begins here or before is whole in the head */
    EXTENSIONS_MIRRORED = 4,
};

struct head {
    u8 bytes[HEAD];
};

BPF_PERCPU_ARRAY(heads, struct head, 1);

/*
 * Copy the head and return it; NULL if that fails. Programs run with softirqs off, so nothing else uses this
 * CPU's head meanwhile.
 */
static __always_inline u8 *load_head(CONTEXT *ctx, u32 *length) {
    u32 zero = 0, tagged = has_tag(ctx), size = length_of(ctx) + (tagged ? VLAN_TAG : 0);
    struct head *head = heads.lookup(&zero);
    if (!head)
        return NULL;
    *length = size;
    if (size > HEAD)
        size = HEAD;
    return copy_packet(ctx, head->bytes, size, HEAD, tagged) ? head->bytes : NULL;
}

/* Read 1, 2 or 4 bytes (a constant) as a number; false if they are beyond the packet. */
static __always_inline bool read(CONTEXT *ctx, const u8 *head, u32 length, u64 offset, u32 size, u32 *value) {
    u8 buffer[8] __attribute__((aligned(8)));
    const u8 *p = buffer;
    if (offset + size > length)
        return false;
    if (!__builtin_constant_p(offset))
        unlinked(offset); /* and the checked register is the one that is used */
    if (offset <= HEAD_END)
        p = head + offset;
    else if (load_bytes(ctx, offset - (has_tag(ctx) ? VLAN_TAG : 0), buffer, size))
        return false;
    *value = size == 1 ? *p : size == 2 ? be16(p) : be32(p);
    return true;
}

#endif
