"""Texts and their numbers, so that rows of fixed size can have texts. Each is kept once, for the whole process."""

from collections.abc import Iterable

TEXTS_MAX = 1 << 20
"""Texts that are kept; the number of further ones is that of LEFT_OUT."""
LEFT_OUT = "(too many texts)"


class Texts:
    """Numbers from 0, the empty text, in the order in which texts came."""

    def __init__(self) -> None:
        self._texts = ["", LEFT_OUT]
        self._numbers = {"": 0}

    def number(self, text: str) -> int:
        """Return the number of a text."""
        found = self._numbers.get(text)
        if found is None:
            if len(self._texts) > TEXTS_MAX:
                return 1
            found = self._numbers[text] = len(self._texts)
            self._texts.append(text)
        return found

    def words(self, numbers: Iterable[int]) -> list[str]:
        """Return the texts of numbers."""
        return [self._texts[number] for number in numbers]

    def since(self, first: int) -> list[str]:
        """Return all texts from this number on."""
        return self._texts[first:]


TEXTS = Texts()
"""The texts of all tables."""
