"""URLs of stores: their parts, and what is refused before anything is connected to."""

import pytest

from capture.errors import SpecError
from capture.store_url import StoreUrl, folder_of, parse_store_url


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://captures", StoreUrl(scheme="s3", place="captures")),
        ("s3://captures/a/b/", StoreUrl(scheme="s3", place="captures", path="a/b")),
        ("gs://my.bucket-1/x", StoreUrl(scheme="gs", place="my.bucket-1", path="x")),
        ("az://container/x%20y", StoreUrl(scheme="az", place="container", path="x y")),
        ("sftp://me@host/in", StoreUrl(scheme="sftp", place="host", path="in", user="me")),
        (
            "sftp://me@[fd00::1]:2222/~/in",
            StoreUrl(scheme="sftp", place="fd00::1", path="~/in", user="me", port=2222),
        ),
        ("file:///mnt/nas", StoreUrl(scheme="file", place="", path="mnt/nas")),
    ],
)
def test_parts(text: str, parts: StoreUrl) -> None:
    assert parse_store_url(text) == parts
    assert parse_store_url(str(parts)) == parts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("captures", "begins with none of s3://"),
        ("ftp://host/x", "begins with none of s3://"),
        ("s3://", "names no bucket"),
        ("s3://a b/x", "names no bucket"),
        ("s3://bucket/a/../b", "an empty part, . or .. in its path"),
        ("s3://bucket/a//b", "an empty part"),
        ("s3://bucket/a?versionId=1", "a part after [?] or #"),
        ("sftp://host/x", "does not name a user and a host"),
        ("sftp://me:secret@host/x", "has a password in it"),
        ("sftp://me@host:99999/x", "is not a URL"),
        ("file://host/x", "names a host"),
        ("file:///", "names no folder"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        parse_store_url(text)
    assert "secret" not in str(refused.value)


def test_names_have_no_slash_at_their_ends() -> None:
    assert folder_of(parse_store_url("s3://bucket/p/"), "n", "f") == "p/n/f"
    assert folder_of(parse_store_url("s3://bucket"), "n", "f") == "n/f"
