"""Programs in the cluster: by their service accounts and RBAC, over TLS, they get what users get, and no more."""

import hashlib
import logging
import socket
import ssl
from collections.abc import Iterator

import httpx2
import pytest

from capture.cluster.api import PACKET_CAPTURES
from capture.cluster.kube import AccessReviewStatus, ReviewedUser, TokenReviewStatus
from capture.retrieval.bounded_server import ClientLimits
from capture.retrieval.refused import RefusedError
from capture.retrieval.robot_tokens import RIGHT_SECONDS, ROBOT_AUDIENCE, TOKEN_SECONDS, RobotTokens
from capture.retrieval.robots_service import HOSTS
from capture.retrieval.tls_identity import trusting
from testbed.patience import wait_until
from tests.unit.retrieval.doors import NODE, ROBOT, OpenDoors, open_doors

TOKEN = "robot.of.shop"
CONTENT = bytes(range(256)) * 100
CAPTURE = "/v1/packetcaptures/shop/c"
FILE = f"{CAPTURE}/files/{NODE}/c-n1.pcapng"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    with open_doors(tmp_path_factory.mktemp("doors") / "bicap", ClientLimits(5.0, 30.0)) as doors:
        doors.keep(doors.cluster.add("c", "shop"), CONTENT)
        doors.keep(doors.cluster.add("c", "bank"), b"others")
        doors.keep(doors.cluster.add("all", ""), b"everything", "all-n1.pcapng")
        doors.rights |= {(ROBOT, "packetcaptures", "shop", "c"), (ROBOT, "clusterpacketcaptures", "", "all")}
        doors.connected()
        yield doors


@pytest.fixture
def robot(doors: OpenDoors) -> Iterator[httpx2.Client]:
    """A program that knows the authority."""
    context = trusting(doors.identity.authority)
    address, headers = f"https://127.0.0.1:{doors.robots_port}", {"Authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=address, verify=context, trust_env=False, headers=headers, timeout=20) as client:
        yield client


def test_a_program_gets_the_files_of_the_captures_that_rbac_lets_it_fetch(
    doors: OpenDoors, robot: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (node,) = robot.get(f"{CAPTURE}/capture").json()["nodes"]
    assert node["files"][0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert robot.get(FILE).content == CONTENT
    part = robot.get(FILE, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, CONTENT[5:10])
    assert robot.head(FILE).headers["content-length"] == str(len(CONTENT))
    everything = robot.get(f"/v1/clusterpacketcaptures/all/files/{NODE}/all-n1.pcapng")
    assert everything.content == b"everything"
    granted = [vars(one) for one in caplog.records if one.message == "access granted"]
    assert {(one["access"], one["capture"]) for one in granted} >= {(ROBOT, "c"), (ROBOT, "all")}
    asked = doors.questions[0]
    assert asked["groups"] == ["system:serviceaccounts", "system:serviceaccounts:shop"]
    assert asked["uid"] == "1"


@pytest.mark.parametrize(
    ("token", "path", "status", "words"),
    [
        ("", "/v1/packetcaptures/shop/c/capture", 401, "no Authorization"),
        ("not-a-token", "/v1/packetcaptures/shop/c/capture", 401, "not one of a service account"),
        ("made.up.token", "/v1/packetcaptures/shop/c/capture", 401, "not good for bicap: unknown token"),
        ("other.audience.token", "/v1/packetcaptures/shop/c/capture", 401, "it is for others"),
        (TOKEN, "/v1/packetcaptures/bank/c/capture", 403, "may not get packetcaptures/files c in namespace bank"),
        (TOKEN, "/v1/packetcaptures/bank/absent/capture", 403, "may not get"),
        (TOKEN, "/v1/packetcaptures/shop/../bank/c/capture", 403, "in namespace bank"),
        (TOKEN, "/v1/clusterpacketcaptures/c/capture", 403, "may not get clusterpacketcaptures/files c"),
        (TOKEN, "/v1/packetcaptures/shop/c/files/n1/all-n1.pcapng", 404, "no file"),
        (TOKEN, "/v1/capture", 404, "Not Found"),
    ],
)
def test_who_may_not_gets_nothing_and_learns_nothing(
    robot: httpx2.Client, token: str, path: str, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = robot.get(path, headers={"Authorization": f"Bearer {token}" if token else "Basic x"})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    if status in (401, 403):
        (line,) = [one for one in caplog.records if one.name == "bicap.audit"]
        assert words in line.getMessage()


def test_a_capture_that_is_gone_is_told_to_those_who_may_fetch_it(doors: OpenDoors, robot: httpx2.Client) -> None:
    doors.rights.add((ROBOT, "packetcaptures", "shop", "gone"))
    assert robot.get("/v1/packetcaptures/shop/gone/capture").status_code == 404


def test_a_controller_that_does_not_lead_serves_no_program(doors: OpenDoors, robot: httpx2.Client) -> None:
    doors.leads = False
    try:
        assert robot.get(f"{CAPTURE}/capture").status_code == 503
    finally:
        doors.leads = True


def test_the_certificate_is_for_the_names_of_the_service(doors: OpenDoors) -> None:
    context = trusting(doors.identity.authority)
    for host in HOSTS:
        with (
            socket.create_connection(("127.0.0.1", doors.robots_port)) as raw,
            context.wrap_socket(raw, server_hostname=host) as secure,
        ):
            assert secure.version() == "TLSv1.3"
    with (
        socket.create_connection(("127.0.0.1", doors.robots_port)) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(raw, server_hostname="bicap.evil.svc")


def test_connections_that_do_not_finish_their_handshake_count_and_are_cut(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with open_doors(tmp_path_factory.mktemp("slow") / "bicap", ClientLimits(0.5, 30.0)) as doors:
        held = [socket.create_connection(("127.0.0.1", doors.robots_port), timeout=20) for _ in range(8)]
        wait_until(lambda: doors.servers.connections("robots") == len(held))
        with socket.create_connection(("127.0.0.1", doors.robots_port), timeout=20) as more:
            assert more.recv(1) == b""
        for sock in held:
            assert sock.recv(1) == b""
            sock.close()
        wait_until(lambda: doors.servers.connections("robots") == 0)


def test_the_api_server_is_asked_again_after_a_while() -> None:
    now, asked = [0.0], []

    def review(token: str) -> TokenReviewStatus:
        asked.append("who")
        return TokenReviewStatus(authenticated=True, user=ReviewedUser(username="x"), audiences=[ROBOT_AUDIENCE])

    def may(question: object) -> AccessReviewStatus:
        asked.append("may")
        return AccessReviewStatus(allowed=asked.count("may") == 1)

    tokens = RobotTokens(review, may, lambda: now[0])
    for _ in range(3):
        tokens.check(tokens.user_of("a.b.c"), PACKET_CAPTURES, "shop", "c")
    assert asked == ["who", "may"]
    now[0] = RIGHT_SECONDS
    with pytest.raises(RefusedError, match="x may not get packetcaptures/files c in namespace shop"):
        tokens.check(tokens.user_of("a.b.c"), PACKET_CAPTURES, "shop", "c")
    now[0] = TOKEN_SECONDS
    tokens.user_of("a.b.c")
    assert asked == ["who", "may", "may", "who"]


@pytest.mark.parametrize("door", ["users", "robots"])
def test_the_openapi_document_says_what_is_served(doors: OpenDoors, robot: httpx2.Client, door: str) -> None:
    path = "/v1/openapi.json"
    answer = robot.get(path, headers={"Authorization": "none"}) if door == "robots" else doors.get(path, None)
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    prefix = "/v1/packetcaptures/{namespace}/{capture}" if door == "robots" else "/v1"
    files = document["paths"][f"{prefix}/files/{{node}}/{{name}}"]
    assert {"get", "head"} <= files.keys()
    assert {"200", "206", "401", "403", "404", "416", "503"} <= files["get"]["responses"].keys()
    schemas = document["components"]["schemas"]
    assert schemas["CaptureListing"]["required"] == ["capture"]
    assert list(schemas["ListedFile"]["properties"]) == ["name", "bytes", "sha256", "complete", "first", "last"]
