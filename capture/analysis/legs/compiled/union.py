"""Pairs of joined sessions -> sets of sessions, and which sessions in a set are swapped: union-find with parity.

`parents[s]` is another session of the set of s, or s itself at the root; `turned[s]` is 1 if client and server of s
are swapped in its parent. The invariant: the sum of `turned` on the path from a session to its root, modulo 2, is 1
if the session is swapped against the root. Halving the path on each walk keeps that (Tarjan and van Leeuwen, 1984),
and makes the next walk shorter: the cost of a pair is logarithmic at worst, and nearly constant in the mean.
The smallest number of a set is its root, so that the result does not depend on the order in which pairs came.
"""

from capture.arrays.aliases import Longs
from capture.arrays.jit import borrowing_loop as loop


@loop
def _root(parents: Longs, turned: Longs, session: int) -> tuple[int, int]:
    """Return the root of a session, and 1 if client and server are swapped there."""
    differs = 0
    while parents[session] != session:
        above = parents[session]
        # Halve the path.
        turned[session] ^= turned[above]
        parents[session] = parents[above]
        differs ^= turned[session]
        session = parents[session]
    return session, differs


@loop
def unite(parents: Longs, turned: Longs, ones: Longs, others: Longs, differ: Longs) -> None:
    """Join ones[i] with others[i] for each i; `differ` is 1 if client and server are swapped between the two."""
    for i in range(len(ones)):
        a, turned_a = _root(parents, turned, ones[i])
        b, turned_b = _root(parents, turned, others[i])
        if a != b:
            upper, lower = min(a, b), max(a, b)
            parents[lower] = upper
            turned[lower] = turned_a ^ turned_b ^ differ[i]


@loop
def flatten(parents: Longs, turned: Longs) -> None:
    """Make each session's parent its root."""
    for session in range(len(parents)):
        root, differs = _root(parents, turned, session)
        if root != session:
            parents[session] = root
            turned[session] = differs
