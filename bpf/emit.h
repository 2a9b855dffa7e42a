/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A matched packet -> a record in this CPU's ring; what the ring refuses is counted by reason. */

enum {
    VLAN_TAG = 4,
    ENOSPC = 28,
    /* perf_event_header.size is 16 bits. A record above this vanishes while the helper returns 0. */
    LARGEST_RECORD = 65528,
    PERF_HEADERS = 12, /* struct perf_event_header, then the size of the raw data */
    LARGEST_CAPTURE = LARGEST_RECORD - PERF_HEADERS - sizeof(struct packet_record),
};

static __always_inline void emit(struct __sk_buff *skb, enum hook hook, enum direction direction,
                                 struct interface_counters *counters) {
    struct direction_counters *account = direction == REVERSE ? &counters->reverse : &counters->forward;
    struct packet_record record = {.interface = interface_slot()};
    u32 length = skb->len, limit = SNAPLEN < LARGEST_CAPTURE ? SNAPLEN : LARGEST_CAPTURE;

    account->matched++;
    account->matched_bytes += length;

    record.flags = hook == HOOK_FROM_POD ? RECORD_OUTBOUND : RECORD_INBOUND;
    if (direction == REVERSE)
        record.flags |= RECORD_REVERSE;
    record.original = length;
    if (skb->vlan_present) {
        record.flags |= RECORD_VLAN;
        record.vlan_tci = skb->vlan_tci;
        record.vlan_protocol = skb->vlan_proto;
        record.original += VLAN_TAG; /* user space puts the tag back where the wire has it */
        limit -= VLAN_TAG;
    }
    record.captured = length < limit ? length : limit;
    record.timestamp_ns = bpf_ktime_get_ns(); /* read last: what was not kept did not pay for it */
    int refused = rings.perf_submit_skb(skb, record.captured, &record, sizeof(record));
    if (!refused)
        account->submitted++;
    else if (refused == -ENOSPC)
        account->lost_ring_full++;
    else
        account->lost_other++;
}
