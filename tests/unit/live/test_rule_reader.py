"""The process of the rules, as a recorder starts it: it says what fires, and another one follows where it dies."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capture.live import rule_reader
from capture.live.rule_reader import RuleReader
from capture.live.trigger_rules import parse_rule
from capture.run.file_start import FileStart
from capture.sink.protocol import FileRecord
from testbed.patience import wait_until
from tests.unit.live.running_ring import account
from tests.unit.live.test_rule_process import MS, START, packets, refused

pytestmark = pytest.mark.slow


def running(*files: Path, written: int, until_ms: int) -> Any:
    """A capture that has written these files."""
    records = tuple(FileRecord(str(file), file.stat().st_size, 0) for file in files)
    return SimpleNamespace(files=records, written=lambda: written, written_until_ns=lambda: until_ms * MS)


def start_of(file: Path, before: int) -> FileStart:
    return FileStart(
        path=str(file), began_ns=0, offset_ns=0, accounts=[account(before, before)], events=0, late=0, ordered=False
    )


def test_a_rule_fires_and_a_process_that_dies_is_followed_by_one_that_begins_with_the_present_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_reader, "AGAIN_NS", 0)
    one, two = tmp_path / "1.pcapng", tmp_path / "2.pcapng"
    one.write_bytes(START + packets(*refused(1000)))
    said: list[str] = []
    reader = RuleReader([parse_rule("handshake=refused")], None, said.append)
    found: list[Any] = []

    def fires(capture: Any, present: FileStart, count: int) -> bool:
        found.extend(reader.tell(capture, present))
        return len(found) == count

    try:
        first = running(one, written=2, until_ms=1100)
        wait_until(lambda: fires(first, start_of(one, 0), 1))
        assert (found[0].rule, found[0].file, found[0].number) == ("handshake=refused", str(one), 2)
        process: Any = reader._process
        os.kill(process.process.pid, signal.SIGKILL)
        two.write_bytes(START + packets(*refused(2000)))
        second = running(one, two, written=4, until_ms=2100)
        wait_until(lambda: fires(second, start_of(two, 2), 2))
        assert (found[1].file, found[1].number) == (str(two), 2)
    finally:
        reader.close()
    assert said == ["the process of the rules ended; another one begins soon, with the packets of then"]
    assert reader.missed == 0
