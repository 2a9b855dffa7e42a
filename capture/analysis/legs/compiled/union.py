"""Sets of sessions that are joined pair by pair, and which of a set are the other way round: union-find with
parity.

`parents[s]` is another session of the set of s, or s itself at the root; `turned[s]` is 1 if client and server of s
are the other way round in its parent. The invariant: the turns along the way from a session to its root, added
modulo 2, are its turn against the root. Halving the path while it is walked keeps that (Tarjan and van Leeuwen,
1984), and makes the next walk shorter: the cost of a pair is logarithmic at worst, and nearly constant in the mean.
The smallest number of a set is its root, so that the result does not depend on the order in which pairs came.
"""

from capture.arrays.aliases import Longs
from capture.arrays.jit import borrowing_loop as loop


@loop
def _root(parents: Longs, turned: Longs, session: int) -> tuple[int, int]:
    """Return the root of a session, and 1 if client and server are the other way round there."""
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
    for i in range(len(ones)):
        a, turned_a = _root(parents, turned, ones[i])
        b, turned_b = _root(parents, turned, others[i])
        if a != b:
            upper, lower = min(a, b), max(a, b)
            parents[lower] = upper
            turned[lower] = turned_a ^ turned_b ^ differ[i]


@loop
def flatten(parents: Longs, turned: Longs) -> None:
    for session in range(len(parents)):
        root, differs = _root(parents, turned, session)
        if root != session:
            parents[session] = root
            turned[session] = differs
