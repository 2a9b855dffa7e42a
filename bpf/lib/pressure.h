/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The fill level of the rings -> the level of pressure, by which programs keep less. There is one level for
 * all CPUs, because the two directions of a conversation may be on different CPUs.
 *
 * User space writes how far it has read each ring, and the programs compare that with the bytes that they
 * submitted; so they also react while the reader stands still, as on a slow disk. What waits is compared with
 * the room that a CPU can get, its ring and the overflow ring: half of it is level 1, all of it the last
 * level. Only user space lowers the level.
 */
#if PRESSURE_LEVELS

BPF_F_TABLE("array", u32, struct pressure, pressure, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, read_until, CPUS, BPF_F_MMAPABLE);

static __always_inline u32 pressure_level(void) {
    u32 zero = 0;
    struct pressure *now = pressure.lookup(&zero);
    return now ? now->level : 0;
}

/* Count what was put into the overflow ring. */
static __always_inline void count_overflow(u64 bytes) {
    u32 zero = 0;
    struct pressure *now = pressure.lookup(&zero);
    if (now)
        __sync_fetch_and_add(&now->overflowed, bytes);
}

/* Raise the level if needed, after this CPU submitted something, or had no room for it. */
static __always_inline void feel_pressure(const struct batch_state *state, u32 cpu, bool full) {
    u32 zero = 0;
    struct pressure *now = pressure.lookup(&zero);
    u64 *read = read_until.lookup(&cpu);
    if (!now || !read)
        return;
    u64 waiting = state->submitted - *read + now->overflowed - now->overflow_read;
    u64 room = (u64)RING_BYTES + OVERFLOW_BYTES, half = room / 2;
    if (full)
        waiting = room;
    if (waiting < half)
        return;
    u64 level = 1 + (waiting - half) * (PRESSURE_LEVELS - 1) / half;
    if (level > PRESSURE_LEVELS)
        level = PRESSURE_LEVELS;
    if (level > now->level) {
        now->changed_ns = bpf_ktime_get_ns();
        now->level = level;
    }
}

/* Return the number of times that the share of kept flows is halved at a level. */
static __always_inline u32 pressure_shift(u32 level) {
    u32 shift =
        PRESSURE_SAMPLES_FROM && level >= PRESSURE_SAMPLES_FROM ? level - PRESSURE_SAMPLES_FROM + 1 : 0;
    return shift < PRESSURE_HALVES ? shift : PRESSURE_HALVES;
}

#else

static __always_inline u32 pressure_level(void) {
    return 0;
}

static __always_inline void count_overflow(u64 bytes) {
}

static __always_inline void feel_pressure(const struct batch_state *state, u32 cpu, bool full) {
}

#endif
