"""Compiled loops -> where mypy, the fuzzer and a reader find them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3] / "capture"


def imported_by(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


@pytest.mark.slow
def test_all_loops_are_in_folders_called_compiled() -> None:
    loops = [file for file in ROOT.rglob("*.py") if "capture.arrays.jit" in imported_by(file)]
    assert len(loops) > 10
    assert {file.parent.name for file in loops} == {"compiled"}


OLD = """
from typing import NamedTuple
class Pair(NamedTuple):
    left: int
    right: int
"""
LOOP = """
import sys
from capture.arrays.jit import loop
import values
@loop
def total(pair):
    return pair.left + pair.right
print(total([one for one in vars(values).values() if getattr(one, "_fields", None)][0](1, 2)))
"""


@pytest.mark.slow
def test_code_that_was_kept_with_types_of_other_names_is_compiled_anew(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(LOOP)
    for values in (OLD, OLD, OLD.replace("Pair", "Renamed")):
        (tmp_path / "values.py").write_text(values)
        done = subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT.parent), "NUMBA_CACHE_DIR": str(tmp_path / "kept")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("3\n", "")
