/* The kernel's names for the fixed-width types: all that a program without kernel-internal headers needs. */
#ifndef BICAP_LINUX_TYPES_H
#define BICAP_LINUX_TYPES_H
typedef __UINT8_TYPE__ u8, __u8;
typedef __UINT16_TYPE__ u16, __u16, __be16, __le16, __sum16;
typedef __UINT32_TYPE__ u32, __u32, __be32, __le32, __wsum;
typedef __UINT64_TYPE__ u64, __u64, __be64, __le64, __attribute__((aligned(8))) __aligned_u64;
typedef __INT8_TYPE__ s8, __s8;
typedef __INT16_TYPE__ s16, __s16;
typedef __INT32_TYPE__ s32, __s32;
typedef __INT64_TYPE__ s64, __s64;
typedef __SIZE_TYPE__ size_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef _Bool bool;
enum { false, true };
#define NULL ((void *)0)
#define __always_inline inline __attribute__((always_inline))
#endif
