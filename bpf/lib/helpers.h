/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Helpers of the kernel that an old bcc (0.18) does not declare, by their numbers in
 * include/uapi/linux/bpf.h. A newer bcc declares them, so the names here are different.
 */

/* Since Linux 5.11. */
static u64 (*coarse_time)(void) = (void *)160;

/* Since Linux 5.18. */
static u64 (*xdp_length)(struct xdp_md *ctx) = (void *)188;
static long (*xdp_load_bytes)(struct xdp_md *ctx, u32 offset, void *to, u32 size) = (void *)189;
