"""Columns of numbers and words -> lines of text, a whole column at a time.

Cells are an array [line, byte] of uint8: UTF-8, padded with bytes of 0. Parts of different lengths stand side by
side, and the padding is removed when the lines are joined. In this way numpy formats all rows at once, several times
faster than formatting them one by one (docs/decisions/0016).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Numbers
from capture.arrays.rows import alike
from capture.units import DURATION_UNITS, SIZE_UNITS, Unit, format_duration, format_size

Cells = npt.NDArray[np.uint8]
"""[line, byte]: UTF-8; bytes of 0 are padding."""

_EXACT = float(1 << 53)
"""Smallest number from which on a float64 cannot hold every whole number."""


def words(texts: Sequence[str]) -> Cells:
    """Return cells with one of these texts in each row."""
    encoded = np.array([text.encode() for text in texts], np.bytes_)
    return encoded.view(np.uint8).reshape(len(encoded), encoded.itemsize)


def numbers(values: Numbers, least: int = 1) -> Cells:
    """Return whole numbers of 0 and more in decimal, with at least `least` digits."""
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
    """Steps of a unit, one element each: amounts up to `most` are written in units of `size`, rounded to 1/`parts`.

    `fixed`: digits behind the point are written even if they are 0.
    """

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
    """Return durations as units.format_duration writes them."""
    return _amounts(nanoseconds, _DURATIONS, format_duration)


def sizes(counts: Numbers) -> Cells:
    """Return bytes as units.format_size writes them."""
    return _amounts(counts, _SIZES, format_size)


def _amounts(values: Numbers, scale: _Scale, otherwise: Callable[[int], str]) -> Cells:
    step = np.searchsorted(scale.most, values)
    other = (step == len(scale.most)) | (values < 0)
    step[other] = 0
    size, parts = scale.size[step], scale.parts[step]
    whole = np.where(other, 0, values) * parts
    rounded = (whole + size // 2) // size
    # Half-way between two texts the binary fraction decides, as in format().
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
    """Return `word` of the values in each row; equal rows are formatted once."""
    distinct, which = alike(*columns)
    return words([word(*values) for values in distinct])[which]


def where(rows: npt.NDArray[np.bool_], cells: Cells | str) -> Cells:
    """Return the cells, or the text, in rows where the mask is true, and nothing in the other rows."""
    if isinstance(cells, str):
        cells = words([cells])
    return np.where(rows[:, np.newaxis], cells, np.uint8(0))


def beside(*parts: Cells | str) -> Cells:
    """Return the parts side by side. At least one part must be cells; a text is repeated in all rows."""
    count = next(len(part) for part in parts if not isinstance(part, str))
    return np.hstack([np.tile(words([part]), (count, 1)) if isinstance(part, str) else part for part in parts])


def scattered(count: int, *parts: tuple[npt.NDArray[np.int64], Cells]) -> Cells:
    """Return `count` rows put together from parts: (indices of its rows, its rows)."""
    cells_of_all = np.zeros((count, max((cells.shape[1] for _, cells in parts), default=0)), np.uint8)
    for at, cells in parts:
        cells_of_all[at, : cells.shape[1]] = cells
    return cells_of_all


def aligned(cells: Cells, width: int) -> Cells:
    """Return cells padded with blanks to `width` characters: on the left, or on the right if it is negative."""
    characters = np.count_nonzero((cells != 0) & (cells & 0xC0 != 0x80), axis=1)  # RFC 3629, section 3
    blanks = np.where(np.arange(abs(width)) < abs(width) - characters[:, np.newaxis], np.uint8(ord(" ")), np.uint8(0))
    return beside(blanks, cells) if width > 0 else beside(cells, blanks)


def cut(cells: Cells, width: int) -> Cells:
    """Return cells of at most `width` characters: longer ones end with an ellipsis."""
    begins = (cells != 0) & (cells & 0xC0 != 0x80)
    place = np.cumsum(begins, axis=1)
    long = place[:, -1] > width if cells.shape[1] else np.zeros(len(cells), np.bool_)
    kept = np.where(place <= np.where(long, width - 1, width)[:, np.newaxis], cells, np.uint8(0))
    return beside(kept, where(long, "…"))


def text(cells: Cells) -> str:
    """Return the text of all rows, joined without a separator."""
    return cells.tobytes().translate(None, b"\0").decode()


def lines(cells: Cells) -> list[str]:
    """Return the text of each row. No row may contain a line feed."""
    return text(beside(cells, "\n")).split("\n")[:-1]
