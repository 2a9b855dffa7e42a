/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Facts that a program knows about a value -> facts that the kernel's verifier knows, too.
 *
 * The verifier follows registers. Clang may check one register and use another, merge two checks, or leave
 * out a check that it can prove; then the program is right, and the verifier rejects it all the same. The
 * forms here are those that the verifiers of all kernels from 5.10 on follow.
 */

/* Clang must not reuse values read from memory before this point. */
#define barrier() asm volatile("" ::: "memory")

/*
 * From here on clang knows nothing about the variable, so checks stay as written, and on the same register.
 */
#define opaque(variable) asm volatile("" : "+r"(variable))

/*
 * From here on the verifier does not know either that the variable is another one plus a constant. Linux 6.12
 * follows such pairs, and loses the bounds of both where a comparison cannot be true.
 */
#define unlinked(variable) asm volatile("%0 &= -1" : "+r"(variable))

/*
 * Return a size for a helper: `value` if it is from 1 to `most` (a constant), else `most`.
 *
 * The comparison and its register are in one piece of assembly, because clang may keep a value on the stack,
 * compare a copy of it, and read the stack again. The value minus one is compared, because verifiers before
 * Linux 6.2 learn nothing about a register from a comparison with 0.
 */
static __always_inline u64 within(u64 value, u64 most) {
    u64 less = value - 1;
    asm volatile("if %0 <= %1 goto +1\n\t"
                 "%0 = %1"
                 : "+r"(less)
                 : "i"(most - 1));
    return less + 1;
}
