"""Selected pods -> the interfaces through which their packets pass, now and while a capture runs.

What belongs here: from pods to places on this node, and following both while a capture runs.

What it may import: `pods`, `kernel`, plans and specs, and what is below them.

What does not belong here: CRI messages (`pods`), netlink messages (`kernel`), attaching programs (`run`).
"""
