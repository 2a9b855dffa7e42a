/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A rate of packets or bytes per second -> true if one more packet fits it: token buckets, in units of time.
 *
 * The problem
 *     A rate holds for all CPUs together, whichever of them have traffic, and a packet can afford neither
 *     a lock nor an access to a shared cache line. A fixed part per CPU would give one busy CPU of two
 *     only half of the rate.
 *
 * The invariant
 *     A bucket is the time until which its rate is given away (the virtual scheduling algorithm of ITU-T
 *     I.371, Annex A). CPUs take shares of a millisecond of time from it, and pay for their packets from
 *     the share without further coordination. A share is given only if this time is not in the future, so
 *     all shares together keep to the rate, whichever CPUs take them.
 *
 * Why it is right
 *     A share is taken by one atomic addition, which all kernels and compilers have (compare-and-exchange
 *     came with Linux 5.12 and LLVM 12). CPUs that check the bucket at the same moment may each take a
 *     share when there was room for one: the bucket is then ahead by all of them, and no CPU gets a share
 *     until time has caught up. A plain store brings an idle bucket up to date; two CPUs that do so at
 *     once give away one share too many, once.
 *
 * What it costs
 *     Per packet a subtraction in a per-CPU map; per share a reading of the clock and one shared cache
 *     line.
 */
#if RATES

#define SHARE_NS 1000000ULL
#define BURST_NS 50000000ULL /* most time that an idle bucket saves; more than a tick of the coarse clock */

struct bucket {
    u64 given_until_ns;
    u64 padding[7]; /* a cache line each */
};

struct shares {
    u64 left_ns[RATES];
};

BPF_TABLE("array", u32, struct bucket, buckets, RATES);
BPF_PERCPU_ARRAY(shares, struct shares, 1);

/* Take the cost of a packet from this CPU's share of bucket `number` (a constant); false if the rate is used
 * up. */
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
