/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A canonical tuple -> the side of it that is the source of an exact conversation to match: one look-up. */
#if CONVERSATIONS

BPF_HASH(conversations, struct conversation_key, u32, CONVERSATIONS);

static __always_inline u32 match_conversations(const struct tuple *tuple) {
    struct conversation_key key = {
        .low_address = {tuple->low.high, tuple->low.low},
        .high_address = {tuple->high.high, tuple->high.low},
        .low_port = tuple->low.port == NO_PORT ? 0 : tuple->low.port,
        .high_port = tuple->high.port == NO_PORT ? 0 : tuple->high.port,
        .family = tuple->family,
        .protocol = tuple->protocol,
    };
    if (has_ports(tuple->protocol) && tuple->low.port == NO_PORT)
        return 0; /* a later fragment has the conversation of its first fragment (fragments.h) */
    u32 *source = conversations.lookup(&key);
    return source ? *source : 0;
}

#else

static __always_inline u32 match_conversations(const struct tuple *tuple) {
    return 0;
}

#endif
