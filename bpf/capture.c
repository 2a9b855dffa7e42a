/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet at one side of an interface -> a record in this CPU's ring, or a count that says why not.
 *
 * The loader joins this file and its quoted includes into one text, because bcc rewrites map calls only in
 * the main file. filter.h is written by capture/filters for each capture; SNAPLEN, ROWS, CPUS, BATCHING and
 * the switches of matching come from the plan. The programs never change a packet.
 */
#include <linux/types.h>
#include "record.h"
#include "maps.h"
#include "packet.h"
#include "tuple.h"
#include "expression.h"
#include "mirror.h"
#include "filter.h"
#include "sessions.h"
#include "fragments.h"
#include "inner.h"
#include "match.h"
#include "emit.h"

enum {
    NEXT = -1, /* TCX_NEXT and TC_ACT_UNSPEC: the packet goes on to whoever is next */
};

/*
 * Loaded twice for an interface, as from_pod and to_pod, which are sides of it; the row says which. Forward
 * is whoever the rule calls the source.
 */
int packet_passes(struct __sk_buff *skb) {
    u32 row = program_row();
    enum hook hook = row % HOOKS;
    struct interface_counters *counters = counters_of(row);
    if (!counters)
        return NEXT;
    counters->seen++;
    counters->seen_bytes += skb->len;

    enum direction direction = match(skb, hook);
    if (direction == NEITHER) {
        counters->unmatched++;
        return NEXT;
    }
    emit(skb, hook, direction, counters);
    return NEXT;
}

/* Not attached: user space runs it on a CPU whose batch waits too long. */
int flush_waiting(struct __sk_buff *skb) {
    flush_batch(skb);
    return 0;
}
