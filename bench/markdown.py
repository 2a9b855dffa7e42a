"""Columns and rows -> a table of Markdown."""

from collections.abc import Sequence

from capture.benchmark.result_table import COLUMNS, rows
from capture.benchmark.results import Results


def as_markdown(results: Results, load: str) -> str:
    """The table of a load, a row per tool."""
    return markdown(COLUMNS, rows(results, load))


def markdown(columns: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text, and whose others are numbers."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *found]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
