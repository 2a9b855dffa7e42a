/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a CPU's ring has no room for -> the overflow ring, a BPF ring buffer that all CPUs share.
 *
 * So half of the memory is where the traffic is, with nobody who has to notice and nothing to make while
 * packets come (docs/decisions/0028). A record is a run as in a perf sample, behind the ring to which it
 * belongs: each CPU's records are in order, and user space reads them as if they were one more ring of that
 * CPU.
 */
#if OVERFLOW_BYTES

enum {
    PAGE_SIZE = 64 << 10, /* of bcc's macro. The loader gives the map its size */
    NO_WAKEUP = 1,        /* BPF_RB_NO_WAKEUP: the full ring has woken the reader */
};

BPF_RINGBUF_OUTPUT(overflow, 1);

/* Put the run of a batch, with its beginning `bytes` long, into the overflow ring; false if that is full,
 * too. */
static __always_inline bool overflow_with(const struct batch_state *state, struct overflow_run *run,
                                          u64 bytes) {
    run->ring = state->has_ring;
    if (overflow.ringbuf_output(run, bytes, NO_WAKEUP))
        return false;
    count_overflow(bytes);
    return true;
}

/* As below, for packets of at most `most` bytes (a constant), because only constant sizes can be reserved. */
static __always_inline bool overflow_within(CONTEXT *ctx, const struct batch_state *state,
                                            struct packet_block *block, u64 wall_offset_ns, u32 flags,
                                            u64 most) {
    /* The verifier does not know that rounding up does not add to a multiple. */
    u64 bytes = sizeof(struct overflow_run) + AROUND_PACKET + rounded_up(most, 8) + 8;
    struct overflow_run *run = overflow.ringbuf_reserve(bytes);
    if (!run)
        return false;
    run->ring = state->has_ring;
    run->run.wall_offset_ns = wall_offset_ns;
    run->run.reverse[0] = !!(flags & PACKET_REVERSE);
    run->run.bytes = block->total;
    run->run.flags = 0;
    if (!frame(ctx, (u8 *)(run + 1), block, most, flags & PACKET_TAGGED, flags & WAYS)) {
        overflow.ringbuf_discard(run, NO_WAKEUP);
        return false;
    }
    overflow.ringbuf_submit(run, NO_WAKEUP);
    count_overflow(bytes);
    return true;
}

/* Put a packet that would be alone in a perf sample into the overflow ring, with its whole block. */
static __always_inline bool overflow_alone(CONTEXT *ctx, const struct batch_state *state,
                                           struct packet_block *block, u64 wall_offset_ns, u32 flags) {
    if (!BATCHING && block->captured <= 2 << 10)
        return overflow_within(ctx, state, block, wall_offset_ns, flags, 2 << 10);
    if (block->captured <= 4 << 10)
        return overflow_within(ctx, state, block, wall_offset_ns, flags, 4 << 10);
    if (block->captured <= 8 << 10)
        return overflow_within(ctx, state, block, wall_offset_ns, flags, 8 << 10);
    if (block->captured <= 16 << 10)
        return overflow_within(ctx, state, block, wall_offset_ns, flags, 16 << 10);
    if (block->captured <= 32 << 10)
        return overflow_within(ctx, state, block, wall_offset_ns, flags, 32 << 10);
    return overflow_within(ctx, state, block, wall_offset_ns, flags, LARGEST_CAPTURE);
}

#else

static __always_inline bool overflow_with(const struct batch_state *state, struct overflow_run *run,
                                          u64 bytes) {
    return false;
}

static __always_inline bool overflow_alone(CONTEXT *ctx, const struct batch_state *state,
                                           struct packet_block *block, u64 wall_offset_ns, u32 flags) {
    return false;
}

#endif
