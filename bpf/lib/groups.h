/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * An address -> the groups it belongs to: the pods that rules name, and the node. User space updates the map
 * while programs run.
 */
#if GROUPS

BPF_HASH(groups, struct group_key, u64, GROUPS);

/* Return the groups of an address, a set of bits: GROUP_NODE, and one for each pod. */
static __always_inline u64 groups_of(u8 family, const struct endpoint *endpoint) {
    struct group_key key = {endpoint->high, endpoint->low | (family == 4 ? 0xffff00000000ULL : 0)};
    u64 *found = groups.lookup(&key);
    return found ? *found : 0;
}

#define IN_GROUP(groups, number)                                                                             \
    ({                                                                                                       \
        u64 rest = (groups) >> (number);                                                                     \
        opaque(rest);                                                                                        \
        rest & 1;                                                                                            \
    })

#endif

/*
 * True if pods share this interface with their node; then only packets from or to an address of the node are
 * captured. The loader replaces the constant, so that the verifier removes this from programs of other
 * interfaces.
 */
static __always_inline bool is_shared(void) {
#if SHARED
    u64 shared;
    asm volatile("%0 = 0x5107a51075107a52 ll" : "=r"(shared));
    return shared;
#else
    return false;
#endif
}

static __always_inline bool is_ours(const struct tuple *tuple) {
#if SHARED
    if (is_shared())
        return (groups_of(tuple->family, &tuple->low) | groups_of(tuple->family, &tuple->high)) &
               1 << GROUP_NODE;
#endif
    return true;
}
