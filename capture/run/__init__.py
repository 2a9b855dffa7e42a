"""A running capture: a plan and an output -> programs in place, packets in files, an account of each packet.

What belongs here: the order of the steps of a capture (capture.py), the loop that moves packets (drain.py), and what
the two keep while packets flow: interfaces, limits, files, accounts, and at the end the summary.

What it may import: plans and specs, `kernel`, `targets`, `stream`, `pcapng`, `sink`, and what is below them.

What does not belong here: system calls (`kernel`, `sink`), how pods are found (`targets`, `pods`), how records become
blocks (`stream`), text for a terminal (`cli`). Nothing here reads a capture file (`analysis`).
"""
