/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A matched packet -> whether it is kept; what is not is counted under the sampler that refused it first.
 *
 * All samplers must agree. sampling.h is written by capture/sampling for each capture: shares of 2^32,
 * counts, rates, each for a direction. What needs no state is asked first. What opens or ends a conversation,
 * or tells an error about it, is kept without asking (KEEP_CONTROL), and takes nothing from counts and rates.
 */

static __always_inline bool always_kept(const struct packet *packet) {
    return KEEP_CONTROL && packet->control;
}

/* A packet that belongs to no conversation, because it is not IP, is kept by what samples conversations. */
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
