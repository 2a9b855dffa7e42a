"""Every class and every module has a name of its own, in the package and beside it."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("capture", "testbed", "bench", "scripts", "tests", "fuzz", "examples")
OFTEN = ("__init__", "__main__", "conftest")
"""What Python and pytest call so wherever it is."""
COMMANDS = ROOT / "capture" / "cli"
"""A module is called as its command."""


def sources() -> Iterator[Path]:
    """Every module that a person wrote."""
    for folder in FOLDERS:
        yield from (file for file in (ROOT / folder).rglob("*.py") if not file.stem.endswith("_pb2"))


def used_twice(named: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """Names that stand for several things, and where those are."""
    places = defaultdict(list)
    for name, file in named:
        places[name].append(str(file.relative_to(ROOT)))
    return {name: sorted(found) for name, found in places.items() if len(found) > 1}


@pytest.mark.slow
def test_a_class_name_stands_for_one_thing() -> None:
    classes = (
        (node.name, file)
        for file in sources()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert used_twice(classes) == {}


def test_a_module_name_stands_for_one_thing() -> None:
    """But a module of tests may be called as that of another tier."""
    modules = [file for file in sources() if file.stem not in OFTEN and file.parent != COMMANDS]
    assert len(modules) > 200
    assert used_twice((file.stem, file) for file in modules if not file.stem.startswith("test_")) == {}
