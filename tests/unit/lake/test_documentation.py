"""docs/lake-tables.md is what the columns say."""

from capture.lake.tables import TABLES
from scripts import gen_lake_docs


def test_the_page_is_current() -> None:
    assert gen_lake_docs.PAGE.read_text() == gen_lake_docs.page(), "docs/lake-tables.md is not current: run make docs"


def test_every_column_has_a_meaning_and_every_duration_a_unit() -> None:
    for table in TABLES.values():
        for column in table.columns:
            assert column.help.endswith("."), f"{table.name}.{column.name}"
            assert ("_ns" not in column.name) or column.unit.startswith("ns"), f"{table.name}.{column.name}"
