"""A folder of this machine, as one that is mounted from elsewhere -> an ObjectPlace."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from capture.store.object_place import PlaceError, StoreRefusedError, TakenError

_PIECE = 1 << 20


class FolderPlace:
    """The file system from its root on."""

    def size(self, name: str) -> int | None:
        """See ObjectPlace."""
        with _as_place_error():
            try:
                return _path(name).stat().st_size
            except FileNotFoundError:
                return None

    def put(
        self, name: str, source: BinaryIO, size: int, on_bytes: Callable[[int], None], replace: bool = False
    ) -> None:
        """See ObjectPlace."""
        path = _path(name)
        part = path.with_name(f"{path.name}.part")
        sent = 0
        with _as_place_error():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                    while piece := source.read(_PIECE):
                        file.write(piece)
                        sent += len(piece)
                        on_bytes(sent)
                    file.flush()
                    os.fsync(file.fileno())
                if replace:
                    os.replace(part, path)
                else:
                    os.link(part, path)
            finally:
                with suppress(OSError):
                    os.unlink(part)

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        """See ObjectPlace."""
        with _as_place_error(), _path(name).open("rb") as file:
            yield iter(lambda: file.read(_PIECE), b"")

    def close(self) -> None:
        """See ObjectPlace."""


@contextmanager
def _as_place_error() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise TakenError(f"{error.filename} is there already") from None
    except PermissionError as error:
        raise StoreRefusedError(f"{error.filename}: {error.strerror}") from None
    except OSError as error:
        raise PlaceError(f"{error.filename or 'the folder'}: {error.strerror}") from None


def _path(name: str) -> Path:
    return Path(f"/{name}")
