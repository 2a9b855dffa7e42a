"""The wheel, built from the sources and unpacked where no repository is: all of it can be imported."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "LICENSE", "capture", "bpf", "bench", "testbed", "tests", "scripts")
"""What the build finds in a checkout. It works on a copy: it leaves files in the folder where it runs."""
TOO_HEAVY = {"obstore", "obstore.store", "pyspark"}
"""Packages of extras that `make test` does without, and the modules that import them at their top."""
NEED_THEM = {"capture.spark.data_source"}
IMPORT_ALL = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in json.load(sys.stdin)}))
"""
MISSING = """
import importlib.util, json, sys
print([name for name in json.load(sys.stdin) if importlib.util.find_spec(name) is None])
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was unpacked in."""
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("installed")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, checkout)
    # The build backend is of the extra `dev`, so that nothing is downloaded.
    words = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(checkout)]
    command = [sys.executable, "-m", "pip", "wheel", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    wheel.unlink()
    return folder


def without_repository(installed: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python with the wheel and what it depends on.

    Without `site`, because the .pth file of an editable installation would bring the repository back.
    """
    paths = os.pathsep.join([str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    return subprocess.run(
        [sys.executable, "-S", *words],
        input=given,
        capture_output=True,
        text=True,
        cwd=installed,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def imported_by(node: ast.AST) -> list[str]:
    """The modules that a statement imports, or imports something from."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def files_below(folder: Path) -> set[str]:
    """All files, but what Python and an editor leave."""
    return {
        str(file.relative_to(folder))
        for name, _, names in os.walk(folder, followlinks=True)
        for file in (Path(name, one) for one in names)
        if "__pycache__" not in file.parts
    }


def test_it_has_the_package_and_nothing_else(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {"capture"}


def test_it_has_every_file_of_the_package(installed: Path) -> None:
    needed = {name for name in files_below(ROOT / "capture") if not name.endswith((".proto", ".d.ts"))}
    assert {"py.typed", "estimate/costs.json", "bpf/programs/capture.c", "bpf/abi.h", "web/page/index.html"} <= needed
    assert "web/page/vendor/lit-html/lit-html.js" in needed, "`make page` brings it"
    assert any(name.startswith("bpf/stubs/") for name in needed)
    assert files_below(installed / "capture") == needed


def test_every_module_can_be_imported_and_none_needs_what_is_not_there(installed: Path) -> None:
    modules = [
        ".".join(file.relative_to(installed).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted((installed / "capture").rglob("*.py"))
    ]
    assert set(modules) >= NEED_THEM
    modules = [module for module in modules if module not in NEED_THEM]
    done = without_repository(installed, "-c", IMPORT_ALL, given=json.dumps(modules))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(modules)
    assert all(Path(file).is_relative_to(installed) for file in found.values())


@pytest.mark.parametrize("name", ["bench", "scripts", "testbed", "tests"])
def test_what_is_not_in_it_is_not_found_in_that_folder(installed: Path, name: str) -> None:
    done = without_repository(installed, "-c", f"import {name}")
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named '{name}'"


def test_imports_inside_functions_are_of_what_is_there_too(installed: Path) -> None:
    named = {
        module
        for file in (installed / "capture").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for module in imported_by(node)
        if module not in TOO_HEAVY and module.partition(".")[0] not in TOO_HEAVY
    }
    assert {"capture.benchmark.compare", "capture.run.capture"} <= named
    done = without_repository(installed, "-c", MISSING, given=json.dumps(sorted(named)))
    assert (done.stdout, done.stderr) == ("[]\n", "")
