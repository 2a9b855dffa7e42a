/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A matched packet -> its block in this CPU's part of a recorder's memory, in the place of the oldest ones.
 *
 * The theory
 *     Each CPU has chunks of its own, fills them one after the other, and begins with the first again after
 *     the last. Nobody has to read them. Whoever reads them does so while they are written: a chunk only
 *     grows, `used` is written after the block, and the number in its head changes before anything in it is
 *     overwritten. So what a reader copied is whole if the chunk was not the next to be overwritten before
 *     and after (capture/stream/compiled/chunks.py).
 *
 * What differs from a capture's rings
 *     Times are CLOCK_MONOTONIC, because nobody knows yet when the file is written; and epb_flags has
 *     PACKET_REVERSE, too, which the reader takes out. Every packet is copied into the chunk, whatever its
 *     size: the excess behind CHUNK_BYTES holds the last one.
 *
 * Programs run with softirqs off, so nothing else uses the chunks of this CPU meanwhile.
 */

enum {
    LARGEST_KEPT = SNAPLEN < LARGEST_CAPTURE ? SNAPLEN : LARGEST_CAPTURE,
    CHUNK_EXCESS = (AROUND_PACKET + LARGEST_KEPT + 64) & ~7,
};

#define LATER (~0ULL >> 1) /* than any packet */

struct chunk {
    struct chunk_head head;
    u8 blocks[CHUNK_BYTES + CHUNK_EXCESS];
};

/* User space makes this map anew, with the chunks of all CPUs that it has. */
BPF_F_TABLE("array", u32, struct chunk, chunks, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct recorder_state, recorder_states, CPUS, BPF_F_MMAPABLE);

/* Return the chunk after the present one, empty; NULL if there is none. */
static __always_inline struct chunk *next_chunk(struct recorder_state *state) {
    u32 index = state->index + 1;
    if (index >= state->first + state->chunks)
        index = state->first;
    struct chunk *chunk = chunks.lookup(&index);
    if (!chunk)
        return NULL;
    chunk->head.number = state->number + 1;
    barrier();
    chunk->head.used = 0;
    chunk->head.first_ns = LATER;
    chunk->head.packets = state->packets;
    barrier();
    state->index = index;
    state->number++;
    return chunk;
}

/* Return the chunk that has room for a packet; NULL if this CPU has no memory. */
static __always_inline struct chunk *chunk_with_room(struct recorder_state *state) {
    u32 index = state->index;
    struct chunk *chunk = state->chunks ? chunks.lookup(&index) : NULL;
    if (chunk && chunk->head.used >= CHUNK_BYTES)
        return next_chunk(state);
    return chunk;
}

/* Add the block of a packet to a chunk; false if the packet cannot be read. */
static __always_inline bool remember(CONTEXT *ctx, struct chunk *chunk, u32 bytes, u32 flags) {
    u64 now = bpf_ktime_get_ns(); /* read last, so that packets that are not kept cost no reading */
    u32 tag = flags & PACKET_TAGGED ? VLAN_TAG : 0;
    struct packet_block block = {
        .type = ENHANCED_PACKET,
        .total = AROUND_PACKET + rounded_up(bytes + tag, 4),
        .interface = program_row() / HOOKS,
        .captured = bytes + tag,
        .original = length_of(ctx) + tag,
    };
    stamp(&block, now);
    u64 used = chunk->head.used & (CHUNK_BYTES - 1); /* it is below; the mask tells the verifier so */
    if (used == 0)
        chunk->head.first_ns = now;
    u32 kept = flags & (WAYS | PACKET_REVERSE);
    if (!frame(ctx, chunk->blocks + used, &block, LARGEST_KEPT, flags & PACKET_TAGGED, kept))
        return false;
    barrier();
    chunk->head.used = used + block.total;
    return true;
}

static __always_inline void emit(CONTEXT *ctx, enum hook hook, enum direction direction, u32 bytes,
                                 struct direction_counters *account) {
    u32 cpu = bpf_get_smp_processor_id();
    struct recorder_state *state = recorder_states.lookup(&cpu);
    struct chunk *chunk = state ? chunk_with_room(state) : NULL;
    if (!state || !chunk) {
        account->lost_other++;
        return;
    }
    u32 flags = hook == HOOK_FROM_POD ? PACKET_OUTBOUND : PACKET_INBOUND;
    flags |= (direction == REVERSE) * PACKET_REVERSE;
    flags |= !!has_tag(ctx) * PACKET_TAGGED;
    /* The verifier forgets what it knew of these, or it would follow all that comes for each way to here. */
    if (remember(ctx, chunk, bytes ^ unknown_zero(ctx), flags ^ unknown_zero(ctx)))
        state->packets++;
    else
        account->lost_other++;
}

/* A recorder has no batches. */
static __always_inline void flush_batch(CONTEXT *ctx) {
}
