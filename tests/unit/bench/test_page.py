"""docs/performance.md has the tables that its results give, and no others."""

import pytest

from bench.page import FOLDER, PAGE, filled, tables


def test_the_page_is_made_from_its_results() -> None:
    page = PAGE.read_text()
    assert filled(page, tables(FOLDER)) == page


def test_a_table_replaces_the_one_before_and_needs_a_place() -> None:
    page = "a\n<!-- one -->\n\nold\n\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n"
    found = filled(page, {"one": "new"})
    assert found == "a\n<!-- one -->\n\nnew\n\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n"
    with pytest.raises(AssertionError, match="no place for three"):
        filled(page, {"three": "x"})
