/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet -> its direction in a conversation that matches, or NEITHER; and the hash of the conversation, if
 * samplers need it.
 *
 * The problem
 *     A packet is a stack of layers: Ethernet, IP, and in an ICMP error or a tunnel another packet. A
 *     rule has a source and a destination, and must find both directions. Programs must be small enough
 *     for the verifier, which follows every path.
 *
 * The invariant
 *     Each layer is matched by its canonical tuple, which is the same for a packet and its answer.
 *     match_rules() returns for a tuple if its low endpoint, its high one, or either can be the source of
 *     a rule; with the order in which the packet has them this gives the direction. Layers are tried from
 *     the outside, and the first that matches decides. The direction of a layer below an ICMP error is
 *     exchanged, because the error answers that packet.
 *
 * Why the verifier accepts it
 *     Before each further layer, and at the end, values that depend on the path are mixed with a zero
 *     that the verifier does not know. So paths look alike to it, and it follows what comes next only
 *     once.
 *
 * filter.h defines what matches: MATCH_EVERYTHING, or an EXPRESSION (expression.h), or rules. PARSED means
 * that the layers of each matched packet are parsed, SHARED that they are parsed on interfaces that pods
 * share with their node.
 */

#define RULES (!MATCH_EVERYTHING && !EXPRESSION)
#define LAYERS (PARSED || SHARED)

/* An ICMP error that matches a rule by itself is nevertheless sampled with the conversation it is about. */
#define ERROR_FLOWS (RULES && SAMPLED && !KEEP_CONTROL && ERRORS_ASKED)

enum {
    LAYERS_BELOW = ERRORS_ASKED + INNER_ASKED, /* for both: a tunnel, and an error in it */
};

static __always_inline enum direction only_wanted(u32 directions, enum hook hook) {
    directions &= WANTED;
    /* If the rule fits in both directions, packets that leave the pod are forward. */
    if (directions == (FORWARD | REVERSE))
        return hook == HOOK_FROM_POD ? FORWARD : REVERSE;
    return directions;
}

#if LAYERS

/* RFC 9293, section 3.1 */
enum {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
};

static __always_inline bool is_control(u8 family, const struct packet *packet) {
    if (packet->protocol == PROTOCOL_TCP)
        return packet->detail != NO_DETAIL && packet->detail & (TCP_FIN | TCP_SYN | TCP_RST);
    return is_icmp_error(family, packet);
}

/* Return the enum source_side of a layer that matches, else 0. */
static __always_inline u32 match_tuple(CONTEXT *ctx, const struct packet *packet, const struct tuple *tuple) {
    if (!is_ours(tuple))
        return 0;
#if RULES
    return match_rules(ctx, tuple, packet->detail) | match_conversations(tuple);
#else
    /* Every conversation matches, but an error belongs to the one it is about. */
    return is_icmp_error(tuple->family, packet) ? 0 : LOW_IS_SOURCE;
#endif
}

static __always_inline u32 match_parsed(CONTEXT *ctx, struct packet *packet, u8 family) {
    struct tuple tuple = canonicalise(packet, family);
    u32 source = match_tuple(ctx, packet, &tuple);
    packet->has_flow = true;
    if (SAMPLED) {
        packet->flow = flow_of(&tuple);
        packet->control |= is_control(family, packet);
    }
    u32 directions = match_fragment(packet, family, tuple.swapped ? turned(source) : source);
#if ERROR_FLOWS
    if (!packet->quoted && is_icmp_error(family, packet)) {
        packet->outer = directions;
        return 0;
    }
#endif
    return directions;
}

/*
 * Parse and match one layer. Returns the directions. There is a copy of the code for each family, so that
 * IPv4 pays nothing for long addresses.
 */
static __always_inline u32 match_layer(CONTEXT *ctx, bool in_place, struct layer *layer,
                                       struct packet *packet) {
    packet->later = true; /* a packet that is not IP contains no other */
    if (layer->ethertype == 0 && !parse_ethernet(ctx, in_place, layer))
        return 0;
    packet->transport = layer->offset + (layer->ethertype == ETHERTYPE_ARP ? ARP_MESSAGE : 0);
    if (layer->ethertype == ETHERTYPE_IPV4)
        return parse_ipv4(ctx, in_place, layer->offset, packet) ? match_parsed(ctx, packet, 4) : 0;
    if (layer->ethertype == ETHERTYPE_IPV6)
        return parse_ipv6(ctx, in_place, layer->offset, packet) ? match_parsed(ctx, packet, 6) : 0;
    return 0;
}

/* Make all packets look alike to the verifier, so that it follows the rest of the program once. */
static __always_inline u32 join_paths(CONTEXT *ctx, struct packet *packet, u32 directions) {
#if SAMPLED || HEADERS_ASKED
    u32 zero = unknown_zero(ctx);
    packet->transport = (packet->transport ^ zero) & OFFSET_MASK;
    packet->protocol ^= zero;
    packet->later = (packet->later ^ zero) & 1;
    packet->quoted = (packet->quoted ^ zero) & 1;
    packet->has_flow = (packet->has_flow ^ zero) & 1;
    packet->control = (packet->control ^ zero) & 1;
    directions ^= zero;
#endif
    return directions;
}

static __always_inline u32 match_layers(CONTEXT *ctx, struct packet *packet) {
    struct layer layer = {};
    u32 directions = match_layer(ctx, true, &layer, packet);
    bool other_way = false;
#pragma clang loop unroll(disable)
    for (int i = 0; i < LAYERS_BELOW && !directions; i++) {
        enum below below = find_below(ctx, packet, &layer);
        if (below == NOTHING_BELOW)
            break;
        other_way ^= below == ERROR_BELOW;
        packet->quoted |= below == ERROR_BELOW;
        /* Hide from the verifier which layers came before. */
        layer.offset = (layer.offset ^ unknown_zero(ctx)) & OFFSET_MASK;
        directions = match_layer(ctx, false, &layer, packet);
    }
    directions = other_way ? turned(directions) : directions;
    return join_paths(ctx, packet, packet->outer ? packet->outer : directions);
}

#endif

#if EXPRESSION

static __always_inline u32 match_expression(CONTEXT *ctx) {
    u32 length;
    u8 *head = load_head(ctx, &length);
    return head ? expression_directions(ctx, head, length) : 0;
}

#endif

/* Return the direction of a packet; `packet` gets its properties, as far as they were parsed. */
static __always_inline enum direction match(CONTEXT *ctx, enum hook hook, struct packet *packet) {
#if MATCH_EVERYTHING
    u32 directions = hook == HOOK_FROM_POD ? FORWARD : REVERSE;
#elif EXPRESSION
    u32 directions = match_expression(ctx);
#else
    u32 directions = match_layers(ctx, packet);
#endif
    enum direction direction = only_wanted(directions, hook);
#if LAYERS && !RULES
    if (direction != NEITHER && (PARSED || is_shared())) {
        u32 ours = match_layers(ctx, packet);
        if (is_shared() && !ours)
            return NEITHER;
    }
#endif
    return direction;
}
