"""A plan -> programs on interfaces, rings and counters. The only home of bcc, ctypes, mmap and pyroute2."""
