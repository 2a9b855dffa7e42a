/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A matched packet -> a record on its way into this CPU's ring; what the ring refuses is counted by reason.
 *
 * Submitting costs several times more than copying a small packet, so records wait in a batch of this CPU and
 * go into the ring together: when the batch is full, when its oldest record is BATCH_AGE_NS old at the next
 * packet, or when user space runs flush_batch() on this CPU because no packet comes. Large packets go alone.
 * Programs run with softirqs off, so nothing else touches the batch meanwhile.
 */

enum {
    ENOSPC = 28,
    BATCH_BYTES = 16 << 10,
    LARGEST_BATCHED = BATCHING ? 2040 : 0, /* above, the second copy costs more than the call it saves */
    BATCH_AGE_NS = 5000000,
    /* perf_event_header.size is 16 bits. A record above this vanishes while the helper returns 0. */
    LARGEST_SAMPLE = 65528,
    PERF_HEADERS = 12, /* struct perf_event_header, then the size of the raw data */
    LARGEST_CAPTURE = LARGEST_SAMPLE - PERF_HEADERS - sizeof(struct packet_record),
};

struct batch {
    u8 bytes[BATCH_BYTES +
             LARGEST_BATCHED]; /* the excess only lets the verifier see that nothing overflows */
};

BPF_PERCPU_ARRAY(batches, struct batch, 1);
BPF_F_TABLE("array", u32, struct batch_state, batch_states, CPUS, BPF_F_MMAPABLE);

static __always_inline void count_refused(struct batch_state *state, int refused, u64 records) {
    if (refused == -ENOSPC)
        state->lost_ring_full += records;
    else if (refused)
        state->lost_other += records;
}

static __always_inline void flush(struct __sk_buff *skb, struct batch_state *state, struct batch *batch) {
    u64 used = state->used;
    if (used == 0)
        return;
    opaque(used);
    if (used > BATCH_BYTES)
        return;
    int refused = rings.perf_submit(skb, batch->bytes, used);
    count_refused(state, refused, state->records);
    state->used = 0;
    state->records = 0;
}

static __always_inline void append(struct __sk_buff *skb, struct batch_state *state, struct batch *batch,
                                   const struct packet_record *record) {
    u64 used = state->used, captured = record->captured;
    if (used > BATCH_BYTES - sizeof(*record) || captured == 0)
        return;
    opaque(captured);
    if (captured > LARGEST_BATCHED)
        return;
    __builtin_memcpy(batch->bytes + used, record, sizeof(*record));
    if (bpf_skb_load_bytes(skb, 0, batch->bytes + used + sizeof(*record), captured)) {
        state->lost_other++;
        return;
    }
    if (used == 0)
        state->oldest_ns = record->timestamp_ns;
    barrier();
    state->used = used + sizeof(*record) + ((captured + 7) & ~7);
    state->records++;
}

static __always_inline void submit(struct __sk_buff *skb, const struct packet_record *record) {
    u32 zero = 0, cpu = bpf_get_smp_processor_id();
    struct batch_state *state = batch_states.lookup(&cpu);
    struct batch *batch = batches.lookup(&zero);
    if (!state || !batch)
        return;
    bool alone = record->captured > LARGEST_BATCHED;
    u32 size = sizeof(*record) + ((record->captured + 7) & ~7);
    if (alone || state->used + size > BATCH_BYTES || record->timestamp_ns - state->oldest_ns > BATCH_AGE_NS)
        flush(skb, state, batch);
    if (alone) {
        int refused = rings.perf_submit_skb(skb, record->captured, (void *)record, sizeof(*record));
        count_refused(state, refused, 1);
    } else {
        append(skb, state, batch, record);
    }
}

static __always_inline void emit(struct __sk_buff *skb, enum hook hook, enum direction direction,
                                 struct interface_counters *counters) {
    struct direction_counters *account = direction == REVERSE ? &counters->reverse : &counters->forward;
    struct packet_record record = {.interface = program_row() / HOOKS};
    u32 length = skb->len, limit = SNAPLEN < LARGEST_CAPTURE ? SNAPLEN : LARGEST_CAPTURE;

    account->matched++;
    account->matched_bytes += length;

    record.flags = hook == HOOK_FROM_POD ? RECORD_OUTBOUND : RECORD_INBOUND;
    if (direction == REVERSE)
        record.flags |= RECORD_REVERSE;
    record.original = length;
    if (skb->vlan_present) {
        record.flags |= RECORD_VLAN;
        record.vlan_tci = skb->vlan_tci;
        record.vlan_protocol = skb->vlan_proto;
        record.original += VLAN_TAG; /* user space puts the tag back where the wire has it */
        limit -= VLAN_TAG;
    }
    record.captured = length < limit ? length : limit;
    record.timestamp_ns = bpf_ktime_get_ns(); /* read last: what was not kept did not pay for it */
    submit(skb, &record);
}

/* Submit what waits on the CPU it runs on. */
static __always_inline void flush_batch(struct __sk_buff *skb) {
    u32 zero = 0, cpu = bpf_get_smp_processor_id();
    struct batch_state *state = batch_states.lookup(&cpu);
    struct batch *batch = batches.lookup(&zero);
    if (state && batch)
        flush(skb, state, batch);
}
