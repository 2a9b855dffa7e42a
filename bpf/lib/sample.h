/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A matched packet -> true if it is kept; a packet that is not is counted under the first sampler that
 * refused it.
 *
 * The rule
 *     A packet is kept if all samplers keep it. sampling.h, written by capture/sampling for each capture,
 *     has their shares of 2^32, counts and rates, each for a direction.
 *
 * The invariant
 *     Each packet that is left out is counted once, so matched = kept + the sum of all sampled_by
 *     counters. Both directions of a conversation have the same flow, so a share of conversations keeps
 *     both or neither, on every interface and node with the same seed. A smaller share is contained in a
 *     larger one, so pressure only removes conversations, and the same ones everywhere.
 *
 * The order
 *     Samplers without state come first: they cost least, and a packet that they refuse takes nothing
 *     from the counts and rates behind them. Rates come last, because they need the number of bytes that
 *     are kept. A packet that opens or ends a conversation, or reports an error about one, is kept
 *     regardless (KEEP_CONTROL), and takes nothing from counts and rates.
 */

static __always_inline bool always_kept(const struct packet *packet) {
    return KEEP_CONTROL && packet->control;
}

/* A packet that is not IP belongs to no conversation, and is kept by samplers of conversations. */
static __always_inline bool in_share(const struct packet *packet, u64 share) {
    return !packet->has_flow || packet->flow >> 32 < share;
}

static __always_inline bool is_sampled(const struct packet *packet, u32 slot, enum direction direction,
                                       u32 level, struct direction_counters *account) {
    if (always_kept(packet))
        return true;
    if (!in_share(packet, FLOW_SHARE)) {
        account->sampled_by_flow++;
        return false;
    }
#if PRESSURE_LEVELS
    if (!in_share(packet, FLOW_SHARE >> pressure_shift(level))) {
        account->sampled_by_pressure++;
        return false;
    }
#endif
#if PACKET_SAMPLED
    if (bpf_get_prandom_u32() >= PACKET_SHARE(direction)) {
        account->sampled_by_packet++;
        return false;
    }
#endif
#if FIRST_ASKED
    if (packet->has_flow && !is_first(packet, slot, direction)) {
        account->sampled_by_first++;
        return false;
    }
#endif
    return true;
}

static __always_inline bool is_within_rates(const struct packet *packet, enum direction direction, u32 bytes,
                                            struct direction_counters *account) {
#if RATES
    if (!always_kept(packet) && !TAKES(direction, bytes)) {
        account->sampled_by_rate++;
        return false;
    }
#endif
    return true;
}
