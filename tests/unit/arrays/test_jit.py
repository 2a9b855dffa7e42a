"""Compiled loops -> where mypy, the fuzzer and a reader find them."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3] / "capture"


def imported_by(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_all_loops_are_in_folders_called_compiled() -> None:
    loops = [file for file in ROOT.rglob("*.py") if "capture.arrays.jit" in imported_by(file)]
    assert len(loops) > 10
    assert {file.parent.name for file in loops} == {"compiled"}
