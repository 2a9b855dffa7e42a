/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How full rings are -> how much is left out until they are not: a level for all CPUs, because a conversation
 * has its directions on several.
 *
 * User space tells how far it has read each ring, and the programs compare that with what they submitted:
 * they react also while the reader stands still, as on a slow disk. Half full is level 1, full the last
 * level. Only user space lowers it.
 */
#if PRESSURE_LEVELS

BPF_F_TABLE("array", u32, struct pressure, pressure, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, u64, read_until, CPUS, BPF_F_MMAPABLE);

static __always_inline u32 pressure_level(void) {
    u32 zero = 0;
    struct pressure *now = pressure.lookup(&zero);
    return now ? now->level : 0;
}

/* After `state` submitted something to the ring of this CPU, or found it full. */
static __always_inline void feel_pressure(const struct batch_state *state, u32 cpu, bool full) {
    u32 zero = 0;
    struct pressure *now = pressure.lookup(&zero);
    u64 *read = read_until.lookup(&cpu);
    if (!now || !read)
        return;
    u64 waiting = full ? RING_BYTES : state->submitted - *read, half = RING_BYTES / 2;
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

/* By how many halves the share of flows that are kept goes down at a level. */
static __always_inline u32 pressure_shift(u32 level) {
    u32 shift =
        PRESSURE_SAMPLES_FROM && level >= PRESSURE_SAMPLES_FROM ? level - PRESSURE_SAMPLES_FROM + 1 : 0;
    return shift < PRESSURE_HALVES ? shift : PRESSURE_HALVES;
}

#else

static __always_inline u32 pressure_level(void) {
    return 0;
}

static __always_inline void feel_pressure(const struct batch_state *state, u32 cpu, bool full) {
}

#endif
