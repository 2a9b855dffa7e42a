"""Columns of numbers and words -> lines of text, a whole column at a time.

A column is a matrix of bytes in UTF-8 with a row per line. A byte of 0 is nothing: parts of different lengths stand
side by side, and what is nothing goes when the lines are put together. numpy does in this way for all rows what
formatting does for one, several times faster (docs/decisions/0016).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Numbers
from capture.arrays.rows import alike
from capture.units import DURATION_UNITS, SIZE_UNITS, Unit, format_duration, format_size

Cells = npt.NDArray[np.uint8]

_EXACT = float(1 << 53)
"""From here on a float does not hold every whole number."""


def words(texts: Sequence[str]) -> Cells:
    """A text per row."""
    found = np.array([text.encode() for text in texts], np.bytes_)
    return found.view(np.uint8).reshape(len(found), found.itemsize)


def numbers(values: Numbers, least: int = 1) -> Cells:
    """Whole numbers that are not negative, of at least so many digits."""
    left = values.astype(np.int64)
    width = max(len(str(left.max(initial=0))), least)
    digits = np.empty((len(left), width), np.uint8)
    for at in reversed(range(width)):
        rest = left // 10
        digit = left - 10 * rest + ord("0")
        digits[:, at] = digit if at >= width - least else np.where(left > 0, digit, 0)
        left = rest
    return digits


class _Scale(NamedTuple):
    """Amounts up to `most` are so many of `size`, in `parts`; `fixed`: the digits of parts are shown though 0."""

    most: npt.NDArray[np.float64]
    size: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]
    fixed: npt.NDArray[np.bool_]
    unit: Cells


def _scale(units: Sequence[Unit]) -> _Scale:
    steps: list[tuple[float, int, int, bool, str]] = []
    for unit in units:
        below, word = min(unit.below, _EXACT), f" {unit.word}"
        match unit.digits:
            case ".0f":
                steps.append((below, unit.size, 1, True, word))
            case ".1f":
                steps.append((below, unit.size, 10, True, word))
            case _:  # three significant digits
                steps += [(below / parts, unit.size, parts, False, word) for parts in (100, 10, 1)]
    most, size, parts, fixed, unit_words = zip(*steps, strict=True)
    return _Scale(np.array(most), np.array(size), np.array(parts), np.array(fixed), words(unit_words))


_DURATIONS, _SIZES = _scale(DURATION_UNITS), _scale(SIZE_UNITS)


def durations(nanoseconds: Numbers) -> Cells:
    """As units.format_duration writes them."""
    return _amounts(nanoseconds, _DURATIONS, format_duration)


def sizes(counts: Numbers) -> Cells:
    """As units.format_size writes them."""
    return _amounts(counts, _SIZES, format_size)


def _amounts(values: Numbers, scale: _Scale, otherwise: Callable[[int], str]) -> Cells:
    step = np.searchsorted(scale.most, values)
    other = (step == len(scale.most)) | (values < 0)
    step[other] = 0
    size, parts = scale.size[step], scale.parts[step]
    whole = np.where(other, 0, values) * parts
    rounded = (whole + size // 2) // size
    # Half-way between two texts it is the binary fraction that decides.
    other |= 2 * (rounded * size - whole) == size
    above, below = np.divmod(rounded, parts)
    tenths, hundredths = np.divmod(below * (100 // parts), 10)
    has_tenths = (parts > 1) & (scale.fixed[step] | (below > 0))
    cells = beside(
        numbers(above), where(has_tenths, "."), where(has_tenths, numbers(tenths)),
        where(hundredths > 0, numbers(hundredths)), scale.unit[step],
    )  # fmt: skip
    unusual = np.flatnonzero(other)
    return scattered(
        len(values),
        (np.flatnonzero(~other), cells[~other]),
        (unusual, words([otherwise(int(value)) for value in values[unusual].tolist()])),
    )


def each(word: Callable[..., str], *columns: Numbers) -> Cells:
    """The text for the values of a row, made once for those that are equal."""
    distinct, which = alike(*columns)
    return words([word(*values) for values in distinct])[which]


def where(rows: npt.NDArray[np.bool_], cells: Cells | str) -> Cells:
    """These cells, or this text, in the rows for which it holds; nothing in the others."""
    if isinstance(cells, str):
        cells = words([cells])
    return np.where(rows[:, np.newaxis], cells, np.uint8(0))


def beside(*parts: Cells | str) -> Cells:
    """Parts in a row, one of them at least of cells; a text is the same in all rows."""
    count = next(len(part) for part in parts if not isinstance(part, str))
    return np.hstack([np.tile(words([part]), (count, 1)) if isinstance(part, str) else part for part in parts])


def scattered(count: int, *parts: tuple[npt.NDArray[np.int64], Cells]) -> Cells:
    """So many rows, which parts have between them: (where its rows are, the rows)."""
    found = np.zeros((count, max((cells.shape[1] for _, cells in parts), default=0)), np.uint8)
    for at, cells in parts:
        found[at, : cells.shape[1]] = cells
    return found


def aligned(cells: Cells, width: int) -> Cells:
    """Filled up to a width, in front of the text; behind it if the width is negative, as in a format."""
    characters = np.count_nonzero((cells != 0) & (cells & 0xC0 != 0x80), axis=1)  # RFC 3629, section 3
    blanks = np.where(np.arange(abs(width)) < abs(width) - characters[:, np.newaxis], np.uint8(ord(" ")), np.uint8(0))
    return beside(blanks, cells) if width > 0 else beside(cells, blanks)


def text(cells: Cells) -> str:
    """All rows, one behind the other."""
    return cells.tobytes().translate(None, b"\0").decode()


def lines(cells: Cells) -> list[str]:
    """A text per row, which has no line feed in it."""
    return text(beside(cells, "\n")).split("\n")[:-1]
