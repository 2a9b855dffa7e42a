"""Schemathesis reads the OpenAPI documents that the doors serve, and tries to get answers that are not in them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.retrieval import users_door
from capture.retrieval.bounded_server import ClientLimits
from tests.unit.retrieval.doors import NODE, ROBOT, OpenDoors, open_doors

EXAMPLES = "60"
LIMITS = ClientLimits(5.0, 5.0)
SETTINGS = """
[checks.positive_data_acceptance]  # 416: a range may be well formed, and behind the end of the file
expected-statuses = ["2xx", "401", "403", "404", "409", "416", "5xx"]
[parameters]
namespace = "shop"
capture = "c"
"""


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenDoors]:
    monkeypatch.setattr(users_door, "LAG_SECONDS", 0.0)  # a token that is not known yet is not waited for
    with open_doors(tmp_path / "bicap", LIMITS) as doors:
        doors.keep(doors.cluster.add("c", "shop"), b"packets")
        doors.rights.add((ROBOT, "packetcaptures", "shop", "c"))
        doors.connected()
        yield doors


def fuzz(folder: Path, address: str, token: str, *words: str) -> None:
    """Fail if a server answers a generated request otherwise than its document says, or not at all."""
    command = [str(Path(sys.executable).with_name("st")), "run", f"{address}/v1/openapi.json", "--url", address]
    command += ["-H", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", EXAMPLES]
    command += ["--generation-deterministic", "--request-timeout", "20"]
    command += ["--workers", "1", "--no-color", "--continue-on-failure", *words]
    (folder / "schemathesis.toml").write_text(SETTINGS)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]


def test_the_door_of_users_answers_as_its_document_says(doors: OpenDoors, tmp_path: Path) -> None:
    fuzz(tmp_path, f"http://127.0.0.1:{doors.users_port}", doors.allow("c", "shop"))
    assert doors.hub.nodes == [NODE]


def test_the_door_of_robots_answers_as_its_document_says(doors: OpenDoors, tmp_path: Path) -> None:
    authority = tmp_path / "ca"
    authority.write_text(doors.identity.authority)
    fuzz(tmp_path, f"https://127.0.0.1:{doors.robots_port}", "robot.of.shop", "--tls-verify", str(authority))
    assert doors.hub.nodes == [NODE]
