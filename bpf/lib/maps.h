/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps of every capture, and the row of a loaded program in them. */

/* One perf ring per CPU; user space reads them. */
BPF_PERF_OUTPUT(rings);

/*
 * Counters: ROWS = interfaces * HOOKS rows, one copy per CPU.
 *
 * A program runs with softirqs off and adds only to its CPU's copy, so that no addition is lost without
 * atomic operations. User space adds the copies up, and compares them with its own counts at the end
 * (capture/run/ledger.py).
 */
BPF_PERCPU_ARRAY(accounts, struct interface_counters, ROWS);

/* The state of each CPU's batch. */
BPF_F_TABLE("array", u32, struct batch_state, batch_states, CPUS, BPF_F_MMAPABLE);

/*
 * The row of `accounts` that a loaded program uses: its interface's slot * HOOKS + its hook. One compiled
 * text serves all interfaces and both hooks: the loader replaces this constant by the row, so that a packet
 * costs no look-up of its interface.
 */
static __always_inline u64 program_row(void) {
    u64 row;
    asm volatile("%0 = 0x5107a51075107a51 ll" : "=r"(row));
    return row;
}

static __always_inline struct interface_counters *counters_of(u32 row) {
    return accounts.lookup(&row);
}
