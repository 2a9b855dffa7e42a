"""Failures in a row -> the time to the next try."""

FIRST_SECONDS = 1.0
MOST_SECONDS = 300.0


def delay(failures: int, chance: float) -> float:
    """Return the seconds from failure number `failures` (from 1 on) to the next try.

    They double up to five minutes. `chance`, from 0 to 1, moves them within their upper half, so that the nodes of a
    cluster do not come back to a store all at once.
    """
    whole = min(FIRST_SECONDS * 2.0 ** min(failures - 1, 20), MOST_SECONDS)
    return float(whole * (0.5 + chance / 2))
