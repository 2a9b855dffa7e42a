/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A matched packet -> a record in this CPU's batch or ring; packets that the ring refuses are counted by
 * reason.
 *
 * Submitting costs several times more than copying a small packet. So records wait in a batch of this CPU and
 * are put into the ring together: when the batch is full, when its oldest record is BATCH_AGE_NS old at the
 * next packet, or when user space runs flush_batch() on this CPU because no packet comes. Large packets are
 * submitted alone, after the batch. A batch for which the ring has no room waits, and new packets are lost
 * meanwhile.
 *
 * Programs run with softirqs off, so nothing else uses the batch meanwhile.
 */

enum {
    EFAULT = 14,
    ENOSPC = 28,
    BATCH_BYTES = 16 << 10,
    LARGEST_BATCHED = 2040, /* for larger packets the second copy costs more than the call that it saves */
    BATCH_AGE_NS = 5000000,
    RETRY_NS = 50000, /* time between attempts to submit to a full ring */
    /* perf_event_header.size is 16 bits. A record above this vanishes while the helper returns 0. */
    LARGEST_SAMPLE = 65528,
    PERF_HEADERS = 12, /* struct perf_event_header, then the size of the raw data */
    LARGEST_CAPTURE = LARGEST_SAMPLE - PERF_HEADERS - sizeof(struct packet_record),
};

struct batch {
    u8 bytes[BATCH_BYTES +
             LARGEST_BATCHED]; /* the excess only proves to the verifier that nothing overflows */
};

BPF_PERCPU_ARRAY(batches, struct batch, 1);

/* Records in a batch and samples in a ring begin at multiples of 8. */
static __always_inline u64 padded(u64 bytes) {
    return (bytes + 7) & ~7ULL;
}

/* Submit the batch; true if it is empty afterwards. If the ring has no room, the batch stays for a later
 * attempt. */
static __always_inline bool flush(CONTEXT *ctx, u32 cpu, struct batch_state *state, struct batch *batch) {
    u64 used = state->used;
    if (used == 0)
        return true;
    if (rings.perf_submit(ctx, batch->bytes, within(used, BATCH_BYTES))) {
        state->refused_ns = bpf_ktime_get_ns();
        feel_pressure(state, cpu, true);
        return false;
    }
    state->submitted += padded(PERF_HEADERS + used);
    state->refused_ns = 0;
    state->used = 0;
    feel_pressure(state, cpu, false);
    return true;
}

/* Add a record and its packet to the batch; false if the packet cannot be read. */
static __always_inline bool append(CONTEXT *ctx, struct batch_state *state, struct batch *batch,
                                   const struct packet_record *record) {
    u64 used = state->used, captured = record->captured;
    if (used > BATCH_BYTES - sizeof(*record))
        return false;
    u8 *to = __builtin_assume_aligned(batch->bytes + used, 8); /* else it is copied byte by byte */
    __builtin_memcpy(to, record, sizeof(*record));
    if (load_bytes(ctx, 0, to + sizeof(*record), within(captured, LARGEST_BATCHED)))
        return false;
    if (used == 0)
        state->oldest_ns = record->timestamp_ns;
    barrier();
    state->used = used + sizeof(*record) + padded(captured);
    return true;
}

/* Return 0, or the error of the ring. A packet that is submitted alone must not overtake the batch. */
static __always_inline int submit(CONTEXT *ctx, u32 cpu, struct batch_state *state, struct batch *batch,
                                  const struct packet_record *record) {
    bool alone = !BATCHING || record->captured > LARGEST_BATCHED;
    u32 size = sizeof(*record) + padded(record->captured);
    bool full = alone || state->used + size > BATCH_BYTES;
    if (full || record->timestamp_ns - state->oldest_ns > BATCH_AGE_NS) {
        bool may_try = record->timestamp_ns - state->refused_ns > RETRY_NS;
        if (!(may_try && flush(ctx, cpu, state, batch)) && full)
            return -ENOSPC;
    }
    if (!alone)
        return append(ctx, state, batch, record) ? 0 : -EFAULT;
    int refused = rings.perf_submit_skb(ctx, record->captured, (void *)record, sizeof(*record));
    if (!refused)
        state->submitted += padded(PERF_HEADERS + sizeof(*record) + record->captured);
    feel_pressure(state, cpu, refused == -ENOSPC);
    return refused;
}

/* Return the number of bytes of a packet that a record takes: all, up to the snaplen. */
static __always_inline u32 bytes_of(CONTEXT *ctx) {
    u32 length = length_of(ctx), limit = SNAPLEN < LARGEST_CAPTURE ? SNAPLEN : LARGEST_CAPTURE;
    if (has_tag(ctx))
        limit -= VLAN_TAG; /* user space puts the tag back where the wire has it */
    return length < limit ? length : limit;
}

static __always_inline void emit(CONTEXT *ctx, enum hook hook, enum direction direction, u32 bytes,
                                 struct direction_counters *account) {
    u32 flags =
        (hook == HOOK_FROM_POD ? RECORD_OUTBOUND : RECORD_INBOUND) | (direction == REVERSE) * RECORD_REVERSE;
    u32 tagged = has_tag(ctx);
    struct packet_record record = {
        .timestamp_ns = bpf_ktime_get_ns(), /* read last, so that packets that are not kept cost no reading */
        .captured = bytes,
        .original = length_of(ctx) + tagged * VLAN_TAG,
        .interface = program_row() / HOOKS,
        .flags = flags | tagged * RECORD_VLAN,
        .vlan_tci = tag_control(ctx),
        .vlan_protocol = tag_protocol(ctx),
    };
    u32 zero = 0, cpu = bpf_get_smp_processor_id();
    struct batch_state *state = batch_states.lookup(&cpu);
    struct batch *batch = batches.lookup(&zero);
    if (!state || !batch || !state->has_ring) {
        account->lost_other++;
        return;
    }
    int refused = submit(ctx, cpu, state, batch, &record);
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
