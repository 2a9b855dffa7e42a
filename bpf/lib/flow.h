/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A canonical tuple -> a hash that is the same for both directions of a conversation, on every interface and
 * on every node with the same seed.
 *
 * The multiplication spreads a word into the high bits, the shift brings those back into the low ones.
 * Samplers use the high half.
 */

static __always_inline u64 mix(u64 hash, u64 word) {
    hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
    return hash ^ hash >> 32;
}

static __always_inline u64 flow_of(const struct tuple *tuple) {
    u64 ports = (tuple->low.port & 0xffff) << 16 | (tuple->high.port & 0xffff);
    u64 hash = FLOW_SEED;
    if (tuple->family == 6)
        hash = mix(mix(hash, tuple->low.high), tuple->high.high);
    hash = mix(mix(hash, tuple->low.low), tuple->high.low);
    return mix(hash, ports << 8 | tuple->protocol);
}
