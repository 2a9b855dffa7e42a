"""The drawing lists of the page, tested as data by Node's own test runner: tests/page/*.test.js."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which `make lint` installs")
def test_drawing_lists_say_what_happened() -> None:
    files = sorted(str(file) for file in (ROOT / "tests/page").glob("*.test.js"))
    done = subprocess.run(["node", "--test", *files], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_the_page_has_nothing_inline_and_names_nothing_elsewhere() -> None:
    page = ROOT / "capture/web/page"
    html = (page / "index.html").read_text()
    assert "<style" not in html
    assert " style=" not in html
    assert html.count("<script") == 1
    for file in [*page.glob("*.js"), *page.glob("*.css"), page / "index.html"]:
        assert "http://" not in file.read_text(), file.name
        assert "https://" not in file.read_text(), file.name
