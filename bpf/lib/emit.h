/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A matched packet -> its block of the file, in this CPU's batch or ring; packets that the ring refuses are
 * counted by reason.
 *
 * The block is made here, complete (pcapng 4.3), so that user space has nothing to do for a packet but to
 * count it: it writes the bytes of the ring to the file (docs/decisions/0021).
 *
 * Submitting costs several times more than copying a small packet. So blocks wait in a batch of this CPU and
 * are put into the ring together: when the batch is full, when its oldest packet is BATCH_AGE_NS old at the
 * next packet, or when user space runs flush_batch() on this CPU because no packet comes. Large packets are
 * submitted alone, after the batch. What the ring has no room for goes into the overflow ring. A batch for
 * which neither has room waits, and new packets are lost meanwhile.
 *
 * Programs run with softirqs off, so nothing else uses the batch meanwhile.
 */

enum {
    BATCH_BYTES = 16 << 10,
    BATCH_PACKETS = 8 * sizeof(((struct packet_run *)0)->reverse), /* a bit for each */
    LARGEST_BATCHED = 2040, /* for larger packets the second copy costs more than the call that it saves */
    BATCH_AGE_NS = 5000000,
    RETRY_NS = 50000, /* time between attempts to submit to a full ring */
};

struct batch {
    struct overflow_run head;
    /* The excess proves to the verifier that nothing overflows. */
    u8 blocks[BATCH_BYTES + LARGEST_BATCHED + 64];
};

/* What the kernel puts before a packet that is submitted alone. */
struct alone {
    struct packet_run run;
    struct packet_block block;
};

BPF_PERCPU_ARRAY(batches, struct batch, 1);

/* Bytes that a sample takes in a ring. */
static __always_inline u64 in_ring(u64 bytes) {
    return rounded_up(PERF_HEADERS + bytes, 8);
}

/* Submit the batch; true if it is empty afterwards. If the ring has no room, the batch stays for a later
 * attempt. */
static __always_inline bool flush(CONTEXT *ctx, u32 cpu, struct batch_state *state, struct batch *batch) {
    u64 used = state->used;
    if (used == 0)
        return true;
    struct overflow_run *head = &batch->head;
    head->run.bytes = used;
    u64 blocks = within(used, BATCH_BYTES);
    bool fits = !rings.perf_submit(ctx, &head->run, sizeof(head->run) + blocks);
    if (fits)
        state->submitted += in_ring(sizeof(head->run) + used);
    else if (!overflow_with(state, head, sizeof(*head) + blocks)) {
        state->refused_ns = bpf_ktime_get_ns();
        feel_pressure(state, cpu, true);
        return false;
    }
    state->refused_ns = 0;
    state->used = 0;
    feel_pressure(state, cpu, false);
    return true;
}

/* Add a packet to the batch; false if it cannot be read. */
static __always_inline bool append(CONTEXT *ctx, struct batch_state *state, struct batch *batch,
                                   struct packet_block *block, u64 now, u32 flags) {
    /* Both are below these powers of two; masks tell the verifier so without another path. */
    u64 used = state->used & (BATCH_BYTES - 1), number = state->packets & 255;
    if (used == 0) {
        __builtin_memset(&batch->head.run, 0, sizeof(batch->head.run));
        batch->head.run.wall_offset_ns = state->wall_offset_ns;
        state->oldest_ns = now;
        number = 0;
    }
    stamp(block, now + batch->head.run.wall_offset_ns);
    if (!frame(ctx, batch->blocks + used, block, LARGEST_BATCHED, flags & PACKET_TAGGED, flags & WAYS))
        return false;
    batch->head.run.reverse[number / 64] |= (u64) !!(flags & PACKET_REVERSE) << (number % 64);
    state->packets = number + 1;
    barrier();
    state->used = used + block->total;
    return true;
}

/* Submit a packet alone. Return 0, or the error of the ring. */
static __always_inline int submit_alone(CONTEXT *ctx, u32 cpu, struct batch_state *state,
                                        struct alone *packet, u32 bytes, u64 now, u32 flags) {
    packet->run = (struct packet_run){
        .wall_offset_ns = state->wall_offset_ns,
        .reverse = {!!(flags & PACKET_REVERSE)},
        .bytes = sizeof(packet->block) + bytes,
        .flags = flags | PACKET_ALONE,
    };
    put_tag(ctx, packet->run.tag);
    stamp(&packet->block, now + packet->run.wall_offset_ns);
    int refused = rings.perf_submit_skb(ctx, bytes, packet, BEFORE_ALONE);
    if (!refused)
        state->submitted += in_ring(BEFORE_ALONE + bytes);
    else if (refused == -ENOSPC &&
             overflow_alone(ctx, state, &packet->block, packet->run.wall_offset_ns, flags))
        refused = 0;
    feel_pressure(state, cpu, refused == -ENOSPC);
    return refused;
}

/* Return 0, or the error of the ring. A packet that is submitted alone must not overtake the batch. */
static __always_inline int submit(CONTEXT *ctx, u32 cpu, struct batch_state *state, struct batch *batch,
                                  u32 bytes, u32 flags) {
    u64 now = bpf_ktime_get_ns(); /* read last, so that packets that are not kept cost no reading */
    u32 tag = flags & PACKET_TAGGED ? VLAN_TAG : 0;
    struct alone packet;
    packet.block = (struct packet_block){
        .type = ENHANCED_PACKET,
        .total = AROUND_PACKET + rounded_up(bytes + tag, 4),
        .interface = program_row() / HOOKS,
        .captured = bytes + tag,
        .original = length_of(ctx) + tag,
    };
    bool alone = !BATCHING || packet.block.captured > LARGEST_BATCHED;
    bool full = alone || state->used + packet.block.total > BATCH_BYTES || state->packets >= BATCH_PACKETS;
    if (full || now - state->oldest_ns > BATCH_AGE_NS) {
        bool may_try = now - state->refused_ns > RETRY_NS;
        if (!(may_try && flush(ctx, cpu, state, batch)) && full)
            return -ENOSPC;
    }
    if (alone)
        return submit_alone(ctx, cpu, state, &packet, bytes, now, flags);
    return append(ctx, state, batch, &packet.block, now, flags) ? 0 : -EFAULT;
}

static __always_inline void emit(CONTEXT *ctx, enum hook hook, enum direction direction, u32 bytes,
                                 struct direction_counters *account) {
    u32 zero = 0, cpu = bpf_get_smp_processor_id();
    struct batch_state *state = batch_states.lookup(&cpu);
    struct batch *batch = batches.lookup(&zero);
    if (!state || !batch || !state->has_ring) {
        account->lost_other++;
        return;
    }
    u32 flags = hook == HOOK_FROM_POD ? PACKET_OUTBOUND : PACKET_INBOUND;
    flags |= (direction == REVERSE) * PACKET_REVERSE;
    flags |= !!has_tag(ctx) * PACKET_TAGGED;
    /* The verifier forgets what it knew of these, or it would follow all that comes for each way to here. */
    int refused = submit(ctx, cpu, state, batch, bytes ^ unknown_zero(ctx), flags ^ unknown_zero(ctx));
    if (refused == -ENOSPC)
        account->lost_ring_full++;
    else if (refused)
        account->lost_other++;
}

/* Submit the batch of the CPU on which this runs. */
static __always_inline void flush_batch(CONTEXT *ctx) {
    u32 zero = 0, cpu = bpf_get_smp_processor_id();
    struct batch_state *state = batch_states.lookup(&cpu);
    struct batch *batch = batches.lookup(&zero);
    if (state && batch)
        flush(ctx, cpu, state, batch);
}
