"""Files through both doors: what users get of an agent's files, byte by byte, and what they do not get."""

import base64
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from capture.retrieval import capture_routes
from capture.retrieval.orders import Order
from tests.unit.retrieval.doors import NODE, OpenDoors, open_doors

MIB = 1 << 20
CONTENT = random.Random(8470).randbytes(3 * MIB + 17)
FILE = f"/v1/files/{NODE}/c-n1.pcapng"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    with open_doors(tmp_path_factory.mktemp("doors") / "bicap") as doors:
        uid = doors.cluster.add("c", "shop", nodes=(NODE, "n2"))
        doors.keep(uid, CONTENT)
        (doors.home.folder(uid).path / "c-n1.pcapng.json").write_text('{"account": {}}')
        other = doors.cluster.add("other", "bank")
        doors.keep(other, b"not for the shop", "other-n1.pcapng")
        doors.connected()
        yield doors


@pytest.fixture
def token(doors: OpenDoors) -> str:
    return doors.allow("c", "shop")


def digest_of(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def test_a_capture_has_all_files_of_nodes_that_answer_and_says_which_do_not(doors: OpenDoors, token: str) -> None:
    found = doors.get("/v1/capture", token).json()
    assert found["capture"] == {"kind": "PacketCapture", "namespace": "shop", "name": "c", "uid": "uid-c-shop"}
    near, far = found["nodes"]
    assert (near["node"], near["phase"], near["reachable"]) == (NODE, "Captured", True)
    pcapng, summary = near["files"]
    assert pcapng["name"] == "c-n1.pcapng"
    assert pcapng["bytes"] == len(CONTENT)
    assert pcapng["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert pcapng["complete"] is True
    assert summary["name"] == "c-n1.pcapng.json"
    assert far["reachable"] is False
    assert "n2 is not connected" in far["unreachable"]


def test_a_file_comes_whole(doors: OpenDoors, token: str) -> None:
    answer = doors.get(FILE, token)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-digest"] == digest_of(CONTENT)
    assert answer.headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        (f"bytes=100-{MIB}", 100, MIB + 1),
        (f"bytes={3 * MIB}-", 3 * MIB, len(CONTENT)),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT)),
        ("bytes=5-99999999999", 5, len(CONTENT)),
        (f"bytes=-{10 * MIB}", 0, len(CONTENT)),
    ],
)
def test_a_range_is_those_bytes_with_their_digest(
    doors: OpenDoors, token: str, wanted: str, first: int, end: int
) -> None:
    answer = doors.get(FILE, token, Range=wanted)
    assert answer.status_code == 206
    assert answer.content == CONTENT[first:end]
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["content-digest"] == digest_of(CONTENT[first:end])


def test_pieces_make_the_file_and_a_whole_file_of_several_pieces_is_the_same(doors: OpenDoors) -> None:
    content = random.Random(1).randbytes(9 * MIB + 3)
    uid = doors.cluster.add("long", "shop")
    digest = doors.keep(uid, content, "long-n1.pcapng")
    token, path, whole = doors.allow("long", "shop"), f"/v1/files/{NODE}/long-n1.pcapng", b""
    while len(whole) < len(content):
        answer = doors.get(path, token, Range=f"bytes={len(whole)}-", If_Range=f'"{digest}"')
        assert answer.status_code == 206
        assert len(answer.content) <= 8 * MIB
        whole += answer.content
    assert whole == content
    answer = doors.get(path, token)
    assert answer.content == content
    assert answer.headers["content-digest"] == digest_of(content)


def test_a_range_of_another_version_of_the_file_gets_the_whole(doors: OpenDoors, token: str) -> None:
    answer = doors.get(FILE, token, Range="bytes=5-9", If_Range='"0000"')
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize("wanted", ["bytes=5-4", "bytes=-", "lines=1-2", "bytes=0-1,5-6", "bytes=a-b"])
def test_a_range_that_means_nothing_is_ignored(doors: OpenDoors, token: str, wanted: str) -> None:
    assert doors.get(FILE, token, Range=wanted).status_code == 200


def test_a_range_behind_the_end_says_how_long_the_file_is(doors: OpenDoors, token: str) -> None:
    answer = doors.get(FILE, token, Range=f"bytes={len(CONTENT)}-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert str(len(CONTENT)) in answer.json()["error"]


def test_head_says_how_long_a_file_is(doors: OpenDoors, token: str) -> None:
    answer = doors.get(FILE, token, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'


def test_a_file_that_grows_can_be_fetched_as_far_as_it_is(doors: OpenDoors) -> None:
    uid = doors.cluster.add("grows", "shop")
    doors.keep(uid, b"first", "grows-n1.pcapng", ended=False)
    token, path = doors.allow("grows", "shop"), f"/v1/files/{NODE}/grows-n1.pcapng"
    (file,) = doors.get("/v1/capture", token).json()["nodes"][0]["files"]
    assert (file["complete"], file["sha256"]) == (False, None)
    assert doors.get(path, token).content == b"first"
    with open(doors.home.folder(uid).path / "grows-n1.pcapng", "ab") as file:
        file.write(b" and second")
    answer = doors.get(path, token, Range="bytes=5-")
    assert answer.content == b" and second"
    assert "etag" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/files/{NODE}/state.json",
        f"/v1/files/{NODE}/other-n1.pcapng",
        f"/v1/files/{NODE}/..%2Fuid-other-bank%2Fother-n1.pcapng",
        f"/v1/files/{NODE}/../uid-other-bank/other-n1.pcapng",
        f"/v1/files/{NODE}/%2e%2e",
        f"/v1/files/{NODE}/%2Fetc%2Fpasswd",
        f"/v1/files/{NODE}/c-n1.pcapng%00",
        f"/v1/files/{NODE}/c-n1.pcapng%0d%0aX-Evil:%201",
        f"/v1/files/{NODE}/",
        "/v1/files/n3/c-n1.pcapng",
        "/v1/files/..%2F..%2Fn1/c-n1.pcapng",
        "/v1/files/%00/c-n1.pcapng",
        "/v1/nothing",
        "/",
    ],
)
def test_a_path_leads_to_the_listed_files_and_nowhere_else(doors: OpenDoors, token: str, path: str) -> None:
    answer = doors.get(path, token)
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_a_link_in_the_folder_is_not_followed(doors: OpenDoors, token: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    uid = doors.cluster.add("linked", "shop")
    doors.keep(uid, b"x", "linked-n1.pcapng")
    path = doors.home.folder(uid).path / "linked-n1.pcapng"
    os.unlink(path)
    path.symlink_to(secret)
    answer = doors.get(f"/v1/files/{NODE}/linked-n1.pcapng", doors.allow("linked", "shop"))
    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(doors: OpenDoors, token: str, method: str) -> None:
    answer = doors.get(FILE, token, method)
    assert answer.status_code == 405
    assert answer.json()["error"]


def test_an_answer_that_breaks_off_is_cut_so_nobody_takes_it_for_whole(
    doors: OpenDoors, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = doors.cluster.add("broken", "shop")
    doors.keep(uid, random.Random(2).randbytes(9 * MIB), "broken-n1.pcapng")
    token, path = doors.allow("broken", "shop"), doors.home.folder(uid).path / "broken-n1.pcapng"

    def order(*given: object) -> Order:
        if len(given) > 3:  # that for the second piece
            path.unlink(missing_ok=True)
        return Order(*given)

    monkeypatch.setattr(capture_routes, "Order", order)
    with pytest.raises(httpx2.RemoteProtocolError, match=r"incomplete|closed"):
        doors.get(f"/v1/files/{NODE}/broken-n1.pcapng", token)
    assert "an answer broke off: the file became shorter" in caplog.text


def test_a_node_that_is_not_connected_is_an_error_of_its_files_only(doors: OpenDoors, token: str) -> None:
    answer = doors.get("/v1/files/n2/c-n2.pcapng", token)
    assert answer.status_code == 503
    assert "n2" in json.loads(answer.content)["error"]
