"""A scan of hundreds of thousands of ports, each a session that stays open -> memory for those that can be open."""

import json

import pytest

from capture.analysis.sessions.tracker import OPEN_MAX
from testbed.sessions_file import write
from testbed.tool import BICAP, bicap
from testbed.usage import measure

FEW, MANY = 300_000, 700_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("many")
    names = [folder / "few", folder / "many"]
    for name, count in zip(names, (FEW, MANY), strict=True):
        assert count > OPEN_MAX
        assert write(name, count, first=1) == count
    return [str(name) for name in names]


@pytest.mark.parametrize("command", [["sessions", "-c", "1"], ["latency"], ["diagnose"], ["follow", "--json"]])
def test_memory_does_not_grow_with_sessions(command: list[str], files: list[str]) -> None:
    words = [[BICAP, *command, file, *(["300"] if command[0] == "follow" else [])] for file in files]
    measure(words[0])  # loops that are not kept yet would be compiled in the process that is measured
    few, many = (measure(line).peak_rss_mib for line in words)
    assert few < 512
    # What is sorted leaves a key, a number and its place for each session.
    assert many - few < 64


def test_each_is_a_session(files: list[str]) -> None:
    last = bicap("sessions", "--json", "--sort", "-start", "-c", "1", files[1])
    assert json.loads(last.stdout)["session"] == MANY
