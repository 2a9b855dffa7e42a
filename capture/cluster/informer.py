"""The objects of a kind -> a copy of them that follows the API server, and a call for each that changed.

A watch may break at any time, and nobody says what was missed. So after every error, and when the server ends a
watch, all objects are listed again and compared with the copy: what is missing in the list was deleted.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from capture.cluster.api import Api, Resource
from capture.cluster.kube import KubeStruct, ObjectMetadata
from capture.errors import ApiError

RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Pauses after the first and later errors in a row; the last is used again and again."""
_GONE = 410
_log = logging.getLogger("bicap.informer")
T = TypeVar("T", bound=KubeStruct)


class Informer(Generic[T]):
    """A copy of the objects of a resource. `changed` gets each object that is new, changed or gone.

    `changed` is called by the thread of the informer.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource[T],
        changed: Callable[[T], None],
        namespace: str = "",
        labels: str = "",
        optional: bool = False,
    ) -> None:
        self._api, self._resource, self._changed = api, resource, changed
        self._namespace, self._labels, self._optional = namespace, labels, optional
        self._objects: dict[str, T] = {}
        self.synced = threading.Event()
        """Set once all objects were listed; an optional resource that the server does not have counts as listed."""
        self.trouble: str | None = None
        """Why the copy is not current; None if it is."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"informer of {resource.plural}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end when its request does."""
        self._ending.set()

    @property
    def objects(self) -> list[T]:
        """The objects as they are known now."""
        return list(self._objects.values())

    def get(self, key: str) -> T | None:
        """Return the object with this NAMESPACE/NAME."""
        return self._objects.get(key)

    def _follow(self) -> None:
        failures = 0
        while not self._ending.is_set():
            try:
                version = self._list()
                failures, self.trouble = 0, None
                self._watch(version)
            except ApiError as error:
                if error.code == _GONE:
                    continue
                if error.code == 404 and self._optional:
                    self.synced.set()
                self.trouble = str(error)
            except Exception as error:
                # A thread that ended would leave a copy that is never current again, and nobody would notice.
                self.trouble = f"bug: {type(error).__name__}: {error}"
                _log.exception(self.trouble, extra={"resource": self._resource.plural})
            if self.trouble is not None:
                self._ending.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    def _list(self) -> str:
        items, version = self._api.list(self._resource, self._namespace, self._labels)
        found = {key_of(item): item for item in items}
        gone = [item for key, item in self._objects.items() if _uid(found.get(key)) != _uid(item)]
        new = [item for key, item in found.items() if _version(item) != _version(self._objects.get(key))]
        self._objects = found
        self.synced.set()
        for item in (*gone, *new):
            self._changed(item)
        return version

    def _watch(self, version: str) -> None:
        began = time.monotonic()
        for kind, item in self._api.watch(self._resource, version, self._namespace, self._labels):
            if self._ending.is_set():
                return
            if kind == "DELETED":
                self._objects.pop(key_of(item), None)
            else:
                self._objects[key_of(item)] = item
            self._changed(item)
        if time.monotonic() - began < 1.0:  # a server that ends each watch at once
            self._ending.wait(1.0)


def key_of(item: KubeStruct) -> str:
    """Return NAMESPACE/NAME of an object, or its name alone."""
    metadata: ObjectMetadata = item.metadata  # type: ignore[attr-defined]
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name


def _uid(item: KubeStruct | None) -> str | None:
    return None if item is None else item.metadata.uid  # type: ignore[attr-defined]


def _version(item: KubeStruct | None) -> str | None:
    return None if item is None else item.metadata.resource_version  # type: ignore[attr-defined]
