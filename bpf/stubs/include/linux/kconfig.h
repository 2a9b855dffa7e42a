/* bcc asks for this header of the kernel tree; its helpers refuse to compile without the option. */
#define CONFIG_BPF_SYSCALL 1
