"""A watch that breaks in any way -> a copy that is right again, and a call for each object that changed."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capture.cluster import informer as module
from capture.cluster.api import PODS
from capture.cluster.informer import Informer
from capture.cluster.kube import KubePod, ObjectMetadata
from capture.errors import ApiError

PATIENCE = 10.0


def pod(name: str, version: int, uid: str = "") -> KubePod:
    return KubePod(ObjectMetadata(name=name, namespace="shop", uid=uid or name, resource_version=str(version)))


class ScriptedApi:
    """Answers lists and watches as scripted; after the last watch it stands still."""

    def __init__(self, *script: tuple[list[KubePod], Callable[[], Iterator[Any]]]) -> None:
        self._script = list(script)
        self._watch: Callable[[], Iterator[Any]] = lambda: iter(())
        self.over = threading.Event()

    def list(self, *_: Any) -> tuple[list[KubePod], str]:
        """Return the next list."""
        if not self._script:
            self.over.set()
            threading.Event().wait()
        items, self._watch = self._script.pop(0)
        return items, "1"

    def watch(self, *_: Any) -> Iterator[Any]:
        """Yield the changes after that list."""
        return self._watch()


def broken(code: int, *changes: tuple[str, KubePod]) -> Callable[[], Iterator[Any]]:
    def watch() -> Iterator[Any]:
        yield from changes
        raise ApiError("broken", code)

    return watch


def ended(*changes: tuple[str, KubePod]) -> Callable[[], Iterator[Any]]:
    return lambda: iter(changes)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0,))


def follow(*script: tuple[list[KubePod], Callable[[], Iterator[Any]]]) -> tuple[list[str], dict[str, str]]:
    """Return the changes that were reported, and the copy, after a script."""
    api = ScriptedApi(*script)
    changed: list[str] = []
    informer: Informer[KubePod] = Informer(
        api, PODS, lambda item: changed.append(f"{item.metadata.name}{item.metadata.resource_version}")
    )
    informer.start()
    assert api.over.wait(PATIENCE)
    return changed, {item.metadata.name: item.metadata.uid for item in informer.objects}


A, B = pod("a", 1), pod("b", 2)


@pytest.mark.slow
def test_changes_of_a_watch_are_reported_in_order() -> None:
    script = ([A], ended(("ADDED", B), ("MODIFIED", pod("a", 3)), ("DELETED", pod("b", 4))))
    assert follow(script, ([pod("a", 3)], ended()))[0] == ["a1", "b2", "a3", "b4"]


@pytest.mark.slow
@pytest.mark.parametrize("code", [410, 0, 500, 403])
def test_what_vanished_while_a_watch_was_broken_is_reported(code: int) -> None:
    changed, copy = follow(([A, B], broken(code)), ([pod("a", 1), pod("c", 5)], ended()))
    assert changed == ["a1", "b2", "b2", "c5"]
    assert copy == {"a": "a", "c": "c"}


@pytest.mark.slow
def test_an_object_that_was_made_anew_meanwhile_is_one_that_went_and_one_that_came() -> None:
    changed, copy = follow(([A], broken(410)), ([pod("a", 9, "other")], ended()))
    assert changed == ["a1", "a1", "a9"]
    assert copy == {"a": "other"}


@pytest.mark.slow
def test_a_bug_in_an_answer_does_not_end_it() -> None:
    def nonsense() -> Iterator[Any]:
        raise ValueError("nonsense")

    assert follow(([A], nonsense), ([A, B], ended()))[0] == ["a1", "b2"]
