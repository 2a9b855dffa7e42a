"""Alerts -> recorders by their labels, and alarms that wait for their turn and are answered."""

import pytest

from capture.cluster.alarm_inbox import AlarmInbox, KnownRecorder, selected
from capture.cluster.forwarding import Alarm
from capture.errors import ApiError

RECORDERS = [
    KnownRecorder("u1", "shop", "checkout", frozenset({("shop", "web-0"), ("shop", "web-1")})),
    KnownRecorder("u2", "bank", "checkout", frozenset({("bank", "vault")})),
    KnownRecorder("u3", "", "checkout", frozenset({("shop", "web-0"), ("bank", "vault")})),
]
LABELS = [
    ({"bicap_io_capture": "shop/checkout"}, ["u1"]),
    ({"bicap.io/capture": "shop/checkout", "namespace": "bank", "pod": "vault"}, ["u1"]),
    ({"bicap_io_capture": "checkout", "namespace": "bank"}, ["u2"]),
    ({"bicap_io_capture": "/checkout"}, ["u3"]),
    ({"bicap_io_capture": "shop/other"}, []),
    ({"namespace": "shop", "pod": "web-0"}, ["u1", "u3"]),
    ({"namespace": "bank", "pod": "vault"}, ["u2", "u3"]),
    ({"namespace": "shop", "pod": "vault"}, []),
    ({"namespace": "shop"}, []),
    ({"pod": "web-0"}, []),
    ({}, []),
]


@pytest.mark.parametrize(("labels", "found"), LABELS, ids=[str(labels) for labels, _ in LABELS])
def test_labels_select_recorders_by_name_or_by_pod(labels: dict[str, str], found: list[str]) -> None:
    assert [one.uid for one in selected(labels, RECORDERS)] == found


def test_an_alarm_is_answered_when_its_capture_was_decided_about() -> None:
    inbox = AlarmInbox()
    first, second = inbox.put("u1", Alarm("a", "A")), inbox.put("u1", Alarm("b", "B"))
    other = inbox.put("u2", Alarm("a", "A"))
    with inbox.taken("u1") as (alarms, sent):
        assert [alarm.id for alarm in alarms] == ["a", "b"]
        sent.add("b")
        assert not first.done()
    assert (first.result(0), second.result(0), other.done()) == (False, True, False)
    with inbox.taken("u1") as (alarms, _):
        assert alarms == []


def test_who_waits_hears_of_an_error() -> None:
    inbox = AlarmInbox()
    answer = inbox.put("u1", Alarm("a", "A"))
    with pytest.raises(ApiError), inbox.taken("u1"):
        raise ApiError("the API server does not answer", 0)
    with pytest.raises(ApiError):
        answer.result(0)


def test_an_alarm_that_nobody_waits_for_is_not_taken() -> None:
    inbox = AlarmInbox()
    inbox.put("u1", Alarm("a", "A")).cancel()
    inbox.put("u1", Alarm("b", "B"))
    with inbox.taken("u1") as (alarms, _):
        assert [alarm.id for alarm in alarms] == ["b"]
    inbox.put("u2", Alarm("c", "C"))
    inbox.drop("u2")
    with inbox.taken("u2") as (alarms, _):
        assert alarms == []
