"""A process that has everything loaded -> captures, each in a process of its own, forked from it.

    whoever starts captures ─ Nursery ─▶ server ─ fork ─▶ child: one capture
                            ◀─ CaptureChild: forked, ready, concluded, ended ─┘

A capture changes what belongs to its whole process: privileges, signals, descriptor 2. So each has one. A process
that starts from nothing loads 0.4 s of modules, and has 30 MiB of its own for them; a fork shares both.

What belongs here: starting, stopping and hearing of such processes. It may import `run` and what is below it. What a
capture does in its process is `run/own_process.py`, as for the command line; which captures there should be is
decided by the caller.
"""
