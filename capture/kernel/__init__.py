"""A plan -> programs on interfaces, rings and counters.

What belongs here: every system call that is not for the output; bcc, mmap and pyroute2 are imported only here.

What it may import: plans and specs, `stream`, `estimate`, and the values below them.

What does not belong here: which pods are meant (`targets`, `selection`), the order of the steps of a capture (`run`),
the content of records (`stream`).
"""
