"""The pods that a choice selects, and choices that contradict themselves."""

from dataclasses import replace
from typing import Any

import pytest

from capture.errors import SpecError
from capture.filters.podname import PodName, parse_pod_name
from capture.selection.labels import parse_selector
from capture.selection.pod import Container, Pod
from capture.selection.selection import PodEnd, Selection, parse_container

WEB = PodName("shop", "web-0")
POD = Pod(
    name=WEB,
    uid="5f0b",
    sandbox="a1b2c3d4e5f6",
    ready=True,
    labels={"app": "web"},
    containers=(Container("nginx", "0123456789abcdef", True), Container("sidecar", "fedcba9876543210", False)),
)

MEANT: list[tuple[dict[str, Any], bool]] = [
    # a choice, whether it means POD
    ({"pods": (WEB,)}, True),
    ({"pods": (PodName("bank", "web-0"),)}, False),
    ({"pods": (PodName("bank", "api-0"), WEB)}, True),
    ({"namespaces": ("shop",)}, True),
    ({"namespaces": ("bank", "shop")}, True),
    ({"namespaces": ("bank",)}, False),
    ({"labels": parse_selector("app=web")}, True),
    ({"labels": parse_selector("app=api")}, False),
    ({"labels": parse_selector("app=web"), "namespaces": ("bank",)}, False),
    ({"everything": True}, True),
    ({"containers": ("nginx",)}, True),
    ({"containers": ("ngin",)}, False),
    ({"containers": ("01234567",)}, True),
    ({"containers": ("0123456",)}, False),
    ({"containers": ("0123456789abcdef",)}, True),
    ({"containers": ("sidecar",), "namespaces": ("shop",)}, True),
    ({"containers": ("sidecar",), "namespaces": ("bank",)}, False),
    ({"containers": ("sidecar",), "pods": (PodName("bank", "api-0"),)}, True),
    ({"processes": (1,)}, False),
    ({"own": True}, False),
    ({"point": PodEnd.BOTH}, False),
    ({}, False),
]


@pytest.mark.parametrize(("choice", "meant"), MEANT)
def test_a_choice_selects_a_pod(choice: dict[str, Any], meant: bool) -> None:
    assert Selection(**choice).selects(POD) is meant


def test_a_pod_without_labels_fits_a_selector_that_needs_none() -> None:
    assert Selection(labels=parse_selector("!app")).selects(replace(POD, labels={}))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"pods": (WEB,), "labels": parse_selector("app")}, "pod and selector do not combine"),
    ({"containers": ("nginx",), "everything": True}, "container and all-pods do not combine"),
    ({"processes": (1,), "labels": parse_selector("app")}, "pid and selector do not combine"),
    ({"everything": True, "namespaces": ("shop",)}, "all-pods means those of all namespaces"),
    ({"pods": (WEB,), "namespaces": ("bank",)}, "namespace bank does not combine with pod, which is in one already"),
    ({"processes": (1,), "namespaces": ("bank",)}, "namespace bank does not combine with pid"),
    ({"own": True, "pods": (WEB,)}, "self is the namespace that bicap runs in"),
    ({"own": True, "wait": True}, "self is the namespace that bicap runs in"),
    ({"processes": (1, 0)}, "pid 0 does not exist"),
]


@pytest.mark.parametrize(("choice", "message"), REFUSED, ids=[case[1] for case in REFUSED])
def test_impossible_choices_are_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        Selection(**choice)


SAID: list[tuple[dict[str, Any], str]] = [
    ({"pods": (WEB,)}, "pod shop/web-0"),
    ({"pods": (WEB,), "point": PodEnd.BOTH}, "pod shop/web-0, the source and destination of the rules"),
    ({"everything": True}, "every pod"),
    ({"labels": parse_selector("app=web"), "namespaces": ("shop", "bank")},
     "pods labelled app=web in namespace shop or bank"),
    ({"namespaces": ("shop",), "point": PodEnd.SOURCE}, "pods in namespace shop, the source of the rules"),
    ({"containers": ("nginx",), "processes": (7,)}, "container nginx, process 7"),
    ({"own": True}, "the namespace of bicap itself"),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "text"), SAID, ids=[case[1] for case in SAID])
def test_the_text_of_a_choice(choice: dict[str, Any], text: str) -> None:
    assert str(Selection(**choice)) == text


@pytest.mark.parametrize(
    ("choice", "chooses", "asks"),
    [
        ({"pods": (WEB,)}, True, True),
        ({"containers": ("nginx",)}, True, True),
        ({"namespaces": ("shop",)}, True, True),
        ({"processes": (1,)}, True, False),
        ({"own": True}, True, False),
        ({"point": PodEnd.SOURCE}, False, True),
        ({"wait": True, "sockets": ("/run/x",)}, False, False),
    ],
)
def test_choices_that_select_places_themselves_and_choices_that_need_the_runtime(
    choice: dict[str, Any], chooses: bool, asks: bool
) -> None:
    assert (Selection(**choice).chooses, Selection(**choice).asks_runtime) == (chooses, asks)


NAMES: list[tuple[str, PodName | str]] = [
    # what is written, the pod or the error
    ("shop/web-0", WEB),
    ("web-0", PodName("default", "web-0")),
    ("shop/web.example-0", PodName("shop", "web.example-0")),
    ("", "'' is not a pod name"),
    ("/web-0", "'' is not a namespace name"),
    ("shop/", "'' is not a pod name"),
    ("a/b/c", "'a/b' is not a namespace name"),
    ("shop/Web", "'Web' is not a pod name"),
    ("shop/web_0", "'web_0' is not a pod name"),
    ("shop/-web", "'-web' is not a pod name"),
    ("shop/web..0", "'web..0' is not a pod name"),
    ("shop/web-0\n", r"'web-0\\n' is not a pod name"),
    ("shop/" + "a." * 126 + "ab", "is not a pod name"),
    ("s" * 64 + "/web", "is not a namespace name"),
]


@pytest.mark.parametrize(("text", "pod"), NAMES, ids=[case[0][:20] or "empty" for case in NAMES])
def test_names_of_pods(text: str, pod: PodName | str) -> None:
    if isinstance(pod, PodName):
        assert parse_pod_name(text, "--pod") == pod
    else:
        with pytest.raises(SpecError, match=f"^--pod .*{pod}"):
            parse_pod_name(text, "--pod")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nginx", "nginx"),
        ("0123456789abcdef", "0123456789abcdef"),
        ("containerd://0123456789abcdef", "0123456789abcdef"),  # as a pod's status has it
        ("cri-o://0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_names_and_ids_of_containers(text: str, word: str) -> None:
    assert parse_container(text, "--container") == word


@pytest.mark.parametrize("text", ["", "a b", "containerd://", "Nginx", "shop/nginx"])
def test_text_that_is_not_a_container_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"^--container '.*' is not a container name or ID; `crictl ps` lists them$"):
        parse_container(text, "--container")
