/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The kernel drops a packet, or resets a connection -> a count by reason and place, and a record if the
 * conversation is asked for.
 *
 * Programs at raw tracepoints: kfree_skb, tcp_send_reset, tcp_receive_reset. They cost nothing while nothing
 * is dropped. A flood of one reason at one place is counted, and looked at only LOOKS times in a window, so
 * it hides no other reason.
 *
 * A tracepoint may interrupt another one on its CPU, and tc's programs: nothing here is shared with those,
 * and an event during another one is only counted (`busy`).
 *
 * filter.h is that of the capture, whose maps of conversations and groups the loader puts in the place of
 * those here. Offsets (SKB_..., NET_...) and the numbers of arguments are macros, from the kernel's BTF.
 */
#include <linux/types.h>
#include "lib/verifier.h"
#include "abi.h"
#include "lib/helpers.h"
#include "lib/context.h"
#include "lib/packet.h"
#include "lib/tuple.h"
#include "lib/groups.h"
#include "lib/expression.h"
#include "lib/mirror.h"
#include "filter.h"
#include "sampling.h"
#include "lib/conversations.h"
#include "lib/fragments.h"
#include "lib/inner.h"
#include "lib/flow.h"
#include "lib/match.h"
#include "lib/dropped.h"

enum {
    PLACES = 1024,
    LOOKS = 64,        /* at the events of a place, on each CPU and in each window */
    WINDOW_SHIFT = 24, /* of ns: 16.8 ms */
    IPV4 = 2,          /* AF_INET */
    IPV6 = 10,         /* AF_INET6 */
};

BPF_TABLE("percpu_hash", struct reason_place, struct place_counts, places, PLACES);
BPF_F_TABLE("array", u32, struct reason_state, reason_states, CPUS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct reason_record, reason_records, CPUS *REASON_RECORDS, BPF_F_MMAPABLE);
BPF_PERCPU_ARRAY(skb_parts, struct skb_part, 1);

/* Count an event; NULL if it must not be looked at. */
static __always_inline struct place_counts *count_event(struct reason_place *place, u64 now) {
    struct place_counts zero = {};
    struct place_counts *counts = places.lookup(place);
    if (!counts) {
        places.update(place, &zero);
        counts = places.lookup(place);
        if (!counts)
            return NULL;
    }
    counts->count++;
    if (now >> WINDOW_SHIFT != counts->window) {
        counts->window = now >> WINDOW_SHIFT;
        counts->used = 0;
    }
    if (counts->used >= LOOKS) {
        counts->over++;
        return NULL;
    }
    counts->used++;
    return counts;
}

/* Return the record that is written next; NULL if another event of this CPU is being handled. */
static __always_inline struct reason_record *next_record(struct reason_state *state, u32 cpu) {
    u32 index = cpu * REASON_RECORDS + (state->written & (REASON_RECORDS - 1));
    return reason_records.lookup(&index);
}

static __always_inline void begin_record(struct reason_record *record, struct reason_place *place, u64 now,
                                         u32 direction) {
    record->time_ns = now;
    record->location = place->location;
    record->reason = place->reason;
    record->kind = place->kind;
    record->reverse = direction == REVERSE;
}

static __always_inline void commit(struct reason_state *state, struct place_counts *counts) {
    barrier();
    state->written++;
    counts->recorded++;
}

/*
 * Return the state of this CPU, which is busy until it is left; NULL if it is busy: a program was interrupted
 * by the event.
 */
static __always_inline struct reason_state *enter(u32 cpu, struct place_counts *counts) {
    struct reason_state *state = reason_states.lookup(&cpu);
    if (!state)
        return NULL;
    if (state->busy) {
        counts->busy++;
        return NULL;
    }
    state->busy = 1;
    barrier();
    return state;
}

static __always_inline void leave(struct reason_state *state) {
    barrier();
    state->busy = 0;
}

/* Record a packet if it matches. */
static __always_inline void record_packet(struct reason_place *place, struct place_counts *counts,
                                          u64 address, u64 receiver, u64 now) {
    u32 zero = 0, cpu = bpf_get_smp_processor_id();
    struct skb_part *skb = skb_parts.lookup(&zero);
    struct reason_state *state = skb ? enter(cpu, counts) : NULL;
    if (!skb || !state)
        return;
    struct dropped context = {};
    struct packet packet = {};
    u32 direction = NEITHER;
    if (!bpf_probe_read_kernel(skb->bytes, SKB_BYTES, (void *)(address + SKB_FIRST)) &&
        packet_of(skb, &context))
        direction = match(&context, HOOK_FROM_POD, &packet);
    struct reason_record *record = direction == NEITHER ? NULL : next_record(state, cpu);
    if (record) {
        begin_record(record, place, now, direction);
        u64 size = context.length < REASON_BYTES ? context.length : REASON_BYTES;
        record->netns = namespace_of(skb, receiver);
        record->original = context.original;
        record->headless = context.headless;
        record->ethertype = context.ethertype;
        record->family = 0;
        record->captured = size;
        bpf_probe_read_kernel(record->bytes, within(size, REASON_BYTES), (void *)context.at);
        commit(state, counts);
    } else {
        counts->other++;
    }
    leave(state);
}

/* The tuple of a socket, from its own side. False if it is no socket of TCP over IP. */
static __always_inline bool tuple_of(u64 sk, struct packet *packet, struct reason_record *record) {
    u16 family = 0, own = 0, other = 0;
    bpf_probe_read_kernel(&family, 2, (void *)(sk + SOCK_FAMILY));
    bpf_probe_read_kernel(&own, 2, (void *)(sk + INET_SPORT));
    bpf_probe_read_kernel(&other, 2, (void *)(sk + SOCK_DPORT));
    u64 source = family == IPV6 ? SOCK_V6_SOURCE : SOCK_SOURCE;
    u64 destination = family == IPV6 ? SOCK_V6_DESTINATION : SOCK_DESTINATION;
    u32 size = family == IPV6 ? 16 : 4;
    if (family != IPV4 && family != IPV6)
        return false;
    bpf_probe_read_kernel(record->source, size & 31, (void *)(sk + source));
    bpf_probe_read_kernel(record->destination, size & 31, (void *)(sk + destination));
    record->source_port = packet->source.port = bpf_ntohs(own);
    record->destination_port = packet->destination.port = bpf_ntohs(other);
    record->family = family == IPV6 ? 6 : 4;
    packet->protocol = PROTOCOL_TCP;
    packet->detail = 4; /* RST */
    if (family == IPV6) {
        packet->source.high = be64(record->source);
        packet->source.low = be64(record->source + 8);
        packet->destination.high = be64(record->destination);
        packet->destination.low = be64(record->destination + 8);
    } else {
        packet->source.low = be32(record->source);
        packet->destination.low = be32(record->destination);
    }
    return true;
}

static __always_inline u32 match_socket(struct packet *packet, u8 family) {
#if MATCH_EVERYTHING
    return FORWARD;
#elif EXPRESSION
    return NEITHER; /* an expression reads bytes, and there are none */
#else
    struct dropped none = {.original = 54};
    struct tuple tuple = canonicalise(packet, family);
    u32 source = match_tuple(&none, packet, &tuple);
    return only_wanted(tuple.swapped ? turned(source) : source, HOOK_FROM_POD);
#endif
}

/* Record the tuple of a socket if it matches. */
static __always_inline void record_socket(struct reason_place *place, struct place_counts *counts, u64 sk,
                                          u64 now) {
    u32 cpu = bpf_get_smp_processor_id();
    struct reason_state *state = enter(cpu, counts);
    if (!state)
        return;
    struct packet packet = {};
    struct reason_record *record = next_record(state, cpu);
    u32 direction = record && tuple_of(sk, &packet, record) ? match_socket(&packet, record->family) : NEITHER;
    if (record && direction != NEITHER) {
        begin_record(record, place, now, direction);
        record->netns = inode_of(word_at(sk + SOCK_NET));
        record->original = record->captured = record->headless = record->ethertype = 0;
        commit(state, counts);
    } else {
        counts->other++;
    }
    leave(state);
}

/* skb, location; since Linux 5.17 the reason, since 6.11 the socket that would have received it. */
int packet_dropped(u64 *ctx) {
    u64 now = bpf_ktime_get_ns();
    struct reason_place place = {ctx[1], 0, REASON_DROP};
    u64 receiver = 0;
#if DROP_ARGUMENTS > 2
    place.reason = ctx[2];
#endif
#if DROP_ARGUMENTS > 3
    receiver = ctx[3];
#endif
    if (place.location >= OWN_FIRST && place.location < OWN_LAST)
        return 0; /* the frame of a test run, by which bicap flushes batches */
    struct place_counts *counts = count_event(&place, now);
    if (counts)
        record_packet(&place, counts, ctx[0], receiver, now);
    return 0;
}

/* sk, skb; since Linux 6.10 the reason. Without an skb the reset answers no packet. */
int reset_sent(u64 *ctx) {
    u64 now = bpf_ktime_get_ns();
    struct reason_place place = {0, 0, REASON_RESET_SENT};
#if RESET_ARGUMENTS > 2
    place.reason = ctx[2];
#endif
    struct place_counts *counts = count_event(&place, now);
    if (!counts)
        return 0;
    if (ctx[1])
        record_packet(&place, counts, ctx[1], 0, now);
    else if (ctx[0])
        record_socket(&place, counts, ctx[0], now);
    return 0;
}

/* sk */
int reset_received(u64 *ctx) {
    u64 now = bpf_ktime_get_ns();
    struct reason_place place = {0, 0, REASON_RESET_RECEIVED};
    struct place_counts *counts = count_event(&place, now);
    if (counts)
        record_socket(&place, counts, ctx[0], now);
    return 0;
}
