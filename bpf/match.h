/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A packet -> the direction in which it belongs to a conversation that was asked for, or NEITHER.
 *
 * filter.h gives MATCH_EVERYTHING, WANTED (the directions asked for) and match_rules(), which says of a
 * canonical tuple whether its low endpoint, its high one, or either can be the source that the rule means.
 */

static __always_inline enum direction only_wanted(u32 directions, enum hook hook) {
    directions &= WANTED;
    /* Where the rule fits both ways round, what leaves the pod is the forward direction. */
    if (directions == (FORWARD | REVERSE))
        return hook == HOOK_FROM_POD ? FORWARD : REVERSE;
    return directions;
}

static __always_inline enum direction match(struct __sk_buff *skb, enum hook hook) {
#if MATCH_EVERYTHING
    return only_wanted(hook == HOOK_FROM_POD ? FORWARD : REVERSE, hook);
#else
    struct packet packet = {};
    if (!parse(skb, &packet))
        return NEITHER;
    struct tuple tuple = canonicalise(&packet);
    u32 source = match_rules(&tuple);
    u32 directions = source;
    if (tuple.swapped)
        directions = (source & LOW_IS_SOURCE ? REVERSE : 0) | (source & HIGH_IS_SOURCE ? FORWARD : 0);
    return only_wanted(directions, hook);
#endif
}
