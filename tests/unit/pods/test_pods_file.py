"""A file of pods -> the pods, and an event when it is replaced; what is wrong with it is one line."""

import json
import threading
from pathlib import Path

import pytest

from capture.errors import TargetError
from capture.filters.podname import PodName
from capture.filters.rule import Address
from capture.pods.pods_file import ListedPods
from capture.selection.pod import Container, Pod

PODS = [
    Pod(
        name=PodName("shop", "web-0"),
        uid="u0",
        sandbox="s0",
        ready=True,
        created_ns=7,
        labels={"app": "web"},
        netns="/run/netns/a",
        pid=9,
        containers=(Container("web", "abc", True),),
    ),
    Pod(name=PodName("bank", "api-0"), uid="u1", sandbox="u1", ready=True, elsewhere=True),
]
PATIENCE = 10.0


def replace(path: Path, content: str) -> None:
    """Replace the file as its writer does."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(content)
    temporary.replace(path)


def test_pods_are_read_as_bicap_pods_prints_them(tmp_path: Path) -> None:
    path = tmp_path / "pods.json"
    path.write_text(json.dumps([pod.as_json() | {"interfaces": []} for pod in PODS]))
    found = ListedPods(str(path)).look().pods
    assert [pod.as_json() for pod in found] == [pod.as_json() for pod in PODS]
    assert found[0].socket == str(path)


def test_addresses_of_both_families_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pods.json"
    path.write_text('[{"namespace": "a", "name": "b", "ips": ["10.0.0.1", "fd00::1"]}]')
    (pod,) = ListedPods(str(path)).look().pods
    addresses: tuple[Address, ...] = pod.addresses
    assert [str(address) for address in addresses] == ["10.0.0.1", "fd00::1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "is not a list of pods"),
        ("[{}]", "is not a list of pods"),
        ('[{"namespace": "a", "name": ""}]', "is not a list of pods"),
        ('[{"namespace": "a", "name": "b", "ips": ["x"]}]', "is not a list of pods"),
        ("[", "is not a list of pods"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "pods.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TargetError, match=said) as refused:
        ListedPods(str(path)).look()
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_replacement_is_an_event_and_close_ends_them(tmp_path: Path) -> None:
    path = tmp_path / "pods.json"
    replace(path, "[]")
    pods = ListedPods(str(path))
    seen, came = [0], threading.Semaphore(0)

    def listen() -> None:
        for _ in pods.changes():
            seen[0] += 1
            came.release()

    thread = threading.Thread(target=listen)
    thread.start()
    assert came.acquire(timeout=PATIENCE)
    (tmp_path / "other.json").write_text("[]")
    replace(tmp_path / "another.json", "[]")
    replace(path, "[ ]")
    assert came.acquire(timeout=PATIENCE)
    pods.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert seen[0] == 2
