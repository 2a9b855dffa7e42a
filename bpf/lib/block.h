/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The parts of an Enhanced Packet Block, and how much of a packet is kept: alike for rings (emit.h) and for
 * the memory of a recorder (remember.h).
 */

enum {
    EFAULT = 14,
    ENOSPC = 28,
    ENHANCED_PACKET = 6,
    EPB_FLAGS = 4 << 16 | 2, /* the option's length and code */
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
