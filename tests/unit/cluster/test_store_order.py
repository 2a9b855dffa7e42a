"""Stores that captures name: which are valid, and what becomes of captures until all is confirmed."""

from datetime import timedelta
from typing import Any

import pytest

from capture.cluster.admission import admitted
from capture.cluster.capture_status import story
from capture.cluster.decision import decide
from capture.cluster.kube import ObjectMetadata
from capture.cluster.objects import CaptureStoreObject, UploadStatus
from capture.cluster.store_order import order_for
from capture.errors import SpecError
from tests.unit.cluster.test_decision import NOW, SPEC, part_of, situation

S3 = {"url": "s3://captures/shop", "secretRef": {"name": "keys"}}
STORED = SPEC | {"store": {"name": "prod"}}


def store(spec: Any) -> CaptureStoreObject:
    return CaptureStoreObject(metadata=ObjectMetadata(name="prod", namespace="shop"), spec=spec)


def test_an_order_has_the_store_and_no_credentials() -> None:
    order = order_for("shop", "prod", store(S3))
    assert order.spec.secret_ref is not None
    assert (order.namespace, order.spec.url, order.spec.secret_ref.name) == ("shop", "s3://captures/shop", "keys")
    assert order_for("", "prod", store(S3)).namespace == "bicap-system"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (None, "CaptureStore shop/prod: Expected `object`"),
        ({"url": "s3://captures"}, "spec.secretRef is missing"),
        (S3 | {"secretRef": {"name": "../../bank/secrets/keys"}}, "$.secretRef.name"),
        (S3 | {"secretRef": {"name": ".."}}, "$.secretRef.name"),
        (S3 | {"secretRef": {"name": "keys?watch=true"}}, "$.secretRef.name"),
        (S3 | {"secretRef": {"name": ""}}, "$.secretRef.name"),
        ({"url": "s3://captures", "serviceAccountName": "x"}, "with the role that it takes in spec.roleARN"),
        (
            {"url": "s3://c1", "serviceAccountName": "x", "roleARN": "r", "stsEndpoint": "http://sts"},
            "does not begin with https://",
        ),
        (
            {"url": "s3://captures", "serviceAccountName": "../../bank/serviceaccounts/x", "roleARN": "r"},
            "$.serviceAccountName",
        ),
        ({"url": "gs://captures", "serviceAccountName": "x", "roleARN": "r"}, "is for s3"),
        ({"url": "s3://captures", "serviceAccountName": "x", "secretRef": {"name": "k"}}, "give one of them"),
        ({"url": "s3://captures", "secretRef": {"name": "k"}, "roleARN": "r"}, "are for spec.serviceAccountName"),
        (S3 | {"url": "file:///etc"}, "spec.url is a folder of a node"),
        (S3 | {"url": "sftp://me@host/x"}, "spec.hostKey is missing"),
        (S3 | {"url": "sftp://me@host/x", "hostKey": " "}, "spec.hostKey is missing"),
        (S3 | {"url": "sftp://me:pw@host/x", "hostKey": "h"}, "has a password in it"),
        (S3 | {"url": "s3://"}, "spec.url 's3://' names no bucket"),
    ],
)
def test_stores_that_cannot_be_used(spec: Any, says: str) -> None:
    with pytest.raises(SpecError, match=r"CaptureStore shop/prod") as refused:
        order_for("shop", "prod", store(spec))
    assert says in str(refused.value)


def test_a_store_that_is_not_there() -> None:
    with pytest.raises(SpecError, match="there is no CaptureStore shop/prod"):
        order_for("shop", "prod", None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"store": {"url": "s3://bucket"}}, "spec.store.url: a capture names a CaptureStore"),
        (
            {"store": {"credentials": "/etc/keys"}},
            "spec.store.credentials: credentials are those of the CaptureStore",
        ),
        ({"store": {"knownHosts": "/etc/hosts"}}, "spec.store.knownHosts: the host key is that of the CaptureStore"),
        ({"store": {"name": "prod", "delete": True}}, "spec.store.delete: files are deleted with their capture"),
        (
            {"store": {"name": "prod"}, "storage": {"fileTime": "1m", "filesKept": 3}},
            "spec.storage.filesKept: it would remove files that spec.store has not confirmed",
        ),
    ],
)
def test_what_a_capture_in_a_cluster_cannot_say_of_a_store(given: Any, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        admitted("PacketCapture", "c", "shop", SPEC | given)
    assert says in str(refused.value)


def test_a_capture_waits_for_its_store_and_says_so() -> None:
    waiting = decide(situation(STORED, no_store="there is no CaptureStore shop/prod"))
    assert (waiting.create, waiting.status.phase) == ([], "Queued")
    complete = waiting.status.condition("Complete")
    assert complete is not None
    assert "there is no CaptureStore shop/prod" in complete.message
    order = order_for("shop", "prod", store(S3))
    (part,) = decide(situation(STORED, store=order)).create
    assert part.store == order


def test_it_is_uploaded_when_everything_is_confirmed_and_expires_only_then() -> None:
    spec = STORED | {"storage": {"ttl": "1h"}}
    first = decide(situation(spec, store=order_for("shop", "prod", store(S3))))
    late = NOW + timedelta(hours=2)

    def seen(upload: UploadStatus, before: Any = None, now: Any = NOW) -> Any:
        part = part_of(first, "Captured", files=[], file_count=2, ended_at=NOW, upload=upload)
        return decide(situation(spec, parts=[part], before=before or first.status, now=now))

    running = seen(UploadStatus(files=2, uploaded=1))
    assert _uploaded(running) == ("False", "Uploading")
    failed = seen(UploadStatus(files=2, uploaded=1, message="NoSuchBucket", tries=3), running.status)
    assert _uploaded(failed) == ("False", "UploadFailed")
    assert [event.reason for event in story(running.status, failed.status) if event.warning] == ["UploadFailed"]
    assert not seen(UploadStatus(files=2, uploaded=2), failed.status, late).expired
    done = seen(UploadStatus(files=2, uploaded=2, complete=True, location="s3://captures/x"), failed.status, late)
    assert _uploaded(done) == ("True", "Confirmed")
    assert done.expired
    assert "Uploaded" in [event.reason for event in story(failed.status, done.status)]


def test_a_capture_without_a_store_has_no_such_condition() -> None:
    assert decide(situation()).status.condition("Uploaded") is None


def _uploaded(decision: Any) -> tuple[str, str]:
    condition = decision.status.condition("Uploaded")
    return condition.status, condition.reason
