/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Every map of the capture, and which interface a loaded program belongs to. */

/* One perf ring per CPU; user space reads them. */
BPF_PERF_OUTPUT(rings);

/* ROWS = interfaces * HOOKS rows of exact accounts, one copy per CPU. */
BPF_PERCPU_ARRAY(accounts, struct interface_counters, ROWS);

/*
 * The interface's slot. One compiled text serves all interfaces: the loader puts the slot in place of this
 * constant, so that a packet pays no look-up to learn where it is.
 */
static __always_inline u64 interface_slot(void) {
    u64 slot;
    asm volatile("%0 = 0x5107a51075107a51 ll" : "=r"(slot));
    return slot;
}

static __always_inline struct interface_counters *counters_of(enum hook hook) {
    u32 row = interface_slot() * HOOKS + hook;
    return accounts.lookup(&row);
}
