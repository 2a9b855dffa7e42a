"""Files of credentials, as the tools of each store write them."""

from pathlib import Path

import pytest

from capture.store.backoff import MOST_SECONDS, delay
from capture.store.object_place import StoreRefusedError
from capture.store.store_credentials import settings_in, standard_settings

AWS = "[default]\naws_access_key_id = A\naws_secret_access_key = S%1\n[profile other]\naws_access_key_id = B\n"


@pytest.mark.parametrize(
    ("scheme", "text", "profile", "settings"),
    [
        ("s3", AWS, "default", {"aws_access_key_id": "A", "aws_secret_access_key": "S%1"}),
        ("s3", AWS, "other", {"aws_access_key_id": "B"}),
        (
            "s3",
            "aws_access_key_id=A\nendpoint_url=http://h",
            "default",
            {"aws_access_key_id": "A", "endpoint": "http://h"},
        ),
        ("s3", "[only]\nregion = r", "default", {"region": "r"}),
        ("gs", '{"private_key": "k"}', "default", {"service_account_key": '{"private_key": "k"}'}),
        ("sftp", "KEY", "default", {"private_key": "KEY"}),
    ],
)
def test_settings(scheme: str, text: str, profile: str, settings: dict[str, str]) -> None:
    assert settings_in(scheme, text, profile) == settings


@pytest.mark.parametrize("text", ["[default]\nnonsense-secret", "[a]\nx=secret\n[b]\ny=secret"])
def test_what_is_not_understood_is_not_repeated(text: str) -> None:
    with pytest.raises(StoreRefusedError) as refused:
        settings_in("s3", text)
    assert "secret" not in str(refused.value)


def test_the_users_own_files_of_aws(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[default]\nregion = eu\noutput = json\n[profile p]\nregion = us\n")
    (tmp_path / ".aws/credentials").write_text(AWS)
    found = standard_settings("s3", {"HOME": str(tmp_path)})
    assert found == {"region": "eu", "aws_access_key_id": "A", "aws_secret_access_key": "S%1"}
    assert standard_settings("s3", {"HOME": str(tmp_path), "AWS_PROFILE": "p"}) == {"region": "us"}


def test_tries_come_later_and_later_and_never_all_at_once() -> None:
    assert [delay(failures, 1) for failures in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, MOST_SECONDS, MOST_SECONDS]
    assert delay(3, 0) == 2
