/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet -> the direction in which it belongs to a conversation that was asked for, or NEITHER.
 *
 * filter.h says what is asked: MATCH_EVERYTHING, or an EXPRESSION (expression.h), or rules. match_rules()
 * says of a canonical tuple whether its low endpoint, its high one, or either can be the source that a rule
 * means.
 */

enum {
    LAYERS_BELOW = ERRORS_ASKED + INNER_ASKED, /* of a tunnel's content, the packet an error in it is about */
};

static __always_inline enum direction only_wanted(u32 directions, enum hook hook) {
    directions &= WANTED;
    /* Where the rule fits both ways round, what leaves the pod is the forward direction. */
    if (directions == (FORWARD | REVERSE))
        return hook == HOOK_FROM_POD ? FORWARD : REVERSE;
    return directions;
}

#if !MATCH_EVERYTHING && !EXPRESSION

static __always_inline u32 match_parsed(struct __sk_buff *skb, const struct packet *packet, u8 family) {
    struct tuple tuple = canonicalise(packet, family);
    u32 source = match_rules(skb, &tuple, packet->detail) | match_sessions(&tuple);
    return match_fragment(packet, family, tuple.swapped ? turned(source) : source);
}

/* Parse and match one layer; the directions. Once per family, so that IPv4 pays nothing for long addresses.
 */
static __always_inline u32 match_layer(struct __sk_buff *skb, bool in_place, struct layer *layer,
                                       struct packet *packet) {
    packet->later = true; /* nothing is below what is not IP */
    if (layer->ethertype == 0 && !parse_ethernet(skb, in_place, layer))
        return 0;
    if (layer->ethertype == ETHERTYPE_IPV4)
        return parse_ipv4(skb, in_place, layer->offset, packet) ? match_parsed(skb, packet, 4) : 0;
    if (layer->ethertype == ETHERTYPE_IPV6)
        return parse_ipv6(skb, in_place, layer->offset, packet) ? match_parsed(skb, packet, 6) : 0;
    return 0;
}

static __always_inline u32 match_packet(struct __sk_buff *skb) {
    struct layer layer = {};
    struct packet packet;
    u32 directions = match_layer(skb, true, &layer, &packet);
    bool other_way = false;
#pragma clang loop unroll(disable)
    for (int i = 0; i < LAYERS_BELOW && !directions; i++) {
        enum below below = find_below(skb, &packet, &layer);
        if (below == NOTHING_BELOW)
            return 0;
        other_way ^= below == ERROR_BELOW;
        directions = match_layer(skb, false, &layer, &packet);
    }
    return other_way ? turned(directions) : directions;
}

#elif EXPRESSION

static __always_inline u32 match_packet(struct __sk_buff *skb) {
    u32 length;
    u8 *head = load_head(skb, &length);
    return head ? expression_directions(skb, head, length) : 0;
}

#endif

static __always_inline enum direction match(struct __sk_buff *skb, enum hook hook) {
#if MATCH_EVERYTHING
    return only_wanted(hook == HOOK_FROM_POD ? FORWARD : REVERSE, hook);
#else
    return only_wanted(match_packet(skb), hook);
#endif
}
