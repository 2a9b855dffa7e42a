/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet at one side of an interface -> a record in a ring, or a count by the reason why not.
 * CHUNK_BYTES puts the memory of a recorder in the place of the rings.
 *
 * The loader joins this file and its quoted includes into one text, because bcc rewrites map calls only in
 * the main file. capture/filters and capture/sampling write filter.h and sampling.h for each capture;
 * SNAPLEN, ROWS, CPUS, BATCHING, RING_BYTES, OVERFLOW_BYTES and the switches come from the plan. The programs
 * never change a packet.
 */
#include <linux/types.h>
#include "lib/verifier.h"
#include "abi.h"
#include "lib/maps.h"
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
#include "lib/pressure.h"
#include "lib/first.h"
#include "lib/rates.h"
#include "lib/sample.h"
#include "lib/headers.h"
#include "lib/block.h"
#if CHUNK_BYTES
#include "lib/remember.h"
#else
#include "lib/overflow.h"
#include "lib/emit.h"
#endif

/*
 * Loaded twice for an interface: as from_pod and as to_pod, which are its two sides; the row tells which. A
 * packet from the rule's source is forward.
 */
int packet_passes(CONTEXT *ctx) {
    u32 row = program_row();
    enum hook hook = row % HOOKS;
    struct interface_counters *counters = counters_of(row);
    if (!counters)
        return NEXT;
    counters->seen++;
    counters->seen_bytes += length_of(ctx);

    struct packet packet = {};
    enum direction direction = match(ctx, hook, &packet);
    if (direction == NEITHER) {
        counters->unmatched++;
        return NEXT;
    }
    struct direction_counters *account = direction == REVERSE ? &counters->reverse : &counters->forward;
    account->matched++;
    account->matched_bytes += length_of(ctx);

    u32 level = pressure_level();
    if (!is_sampled(&packet, row / HOOKS, direction, level, account))
        return NEXT;
    u32 whole = bytes_of(ctx), bytes = without_payload(ctx, &packet, level, whole);
    if (!is_within_rates(&packet, direction, bytes, account))
        return NEXT;
    if (!HEADERS_ONLY && bytes < whole) {
        account->cut++;
        account->cut_bytes += whole - bytes;
    }
    emit(ctx, hook, direction, bytes, account);
    return NEXT;
}

/* Not attached: user space runs it on a CPU whose batch has waited too long. */
int flush_waiting(CONTEXT *ctx) {
    flush_batch(ctx);
    return 0;
}
