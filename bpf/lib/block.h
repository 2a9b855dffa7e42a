/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The parts of an Enhanced Packet Block, and how much of a packet is kept: alike for rings (emit.h) and for
 * the memory of a recorder (remember.h).
 */

enum {
    EFAULT = 14,
    ENOSPC = 28,
    ENHANCED_PACKET = 6,
    WAYS = PACKET_INBOUND | PACKET_OUTBOUND, /* of a packet: bits 0-1 of epb_flags */
    EPB_FLAGS = 4 << 16 | 2,                 /* the option's length and code */
    AROUND_PACKET = sizeof(struct packet_block) + sizeof(struct packet_block_end),
    /* perf_event_header.size is 16 bits. A sample above this vanishes while the helper returns 0. */
    LARGEST_SAMPLE = 65528,
    PERF_HEADERS = 12, /* struct perf_event_header, then the size of the raw data */
    BEFORE_ALONE = sizeof(struct packet_run) + sizeof(struct packet_block),
    LARGEST_CAPTURE = LARGEST_SAMPLE - PERF_HEADERS - BEFORE_ALONE,
};

static __always_inline u64 rounded_up(u64 bytes, u64 to) {
    return (bytes + to - 1) & ~(to - 1);
}

static __always_inline void stamp(struct packet_block *block, u64 wall_ns) {
    block->time_high = wall_ns >> 32;
    block->time_low = wall_ns;
}

/* Return the number of bytes of a packet that are captured: all, up to the snaplen. */
static __always_inline u32 bytes_of(CONTEXT *ctx) {
    u32 length = length_of(ctx), limit = SNAPLEN < LARGEST_CAPTURE ? SNAPLEN : LARGEST_CAPTURE;
    if (has_tag(ctx))
        limit -= VLAN_TAG; /* the tag is put back where the wire has it */
    return length < limit ? length : limit;
}

/*
 * Make a packet's block at `to`, which is aligned to 4: `block` is its beginning, the packet has at most
 * `most` bytes (a constant), `ways` is its epb_flags. False if the packet cannot be read.
 */
static __always_inline bool frame(CONTEXT *ctx, u8 *to, const struct packet_block *block, u64 most,
                                  u32 tagged, u32 ways) {
    u64 captured = within(block->captured, most);
    u8 *packet = to + sizeof(*block);
    *(u32 *)(packet + (captured & ~3ULL)) = 0; /* zeros behind the packet */
    if (!copy_packet(ctx, packet, captured, most, tagged))
        return false;
    struct packet_block_end end = {EPB_FLAGS, ways, 0, block->total};
    /* Told the alignment, because clang copies byte by byte what it does not know to be aligned. */
    __builtin_memcpy(__builtin_assume_aligned(to, 4), block, sizeof(*block));
    __builtin_memcpy(__builtin_assume_aligned(packet + rounded_up(captured, 4), 4), &end, sizeof(end));
    return true;
}
