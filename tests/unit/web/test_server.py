"""What the server of the page answers, to whom, and with which headers."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from capture.web.app import application
from capture.web.opened import Opened
from testbed import shop
from tests.unit.web.asking import PORT, TOKEN, ask


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("shop") / "shop.pcapng"
    shop.write(path)
    opened = Opened([str(path)])
    opened.read()
    assert opened.damage == ""
    yield application(opened, TOKEN, PORT)
    opened.close()


@pytest.mark.slow
def test_every_answer_forbids_what_is_inline_and_what_is_elsewhere(app: Any) -> None:
    for path, token in (
        ("/", None),
        ("/main.js", None),
        ("/api/status", TOKEN),
        ("/api/status", "wrong"),
        ("/no", TOKEN),
    ):
        answer = ask(app, path, x_bicap_token=token)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("token", [None, "", "wrong", "RIGHT", "right ", "\u00e9"])
def test_data_is_only_for_the_token(app: Any, token: str | None) -> None:
    assert ask(app, "/api/status", x_bicap_token=token).status == 401
    assert ask(app, "/api/packet/1", x_bicap_token=token).status == 401
    assert ask(app, "/api/export/pcapng?sessions=1", x_bicap_token=token).status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil:{PORT}", "", None]
)
def test_another_name_for_this_machine_is_refused_as_a_rebound_one(app: Any, host: str | None) -> None:
    assert ask(app, "/", host=host).status == 421
    assert ask(app, "/api/status", host=host).status == 421


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_the_names_of_loopback_are_answered(app: Any, host: str) -> None:
    assert ask(app, "/api/status", host=host, origin=f"http://{host}").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_is_refused_even_with_the_token(app: Any, origin: str) -> None:
    assert ask(app, "/api/status", origin=origin).status == 403


def test_a_request_from_another_site_is_refused(app: Any) -> None:
    assert ask(app, "/api/status", sec_fetch_site="cross-site").status == 403
    assert ask(app, "/", sec_fetch_site="cross-site").status == 403
    assert ask(app, "/", sec_fetch_site="none").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/app.py",
        "/vendor/../../app.py",
        "//etc/passwd",
        "/..%2f..%2fapp.py",
        "/app.py",
        "/\0",
    ],
)
def test_only_the_files_of_the_page_have_addresses(app: Any, path: str) -> None:
    assert ask(app, path).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(app: Any, method: str) -> None:
    assert ask(app, "/api/status", method).status == 405


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("session/0", "there is no session 0"),
        ("session/100000", "there is no session 100000; the file has 339 sessions"),
        ("session/100000/ladder", "there is no session 100000"),
        ("packet/0", "there is no packet 0"),
        ("packet/99999999", "the file has 6,099"),
        ("sessions?filter=byte%3E1", "there is no column byte"),
        ("sessions?filter=%22x", "a quote has no end"),
        ("sessions?from=x", "is not a number"),
        ("sessions?group=moon", "groups are none, server, client, verdict"),
        ("export/pcapng", "name the sessions"),
    ],
)
def test_a_wrong_question_gets_one_line(app: Any, path: str, words: str) -> None:
    answer = ask(app, f"/api/{path}")
    assert answer.status == 400
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]


def test_the_list_has_what_the_filter_leaves_and_says_what_hides_the_rest(app: Any) -> None:
    answer = ask(app, "/api/sessions?filter=server%3Dbank/api-0+handshake!%3Dcomplete&group=server&groups=1").json
    assert (answer["shown"], answer["total"]) == (18, 339)
    assert answer["hidden"] == [["server", 310], ["handshake", 11]]
    assert [row["verdict"][0][1] for row in answer["rows"]] == ["bad"] * 18
    (group,) = answer["groups"]
    assert (group["name"], group["count"], group["bad"]) == ("bank/api-0:80", 18, 18)


def test_windows_of_the_list_are_its_parts(app: Any) -> None:
    whole = [row["n"] for row in ask(app, "/api/sessions?sort=-bytes&count=400").json["rows"]]
    parts = [ask(app, f"/api/sessions?sort=-bytes&from={at}&count=60").json["rows"] for at in range(0, 339, 60)]
    assert [row["n"] for part in parts for row in part] == whole
    assert len(whole) == 339


def test_completion_counts_what_each_value_would_leave(app: Any) -> None:
    found = {one["text"]: one["count"] for one in ask(app, "/api/complete?text=handshake%3D").json}
    for value, count in found.items():
        assert ask(app, f"/api/sessions?filter=handshake%3D{value}").json["shown"] == count
    assert found["unanswered"] == 18


def test_arrays_lie_at_multiples_of_eight_and_are_those_of_the_head(app: Any) -> None:
    body = ask(app, "/api/session/71/sequence?width=900").body
    length = int.from_bytes(body[:4], "little")
    head, data = json.loads(body[4 : 4 + length]), body[4 + length :]
    assert (4 + length) % 8 == 0
    arrays = {
        name: np.frombuffer(data, "<f8" if kind == "f8" else "u1", count, at)
        for name, kind, at, count in head["arrays"]
    }
    assert all(at % 8 == 0 for _, _, at, _ in head["arrays"])
    assert (arrays["seg1_kind"] == 1).sum() == 7  # sent again


def test_every_packet_of_a_session_is_in_one_item_of_its_ladder(app: Any) -> None:
    for session in (44, 71, 92, 138, 189):
        numbers = [row["n"] for row in ask(app, f"/api/packets?session={session}&count=500").json["rows"]]
        items = ask(app, f"/api/session/{session}/ladder").json["items"]
        ends = [(item["n"], item.get("last", item["n"])) for item in items]
        assert all(sum(low <= number <= high for low, high in ends) == 1 for number in numbers)


def test_tshark_reads_the_one_session_and_shows_the_packet_that_is_asked_for(app: Any) -> None:
    lines = ask(app, "/api/packet/3164/tree").json
    assert any("Sequence Number: 0" in line and "relative" in line for line in lines)
    assert any("Flags: 0x002 (SYN)" in line for line in lines)
