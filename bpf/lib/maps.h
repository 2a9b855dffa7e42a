/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps that every capture has, and which interface a loaded program belongs to. */

/* One perf ring per CPU; user space reads them. */
BPF_PERF_OUTPUT(rings);

/* ROWS = interfaces * HOOKS rows of exact accounts, one copy per CPU. */
BPF_PERCPU_ARRAY(accounts, struct interface_counters, ROWS);

/* What waits on each CPU to be submitted. */
BPF_F_TABLE("array", u32, struct batch_state, batch_states, CPUS, BPF_F_MMAPABLE);

/*
 * Which row of the accounts a loaded program counts in: its interface's slot * HOOKS + its hook. One compiled
 * text serves all interfaces and both hooks: the loader puts the row in place of this constant, so that a
 * packet pays no look-up to learn where it is.
 */
static __always_inline u64 program_row(void) {
    u64 row;
    asm volatile("%0 = 0x5107a51075107a51 ll" : "=r"(row));
    return row;
}

static __always_inline struct interface_counters *counters_of(u32 row) {
    return accounts.lookup(&row);
}
