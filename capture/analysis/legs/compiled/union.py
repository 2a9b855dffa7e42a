"""Sets of sessions that are joined pair by pair: union-find, with the way round of each."""

from capture.arrays.aliases import Longs
from capture.arrays.jit import borrowing_loop as loop


@loop
def _root(parents: Longs, turned: Longs, session: int) -> tuple[int, int]:
    """Whom it was joined to in the end, and whether client and server are the other way round there."""
    differs = 0
    while parents[session] != session:
        above = parents[session]
        # Halves the way for those who come later.
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
