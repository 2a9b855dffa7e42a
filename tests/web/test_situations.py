"""Each situation of a real handshake -> the drawing list of its ladder says what happened, and nothing more."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capture.web.kept_exchanges import KeptExchanges
from capture.web.ladder import ladder
from capture.web.opened import Opened
from testbed.relay import PASSES, wire
from tests.e2e.test_analysis import VERDICTS

ROOT = Path(__file__).parents[2]
Drawn = dict[str, Any]


def drawn(path: Path) -> Drawn:
    """The layout of the only session's ladder, as the page makes it."""
    opened = Opened([str(path)])
    opened.read()
    data = ladder(KeptExchanges(opened).get(1), True, frozenset())
    data["file_end"] = opened.last_ns - opened.first_ns
    opened.close()
    marks = ["node", str(ROOT / "tests/page/marks.mjs")]
    done = subprocess.run(
        marks, input=json.dumps({"data": data, "closed": True}), capture_output=True, text=True, check=True
    )
    made: Drawn = json.loads(done.stdout)
    return made


def words(found: Drawn) -> list[str]:
    return [row["word"] for row in found["rows"] if row["n"]]


def heads(found: Drawn, number: int) -> int:
    return sum(mark.get("n") == number and bool(mark.get("head")) for mark in found["marks"])


def red(found: Drawn) -> list[str]:
    return [row["word"] for row in found["rows"] if row["red"]]


def complete(found: Drawn) -> None:
    assert words(found)[:3] == ["SYN", "SYN ACK", "ACK"]
    assert red(found) == []
    assert [heads(found, number) for number in (1, 2, 3)] == [1, 1, 1]


def unanswered(found: Drawn) -> None:
    assert set(words(found)) == {"SYN"}
    assert found["seen"] == [True, False]
    assert len(red(found)) == len(words(found)) - 1
    fading = [mark["n"] for mark in found["marks"] if mark["k"] == "fade"]
    assert fading == [row["n"] for row in found["rows"] if row["n"]]
    assert all(heads(found, number) == 0 for number in fading)  # nobody saw where it went


def unacknowledged(found: Drawn) -> None:
    assert "SYN ACK" in red(found)
    assert [mark for mark in found["marks"] if mark["k"] == "arc" and mark["x"] == found["columns"]["server"]]


def reset(found: Drawn) -> None:
    assert "RST" in red(found)


def unreachable(found: Drawn) -> None:
    assert "ICMP" in red(found)


def started_before(found: Drawn) -> None:
    assert "SYN" not in words(found)
    assert red(found) == []


def one_side_unseen(found: Drawn) -> None:
    assert found["seen"].count(False) == 1
    column = found["columns"][("client", "server")[found["seen"].index(False)]]
    life = next(mark for mark in found["marks"] if mark["k"] == "line" and mark["x1"] == column == mark["x2"])
    assert life["dash"]
    assert life["c"] == "ink-3"


EXPECTED: dict[str, Callable[[Drawn], None]] = {
    "complete": complete,
    "refused": reset,
    "unanswered": unanswered,
    "unacknowledged": unacknowledged,
    "ack-lost": unacknowledged,
    "aborted": reset,
    "reset-at-once": reset,
    "started-before": started_before,
    "unreachable": unreachable,
    "not-captured": one_side_unseen,
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_ladder_of_each_handshake_says_what_happened(case: str, tmp_path: Path) -> None:
    talk, policy, verdict, _ = VERDICTS[case]
    with wire(tmp_path / "file", policy or (lambda *_: PASSES)) as on:
        talk(on)
    EXPECTED[verdict](drawn(tmp_path / "file"))
