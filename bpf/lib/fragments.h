/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Later fragments of a datagram -> the directions in which its first fragment matched, and its conversation.
 *
 * Only a first fragment has ports. Its match is stored under the datagram's identification, so later
 * fragments that pass after it match, too. Fragments that overtake it do not match, because their
 * conversation is not known yet. A rule without ports, flags or ICMP types needs none of this: every fragment
 * has enough to match it.
 */
#if FRAGMENTS_ASKED

enum {
    FRAGMENTED_DATAGRAMS = 4096, /* stored at a time; the least recently used is replaced */
};

/* Linux gives up reassembly after 30 s (IPv4) and 60 s (IPv6); identifications are reused later. */
#define FRAGMENT_LIFETIME_NS 30000000000ULL

struct datagram {
    u64 source_high, source_low, destination_high, destination_low;
    u32 identification;
    u8 family, protocol;
    u16 zero;
};

struct datagram_match {
    u64 first_ns;
    u64 directions;
    u64 flow;
};

BPF_TABLE("lru_hash", struct datagram, struct datagram_match, datagrams, FRAGMENTED_DATAGRAMS);

static __always_inline u32 match_fragment(struct packet *packet, u8 family, u32 directions) {
    if (!packet->later && !(packet->first && directions))
        return directions;
    struct datagram datagram = {
        packet->source.high,
        packet->source.low,
        packet->destination.high,
        packet->destination.low,
        packet->fragment,
        family,
        /* In later fragments of IPv6 this may be the number of an extension header (RFC 8200, 4.5). */
        family == 4 ? packet->protocol : 0,
        0,
    };
    if (packet->first) {
        struct datagram_match match = {bpf_ktime_get_ns(), directions, packet->flow};
        datagrams.update(&datagram, &match);
        return directions;
    }
    struct datagram_match *match = datagrams.lookup(&datagram);
    if (match && bpf_ktime_get_ns() - match->first_ns < FRAGMENT_LIFETIME_NS) {
        directions |= match->directions;
        packet->flow = match->flow;
    }
    return directions;
}

#else

static __always_inline u32 match_fragment(struct packet *packet, u8 family, u32 directions) {
    return directions;
}

#endif
