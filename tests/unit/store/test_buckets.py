"""URLs and settings of S3, Google Cloud Storage and Azure -> stores of obstore; web identity against a small STS.

No emulator of Google's or Azure's storage is asked: what obstore gets is shown here, not what those services do.
"""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from capture.retrieval.tls_identity import make_identity
from capture.store.bucket_place import BucketPlace
from capture.store.object_place import StoreRefusedError
from capture.store.store_credentials import (
    CERTIFICATES,
    ENDPOINT,
    ROLE,
    STS_ENDPOINT,
    WEB_TOKEN,
    check_own,
    settings_in,
)
from capture.store_url import parse_store_url

AZURE = "azure_storage_account_name = shop\nazure_storage_account_key = Zm9v\n"
SESSION = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>session</SessionToken>
<SecretAccessKey>secret</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>KEY</AccessKeyId>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def test_azure_has_its_container_and_account() -> None:
    settings = settings_in("az", AZURE)
    check_own("az", settings)
    place = BucketPlace(parse_store_url("az://captures/prod"), settings)
    config: Any = place._store.config
    assert type(place._store).__name__ == "AzureStore"
    assert (config["container_name"], config["account_name"]) == ("captures", "shop")


@pytest.mark.parametrize("text", ["azure_storage_account_name = shop", "[default]\nclient_id = x"])
def test_azure_without_a_key_is_not_opened_by_the_machines_own(text: str) -> None:
    with pytest.raises(StoreRefusedError, match="not complete"):
        check_own("az", settings_in("az", text))


def test_google_has_its_bucket_and_a_key_that_is_no_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(StoreRefusedError, match="settings of gs are not understood") as refused:
        BucketPlace(parse_store_url("gs://captures"), settings_in("gs", '{"private_key": "hush"}'))
    assert "hush" not in str(refused.value)


class StsAndS3(ThreadingHTTPServer):
    """Gives one role for one token, and answers who has its keys."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StsOrS3)
        self.asked: list[dict[str, list[str]]] = []
        self.sessions: list[str | None] = []
        self.identity = make_identity("127.0.0.1")
        self.socket = self.identity.server.wrap_socket(self.socket, server_side=True)
        self.address = f"https://127.0.0.1:{self.server_address[1]}"


class StsOrS3(BaseHTTPRequestHandler):
    """One request."""

    server: StsAndS3

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer as STS, whether the question is in the URL or in the body."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append(parse_qs(self.path.partition("?")[2] + "&" + body))
        self._answer(200, SESSION.encode())

    def do_GET(self) -> None:
        """Answer the same."""
        self.do_POST()

    def do_PUT(self) -> None:
        """Take an object."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.sessions.append(self.headers.get("x-amz-security-token"))
        self._answer(200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def sts() -> Iterator[StsAndS3]:
    server = StsAndS3()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_token_of_a_service_account_becomes_a_role(sts: StsAndS3) -> None:
    given = {ROLE: "arn:aws:iam::1:role/captures", STS_ENDPOINT: sts.address, ENDPOINT: sts.address, "region": "eu"}
    given[CERTIFICATES] = sts.identity.authority
    settings = settings_in("s3", f"[default]\n{WEB_TOKEN} = a.b.c\n") | given
    check_own("s3", settings)
    place = BucketPlace(parse_store_url("s3://captures"), settings)
    with open(os.memfd_create("content"), "w+b") as file:
        file.write(b"packets")
        file.seek(0)
        place.put("x", file, 7, lambda _: None, replace=True)
    place.close()
    (asked,) = sts.asked
    assert asked["Action"] == ["AssumeRoleWithWebIdentity"]
    assert asked["RoleArn"] == ["arn:aws:iam::1:role/captures"]
    assert asked["WebIdentityToken"] == ["a.b.c"]
    assert sts.sessions == ["session"]


def test_a_token_without_a_role_is_not_enough() -> None:
    with pytest.raises(StoreRefusedError, match="not complete"):
        check_own("s3", {WEB_TOKEN: "a.b.c"})
