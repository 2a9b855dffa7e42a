/* Only for the program's kern_version field, which kernels since 5.0 ignore (commit 6c4fc209fcf9). */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 0, 0)
