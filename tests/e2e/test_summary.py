"""`bicap summary` as a command: one page, whose figures are those of tshark and of the other commands."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from testbed.sessions_file import write
from testbed.tool import bicap
from tests.e2e.test_reading import pcap_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "ten.pcapng", 10, group=5)
    return tmp_path / "ten.pcapng"


def test_hosts_are_those_that_tshark_counts(file: Path) -> None:
    words = ["tshark", "-n", "-q", "-r", str(file), "-z", "endpoints,ip"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    rows = re.findall(r"^(\d[\d.]+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)", done.stdout, re.MULTILINE)
    theirs = {row[0]: (int(row[3]), int(row[4]), int(row[6])) for row in rows}
    hosts = json.loads(bicap("summary", "--json", str(file)).stdout)["hosts"]
    assert {one["address"]: (one["packets"], one["bytes"], one["received"]) for one in hosts} == theirs
    assert len(theirs) == 2


def test_the_page_has_all_parts_and_agrees_with_the_other_commands(file: Path) -> None:
    done = bicap("summary", "--time", "utc", str(file))
    assert (done.code, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    size = file.stat().st_size
    assert first.startswith("300 packets, ")
    assert "10 sessions; 2023-11-14 22:13:20.000000 to 2023-11-14 22:13:20.000732" in first
    titles = [line.split()[0] for line in lines if line and re.match(r"^ *[A-Z]{4}", line)]
    assert titles == ["INTERFACE", "PROTOCOL", "HOST", "SERVICE", "SESSION"]
    assert lines[-1] == "no problems found"
    found = json.loads(bicap("summary", "--json", str(file)).stdout)
    assert sum(bar["bytes"] for bar in found["throughput"]) == found["bytes"] < size
    rows = [
        json.loads(line) for line in bicap("sessions", "--json", "--sort", "-bytes", str(file)).stdout.splitlines()
    ]
    assert [one["session"] for one in found["largest"]] == [one["session"] for one in rows]
    assert found["completeness"] == "the file does not say whether the capture lost packets"


def test_a_chart_shows_when_most_was_sent(tmp_path: Path) -> None:
    frames = [bytes(60)] * 5 + [bytes(1500)] + [bytes(60)] * 4
    lines = bicap("summary", "--time", "relative", str(pcap_of(tmp_path / "file", frames))).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if " on average; at most " in line)
    assert re.search(r"at [45]\.\d{6}$", lines[at])
    highest = lines[at + 1].index("█")
    assert 4 / 9 <= (highest + 1) / 60 <= 6 / 9


def test_findings_are_those_of_diagnose(tmp_path: Path) -> None:
    from testbed import packets

    frames = [packets.tcp("10.0.0.1", port, "10.0.0.2", 80, flags=packets.SYN) for port in (4001, 4002)]
    path = str(pcap_of(tmp_path / "file", frames))
    found = json.loads(bicap("summary", "--json", path).stdout)["findings"]
    assert found == json.loads(bicap("diagnose", "--json", path).stdout)["findings"] != []
    assert f"1. {found[0]['what']}" in bicap("summary", path).stdout.splitlines()


def test_a_file_without_packets_has_nothing_to_sum_up(tmp_path: Path) -> None:
    done = bicap("summary", str(pcap_of(tmp_path / "file", [])))
    assert (done.code, done.stdout) == (0, "no packets\n")
    assert json.loads(bicap("summary", "--json", str(tmp_path / "file")).stdout)["throughput"] == []


def test_a_damaged_file_is_summed_up_as_far_as_it_can_be_read(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])
    done = bicap("summary", str(file))
    assert (done.code, done.stderr.count("\n")) == (5, 1)
    assert done.stdout.startswith("299 packets, ")
