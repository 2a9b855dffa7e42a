"""The ways to write into a store and to read from it: what every kind of store can do, and how it fails."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol


class PlaceError(Exception):
    """A store did not do what it was asked for; the message is one line. It may do so when asked again."""


class StoreRefusedError(PlaceError):
    """The store answered, and refuses us: credentials, a host key, a bucket, a right, the clock."""


class StaleError(StoreRefusedError):
    """The store refuses the credentials; newer ones may help."""


class TakenError(PlaceError):
    """Something got the name while we wrote, and it is not replaced; the next try finds out what it is."""


class ForeignContentError(PlaceError):
    """The name is taken by other content, which is not replaced; no try can change that."""


class ObjectPlace(Protocol):
    """A folder of a store. Names have slashes between folders. All methods raise PlaceError."""

    def size(self, name: str) -> int | None:
        """Return the size that the store reports for a file; None if there is none of the name."""

    def put(
        self, name: str, source: BinaryIO, size: int, on_bytes: Callable[[int], None], replace: bool = False
    ) -> None:
        """Write a file that appears under its name when it is whole, or not at all.

        An existing one is replaced only with `replace`: it is our own, and damaged. `on_bytes` is called with the
        bytes that were read from `source` so far.
        """

    def read(self, name: str) -> AbstractContextManager[Iterator[bytes]]:
        """Return the content of a file, in pieces."""

    def close(self) -> None:
        """End the connection."""
