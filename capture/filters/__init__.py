"""What should match -> C text for the kernel program, and the equivalent tcpdump expression."""
