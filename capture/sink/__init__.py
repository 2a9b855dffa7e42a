"""Blocks -> files and pipes, and the JSON summary beside them.

What belongs here: every system call for the output. What does not belong here: the meaning of the bytes (`pcapng`,
`run`).
"""
