"""A file's account of itself -> its completeness."""

import json
from pathlib import Path

import pytest

from capture.analysis.packets.completeness import Completeness, completeness
from capture.pcapng.blocks import InterfaceStatistics, section_header


def test_a_file_without_an_account_has_unknown_completeness(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(section_header(hardware="", os="", application="", comment=""))
    assert completeness(str(tmp_path / "f")) == Completeness()
    assert completeness("-") == Completeness()


def test_losses_are_read_from_the_statistics_at_the_end(tmp_path: Path) -> None:
    blocks = [InterfaceStatistics(i, 0, 0, 10, 10, dropped=2 + i, delivered=8).encode() for i in range(2)]
    start = section_header(hardware="", os="", application="", comment="")
    (tmp_path / "f").write_bytes(start + b"".join(blocks))
    assert completeness(str(tmp_path / "f")) == Completeness(known=True, lost=5)


NO_SUMMARIES = [
    "",
    "null",
    "[" * 100_000,
    '{"account": 1, "spec": {"direction": "both"}}',
    *(
        f'{{"account": {{"lost": {lost}, "sampled_out": 0, "over_limit": 0}}, "spec": {{"direction": {direction}}}}}'
        for lost, direction in (
            ("Infinity", '"both"'),
            ("NaN", '"both"'),
            ('"many"', '"both"'),
            ("0", '"sideways"'),
            ("0", '"\\ud800"'),
            ("0", "[]"),
        )
    ),
]


@pytest.mark.parametrize("content", NO_SUMMARIES, ids=range(len(NO_SUMMARIES)))
def test_a_json_file_of_another_program_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "f.json").write_text(content)
    assert completeness(str(tmp_path / "f")) == Completeness()


def test_the_summary_beside_the_file_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    account = {"lost": 1, "sampled_out": 2, "over_limit": 3}
    (tmp_path / "f.json").write_text(json.dumps({"account": account, "spec": {"direction": "forward"}}))
    found = completeness(str(tmp_path / "f"))
    assert found == Completeness(True, 1, 2, 3, "forward")
    assert str(found) == (
        "the capture lost 1 packet, sampled out 2 packets, left out over the limit 3 packets, "
        "recorded only the forward direction"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"account": 1, "spec": {"direction": "both"}}', "\0"])
def test_an_invalid_summary_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "f.json").write_text(text)
    assert completeness(str(tmp_path / "f")) == Completeness()
