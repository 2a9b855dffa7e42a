"""Bounds of labels: a page has no more series because a node has more interfaces."""

INTERFACES_MAX = 256
"""Interfaces that have a label of their own; those that came later are counted together."""
OTHERS = "(others)"
"""Label of these."""
