/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Later fragments of a datagram -> the directions in which its first fragment matched, and its conversation.
 *
 * Only a first fragment has ports. What it matched is remembered under the datagram's identification, so
 * later fragments that pass after it are found; those that overtook it are not, because nothing yet tells
 * whose they are. A rule without ports, flags or ICMP types needs none of this: every fragment says enough
 * itself.
 */
#if FRAGMENTS_ASKED

enum {
    FRAGMENTED_DATAGRAMS = 4096, /* remembered at a time, the least recently used is forgotten */
};

/* Linux gives up reassembly after 30 s (IPv4) and 60 s (IPv6); identifications come again later. */
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
        /* IPv6's later fragments say which header follows, be it an extension header (RFC 8200, 4.5). */
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
