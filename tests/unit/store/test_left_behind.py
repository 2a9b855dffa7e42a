"""Files that a capture left here when its store was gone: `bicap upload` brings what is missing, and no more."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from capture.cli.main import cli
from capture.errors import BicapError, StoreError

NAMES = ("web_00001_20261130120000.pcapng", "web_00002_20261130121000.pcapng")


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["upload", *words])


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """FILE.json of a capture whose second file is not in the store; its first is there only."""
    os.chmod(tmp_path, 0o777)
    here, store = tmp_path / "here", tmp_path / "store/node/web-20261130T120000Z"
    here.mkdir()
    store.mkdir(parents=True)
    for folder in (tmp_path / "store", store.parent, store):
        os.chmod(folder, 0o777)  # the uploader is nobody
    (store / NAMES[0]).write_bytes(b"first")
    (here / NAMES[1]).write_bytes(b"second")
    digest = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"  # of "first"
    confirmed = {"name": NAMES[0], "state": "confirmed", "tries": 1, "bytes": 5, "sha256": digest, "deleted": True}
    waiting = {"name": NAMES[1], "state": "waiting", "tries": 7, "reason": "gone", "deleted": False}
    told: dict[str, Any] = {
        "files": [{"path": f"/var/elsewhere/{name}", "bytes": 6, "began_ns": 1764504000 * 10**9} for name in NAMES],
        "account": {"written": 2},
        "store": {"url": f"file://{store}", "files": [confirmed, waiting]},
    }
    summary = here / "web.pcapng.json"
    summary.write_text(json.dumps(told))
    return summary


def test_what_is_missing_goes_where_the_rest_is(left: Path) -> None:
    found = run(str(left), "--store-delete", "--store-retry", "20s")
    assert found.exception is None, found.output
    told = json.loads(left.read_text())
    store = Path(told["store"]["url"].removeprefix("file://"))
    assert sorted(path.name for path in store.iterdir()) == sorted([*NAMES, "manifest.json", "web.pcapng.json"])
    assert (store / NAMES[1]).read_bytes() == b"second"
    assert [(one["state"], one["deleted"]) for one in told["store"]["files"]] == [("confirmed", True)] * 2
    assert told["account"] == {"written": 2}
    manifest = json.loads((store / "manifest.json").read_text())
    assert [file["name"] for file in manifest["files"]] == [*NAMES, "web.pcapng.json"]
    assert not (left.parent / NAMES[1]).exists()
    assert "uploaded to file://" in found.output


def test_a_file_that_is_nowhere_is_named_and_the_exit_code_is_that_of_stores(left: Path) -> None:
    (left.parent / NAMES[1]).unlink()
    found = run(str(left), "-q", "--store-retry", "1s")
    assert isinstance(found.exception, StoreError)
    assert f"{NAMES[1]}; 1 of 2 files confirmed" in str(found.exception)
    assert "it cannot be read here" in str(found.exception)


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (None, [], "cannot be read"),
        ("{", [], "is not the JSON of a capture"),
        ('{"files": 3}', [], "is not the JSON of a capture"),
        ('{"files": []}', [], "names no store; give one with --store"),
        ('{"files": []}', ["--store", "ftp://x"], "begins with none of"),
    ],
)
def test_what_is_not_left_by_a_capture_is_one_line(
    tmp_path: Path, content: str | None, words: list[str], message: str
) -> None:
    path = tmp_path / "x.pcapng.json"
    if content is not None:
        path.write_text(content)
    found = run(str(path), *words)
    assert isinstance(found.exception, BicapError)
    assert message in str(found.exception)
    assert "\n" not in str(found.exception)
    assert isinstance(run(str(tmp_path / "x.pcapng")).exception, BicapError)
