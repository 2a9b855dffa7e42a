/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a program knows of a value -> what the kernel's verifier knows of it.
 *
 * The verifier follows registers, and clang is free to check one and use another, to fold two checks into
 * one, or to leave out what it can prove: then the program is right and is refused. What is here says a thing
 * in the form that the verifiers of all kernels from 5.10 on follow.
 */

/* Nothing that was read from memory before is known after. */
#define barrier() asm volatile("" ::: "memory")

/* Clang knows nothing about the variable from here on: its checks stay as written, and on the same register.
 */
#define opaque(variable) asm volatile("" : "+r"(variable))

/*
 * A size from 1 to `most` (a constant) for a helper: the value itself where it is one, else `most`.
 *
 * The comparison is in the same piece of assembly as the register that it is about, because clang may keep a
 * value on the stack, compare a copy of it, and read it from the stack again. The value is compared less one,
 * because the verifiers before Linux 6.2 learn nothing of a register from its being unequal to 0.
 */
static __always_inline u64 within(u64 value, u64 most) {
    u64 less = value - 1;
    asm volatile("if %0 <= %1 goto +1\n\t"
                 "%0 = %1"
                 : "+r"(less)
                 : "i"(most - 1));
    return less + 1;
}
