/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A parsed packet -> its canonical tuple, which is the same for a packet and for its answer. */

struct tuple {
    struct endpoint low, high; /* in the order of (address, port) */
    bool swapped;              /* the packet goes from high to low */
    u8 family;                 /* 4 or 6 */
    u8 protocol;
};

/*
 * Directions of a packet, as a set: a packet may fit a rule in both. For a packet that is not swapped the
 * values equal those of enum source_side.
 */
enum direction {
    NEITHER = 0,
    FORWARD = LOW_IS_SOURCE, /* from the rule's source to its destination */
    REVERSE = HIGH_IS_SOURCE,
};

static __always_inline bool above(const struct endpoint *a, const struct endpoint *b) {
    if (a->high != b->high)
        return a->high > b->high;
    if (a->low != b->low)
        return a->low > b->low;
    return a->port > b->port;
}

static __always_inline struct tuple canonicalise(const struct packet *packet, u8 family) {
    struct tuple tuple = {.family = family, .protocol = packet->protocol};
    tuple.swapped = above(&packet->source, &packet->destination);
    tuple.low = tuple.swapped ? packet->destination : packet->source;
    tuple.high = tuple.swapped ? packet->source : packet->destination;
    return tuple;
}

/* Return a set of directions with FORWARD and REVERSE exchanged. */
static __always_inline u32 turned(u32 directions) {
    return (directions & FORWARD ? REVERSE : 0) | (directions & REVERSE ? FORWARD : 0);
}

/*
 * The parts of generated rules. Each is a plain branch to clang and to the verifier. Ordinary comparisons
 * would be hoisted by clang until the stack is full, and the verifier would follow every combination of known
 * ports.
 */
#define SAME(value, constant)                                                                                \
    ({                                                                                                       \
        u64 difference = (value) ^ (constant);                                                               \
        opaque(difference);                                                                                  \
        difference == 0;                                                                                     \
    })
#define WITHIN(value, first, last)                                                                           \
    ({                                                                                                       \
        u32 distance = (value) - (first);                                                                    \
        opaque(distance);                                                                                    \
        distance <= (last) - (first);                                                                        \
    })
#define ADD(side)                                                                                            \
    ({                                                                                                       \
        source |= (side);                                                                                    \
        opaque(source);                                                                                      \
    })
