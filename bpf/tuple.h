/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A parsed packet -> its canonical tuple, which is the same for a packet and for the answer to it. */

struct tuple {
    struct endpoint low, high; /* in the order of (address, port) */
    bool swapped;              /* the packet goes from high to low */
    u8 family;
    u8 protocol;
};

enum direction {
    NEITHER = 0,
    FORWARD = 1, /* from the rule's source to its destination */
    REVERSE = 2,
};

/* Which endpoint of a tuple fits the rule's source; of an unswapped packet they are FORWARD and REVERSE. */
enum source_side {
    LOW_IS_SOURCE = FORWARD,
    HIGH_IS_SOURCE = REVERSE,
};

static __always_inline bool above(const struct endpoint *a, const struct endpoint *b) {
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (a->address[i] != b->address[i])
            return a->address[i] > b->address[i];
    return a->port > b->port;
}

static __always_inline struct tuple canonicalise(const struct packet *packet) {
    struct tuple tuple = {.family = packet->family, .protocol = packet->protocol};
    tuple.swapped = above(&packet->source, &packet->destination);
    tuple.low = tuple.swapped ? packet->destination : packet->source;
    tuple.high = tuple.swapped ? packet->source : packet->destination;
    return tuple;
}
