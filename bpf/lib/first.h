/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A conversation and a direction -> true if this is one of its first packets.
 *
 * The table has buckets, each a cache line with the counts of eight conversations. However many conversations
 * there are, a packet touches one line, and a conversation that has had its packets only reads it. If more
 * than eight conversations meet in a bucket, one is replaced and later counted anew; so more of its packets
 * are kept, never fewer.
 */
#if FIRST_ASKED

enum {
    FIRST_BUCKETS = 1 << 18,
    FIRST_WAYS = 8,
};

/* One half of a conversation's hash identifies it, the other chooses its bucket. `who` is 0 in a free place.
 */
struct first_count {
    u32 who;
    u16 kept[2]; /* forward, reverse */
};

struct first_bucket {
    struct first_count counts[FIRST_WAYS];
};

/* Mappable, though nothing maps it, because its values then begin at a page, and a bucket is one cache line.
 */
BPF_F_TABLE("array", u32, struct first_bucket, first_buckets, FIRST_BUCKETS, BPF_F_MMAPABLE);

static __always_inline struct first_count *first_place(struct first_bucket *bucket, u32 who) {
    struct first_count *place = &bucket->counts[who % FIRST_WAYS]; /* replaced if no place is free */
#pragma unroll
    for (int i = FIRST_WAYS - 1; i >= 0; i--) {
        if (bucket->counts[i].who == 0)
            place = &bucket->counts[i];
    }
#pragma unroll
    for (int i = 0; i < FIRST_WAYS; i++) {
        if (bucket->counts[i].who == who)
            return &bucket->counts[i];
    }
    place->who = who;
    place->kept[0] = place->kept[1] = 0;
    return place;
}

/* Counts are per interface, which is the one of `slot`. */
static __always_inline bool is_first(const struct packet *packet, u32 slot, enum direction direction) {
    u32 most = FIRST(direction);
    if (most == 0)
        return true;
    u64 hash = mix(packet->flow, slot + 1);
    u32 index = (u32)hash % FIRST_BUCKETS, who = (hash >> 32) | 1;
    struct first_bucket *bucket = first_buckets.lookup(&index);
    if (!bucket)
        return false;
    u16 *kept = &first_place(bucket, who)->kept[direction == REVERSE];
    if (*kept >= most)
        return false;
    (*kept)++;
    return true;
}

#endif
