/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Data that kernel and user space share: captured packets, counters, conversations to match.
 *
 * This is the only description of these layouts: capture/abi.py reads this file, so it may have only plain
 * structs of u8..u64 and enums. All values are in the machine's byte order unless a comment says otherwise.
 */

/* What user space has to know about a packet besides its block; the first two are bits 0-1 of epb_flags. */
enum packet_flag {
    PACKET_INBOUND = 1, /* the direction as the pod sees it (pcapng 4.3.1) */
    PACKET_OUTBOUND = 2,
    PACKET_REVERSE = 4, /* the packet goes to the rule's source */
    PACKET_ALONE = 8,   /* of a run: it has one packet, and its block has no end yet */
    PACKET_TAGGED = 16, /* of such a run: the packet lacks its VLAN tag */
};

/*
 * The beginning of a perf sample: a run of Enhanced Packet Blocks that one CPU filled, back to back behind
 * it.
 *
 * A packet above LARGEST_BATCHED is a run of its own (PACKET_ALONE): the kernel copies it straight into the
 * ring, where nothing can be put behind it. So its block ends with the packet: no tag, padding and options.
 */
struct packet_run {
    u64 wall_offset_ns; /* the blocks' times are CLOCK_MONOTONIC plus this */
    u64 reverse[3];     /* bit n: packet n has PACKET_REVERSE, for which pcapng has no place */
    u16 bytes;          /* of blocks */
    u16 flags;          /* enum packet_flag of a packet that is alone, else 0 */
    u16 tag[2];         /* of a packet that is alone: as the wire has it */
};

/* The beginning of a record of the overflow ring. There, a large packet's block is complete (no
 * PACKET_ALONE). */
struct overflow_run {
    u64 ring; /* `has_ring` of the CPU that made it */
    struct packet_run run;
};

/* An Enhanced Packet Block (draft-ietf-opsawg-pcapng 4.3): this, the packet, zeros to a multiple of 4, its
 * end. */
struct packet_block {
    u32 type;      /* 6 */
    u32 total;     /* bytes of the block */
    u32 interface; /* slot of the interface in this capture */
    u32 time_high; /* of the wall-clock time, ns */
    u32 time_low;
    u32 captured; /* bytes, with a tag that was put back */
    u32 original; /* bytes that the packet had */
};

struct packet_block_end {
    u32 flags_option; /* option epb_flags, 4 bytes long */
    u32 flags;
    u32 end_of_options; /* 0 */
    u32 total;
};

/*
 * The matched packets of one conversation direction. Those that no sampler left out and that are not lost
 * are in a ring, or in a batch that will be.
 */
struct direction_counters {
    u64 matched;
    u64 matched_bytes;
    u64 sampled_by_flow; /* left out, by the first sampler that refused */
    u64 sampled_by_packet;
    u64 sampled_by_first;
    u64 sampled_by_rate;
    u64 sampled_by_pressure;
    u64 lost_ring_full; /* user space did not read fast enough */
    u64 lost_other;     /* the packet could not be read, or there is no ring on its CPU */
    u64 cut;            /* kept without payload, because rings filled */
    u64 cut_bytes;      /* bytes of that payload */
};

/* One row per interface, hook and CPU: seen = unmatched + forward.matched + reverse.matched. */
struct interface_counters {
    u64 seen;
    u64 seen_bytes;
    u64 unmatched;
    struct direction_counters forward;
    struct direction_counters reverse;
};

/*
 * The batch of a CPU: blocks that wait to be submitted together. One cache line per CPU, mapped by user
 * space. `used` is written after `oldest_ns`, so a reader that sees `used` above zero also sees the time of a
 * packet that waits, or an earlier time if the processor reorders (capture/stream/compiled/merge.py).
 */
struct batch_state {
    u64 used; /* bytes of blocks */
    u64 oldest_ns;
    u64 submitted;      /* bytes put into the ring since the start, with their perf headers */
    u64 refused_ns;     /* time at which the ring last had no room for the batch that still waits; else 0 */
    u64 packets;        /* in the batch */
    u64 has_ring;       /* the number of its ring, from 1; 0: it has none; set by user space */
    u64 wall_offset_ns; /* wall-clock time minus CLOCK_MONOTONIC, for the next run; set by user space */
    u64 padding;
};

/*
 * The beginning of a chunk: a part of a recorder's memory that one CPU fills with blocks, oldest first. The
 * times of its blocks are CLOCK_MONOTONIC, and their epb_flags are enum packet_flag.
 */
struct chunk_head {
    u64 number;   /* of the chunk on its CPU, from 0: changes before an old chunk is overwritten */
    u64 used;     /* bytes of blocks */
    u64 packets;  /* that this CPU remembered before this chunk */
    u64 first_ns; /* time of the first block */
};

/* The chunks of a CPU, and how far it has filled them. One cache line per CPU, mapped by user space. */
struct recorder_state {
    u64 number;  /* of the chunk that is being filled */
    u64 index;   /* its place in the map of all chunks; set by user space at first */
    u64 packets; /* remembered so far */
    u64 first;   /* place of this CPU's first chunk; set by user space */
    u64 chunks;  /* of this CPU; 0: it has no memory; set by user space */
    u64 padding[3];
};

/* What the kernel did to a packet or a connection. */
enum reason_kind {
    REASON_DROP = 1,       /* kfree_skb: the packet was dropped */
    REASON_RESET_SENT = 2, /* tcp_send_reset: an RST is sent, as the answer to the packet if there is one */
    REASON_RESET_RECEIVED = 3, /* tcp_receive_reset: an RST ended the connection */
};

/* A reason and the place in the kernel that gave it: a key of the places map. */
struct reason_place {
    u64 location; /* address in the kernel's code */
    u32 reason;   /* number of enum skb_drop_reason or sk_rst_reason, which differ between kernels */
    u32 kind;     /* enum reason_kind */
};

/* The events of a place on one CPU: count = recorded + over + other + busy. */
struct place_counts {
    u64 count;
    u64 recorded;
    u64 over;  /* not looked at, because too many came */
    u64 other; /* no packet, or of no conversation that is asked for */
    u64 busy;  /* came while another event of this CPU was handled */
    u64 window;
    u64 used; /* looked at in this window */
};

/*
 * An event whose packet matches. Without a packet (bytes 0) there is the tuple of its socket: a reset that
 * answers no packet.
 */
struct reason_record {
    u64 time_ns;
    u64 location;
    u32 reason;
    u32 kind;
    u32 netns;    /* inode of the network namespace; 0: unknown */
    u32 original; /* bytes that the packet has */
    u16 captured; /* bytes of it in `bytes` */
    u16 headless; /* 1: its Ethernet header is not its own */
    u16 ethertype;
    u8 reverse;
    u8 family; /* of the tuple: 4 or 6; 0: there is a packet */
    u8 source[16];
    u8 destination[16]; /* network byte order, IPv4 in the first bytes */
    u16 source_port;    /* host byte order */
    u16 destination_port;
    u32 zero;
    u8 bytes[192];
};

/* The events of a CPU: `written` so far, of which the last REASON_RECORDS are in its part of the map. */
struct reason_state {
    u64 written;
    u64 busy; /* an event is being handled; another one that interrupts it is only counted */
    u64 padding[6];
};

enum reason_sizes {
    REASON_RECORDS = 512,
    REASON_BYTES = 192,
};

/*
 * The pressure on the rings, one level for all CPUs; the plan defines the measures of each level. Programs
 * raise the level, user space lowers it.
 */
struct pressure {
    u64 level;
    u64 changed_ns; /* CLOCK_MONOTONIC */
    u64 overflowed; /* bytes put into the overflow ring since the start, without the headers of its records */
    u64 overflow_read; /* of these, read; set by user space */
};

/* The endpoints of a canonical tuple that can be the source of a rule or conversation; a set. */
enum source_side {
    LOW_IS_SOURCE = 1,
    HIGH_IS_SOURCE = 2,
};

/*
 * The canonical tuple of an exact conversation: the key of the conversations map; the value is enum
 * source_side. Addresses are two words, the more significant first; an IPv4 address is {0, address}. Ports
 * are 0 if the protocol has none.
 */
struct conversation_key {
    u64 low_address[2];
    u64 high_address[2];
    u16 low_port;
    u16 high_port;
    u8 family; /* 4 or 6 */
    u8 protocol;
    u16 zero;
};

/* Bits of the groups of an address: the node, then each pod that a rule names. */
enum group {
    GROUP_NODE = 0,
    GROUP_PODS = 1,
};

/* An address as the key of the groups map: IPv4 is ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
struct group_key {
    u64 high;
    u64 low;
};

/* The programs on one interface; the row of their counters is slot * HOOKS + hook. */
enum hook {
    HOOK_FROM_POD = 0,
    HOOK_TO_POD = 1,
    HOOKS = 2,
};
