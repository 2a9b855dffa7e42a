"""The names of capture.analysis -> what they promise, whatever has been imported before."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import capture.analysis
from testbed.sessions_file import ANSWER, SEGMENT, write

PAGE = Path(__file__).parents[3] / "docs" / "analysis.md"


@pytest.mark.parametrize("name", capture.analysis.__all__)
def test_no_name_is_hidden_by_a_module(name: str) -> None:
    for module in pkgutil.walk_packages(capture.analysis.__path__, "capture.analysis."):
        importlib.import_module(module.name)
    assert not inspect.ismodule(getattr(capture.analysis, name))


@pytest.mark.slow
def test_the_examples_run_and_print_the_content_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("web.pcapng"), 10, group=5)
    Path("checkout.pcapng").write_bytes(Path("web.pcapng").read_bytes() * 2)  # two sections: two points
    tables, objects = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(tables, {})
    assert "% of the wait is on the server side" in capsys.readouterr().out  # and no session failed
    exec(objects, {})
    *parts, findings, leg = capsys.readouterr().out.splitlines()
    assert parts == ["0 0", *(f"1 {at}" for at in range(0, ANSWER, SEGMENT))]  # the request, and the answer
    assert findings == "[]"
    assert leg.endswith(" [] 0.0")  # nothing was lost, and nothing took time
