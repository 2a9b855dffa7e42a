/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Packets or bytes per second -> whether there is room for one more: token buckets, in units of time.
 *
 * A bucket is the time until which its rate is given away (the virtual scheduling algorithm of ITU-T I.371,
 * Annex A). All CPUs take shares of a millisecond from it, and spend them without looking at each other; so
 * the shares add up to the rate, whichever CPUs have traffic. A fixed share per CPU would give one busy CPU
 * half of it.
 *
 * A share is taken by one atomic addition, which all kernels and compilers have (compare-and-exchange came
 * with Linux 5.12 and LLVM 12). CPUs that look at the same moment may all take one where there was room for
 * one: the bucket is then ahead by all of them, and nobody gets anything until it has made up for it. An idle
 * bucket is brought up by a plain store; two CPUs that do it at once give one share too many, once.
 */
#if RATES

#define SHARE_NS 1000000ULL
#define BURST_NS 50000000ULL /* what an idle bucket saves up; more than a tick of the coarse clock */

struct bucket {
    u64 given_until_ns;
    u64 padding[7]; /* a cache line each */
};

struct shares {
    u64 left_ns[RATES];
};

BPF_TABLE("array", u32, struct bucket, buckets, RATES);
BPF_PERCPU_ARRAY(shares, struct shares, 1);

/* Take what a packet costs from this CPU's share of a bucket (a constant); false if there is none. */
static __always_inline bool take(u32 number, u64 cost_ns) {
    u32 zero = 0, key = number; /* `number` has no address, so that it stays a constant */
    struct shares *share = shares.lookup(&zero);
    struct bucket *bucket = buckets.lookup(&key);
    if (!share || !bucket)
        return false;
    if (share->left_ns[number] < cost_ns) {
        u64 now = COARSE_CLOCK ? coarse_time() : bpf_ktime_get_ns(), given = bucket->given_until_ns;
        if (given > now)
            return false;
        u64 amount = cost_ns > SHARE_NS ? cost_ns : SHARE_NS;
        if (given + BURST_NS < now)
            bucket->given_until_ns = now - BURST_NS;
        __sync_fetch_and_add(&bucket->given_until_ns, amount);
        share->left_ns[number] += amount;
    }
    share->left_ns[number] -= cost_ns;
    return true;
}

#endif
