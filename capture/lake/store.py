"""A path in a store (s3://, gs://, az://) -> its objects, through obstore. Settings are those of the environment.

An object appears when it is complete, as a file does by its rename. Errors of a store are one line.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from capture.errors import SinkError, SpecError, TargetError


def is_remote(path: str) -> bool:
    """True if a path is in a store."""
    return "://" in path


class Store:
    """The bucket of a path. `settings` go before the environment's. Raises SpecError without obstore."""

    def __init__(self, path: str, settings: Mapping[str, str] | None = None) -> None:
        try:
            from obstore.store import from_url
        except ImportError:
            raise SpecError(f"{path} needs obstore; pip install 'bicap[spark]'") from None
        scheme, _, rest = path.partition("://")
        bucket, _, prefix = rest.partition("/")
        self.root, self.prefix = f"{scheme}://{bucket}", prefix.strip("/")
        own = dict(settings or {})
        plain = {"allow_http": True} if own.get("endpoint", "").startswith("http://") else {}
        try:
            self._store = from_url(self.root, config=own or None, client_options=plain or None)
        except Exception as error:  # obstore has classes of its own for each store's errors
            raise SpecError(f"{path}: {_line(error)}") from None

    def names(self, below: str = "") -> list[str]:
        """Return the full names of the objects below the path, sorted. Raises TargetError."""
        prefix = "/".join(part for part in (self.prefix, below) if part)
        with _as_target_error(f"{self.root}/{prefix}"):
            pages = self._store.list(prefix or None)
            return sorted(f"{self.root}/{one['path']}" for page in pages for one in page)

    def fetch(self, name: str, target: Path) -> None:
        """Write an object into a file. Raises TargetError, SinkError."""
        with _as_target_error(name):
            pieces = iter(self._store.get(name.removeprefix(f"{self.root}/")).stream())
        try:
            with target.open("wb") as file:
                while True:
                    with _as_target_error(name):
                        piece = next(pieces, None)
                    if piece is None:
                        return
                    file.write(piece)
        except OSError as error:
            raise SinkError(f"cannot write {target}: {error.strerror}; make room there, or set TMPDIR") from None

    def put(self, source: Path, below: str) -> None:
        """Write a file as an object, over one that is there. Raises SinkError."""
        name = f"{self.prefix}/{below}" if self.prefix else below
        try:
            self._store.put(name, source)
        except Exception as error:
            raise SinkError(f"cannot write {self.root}/{name}: {_line(error)}") from None


@contextmanager
def _as_target_error(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise TargetError(f"{name} cannot be read: {_line(error)}") from None


def _line(error: Exception) -> str:
    """Return the first sentence of an error of a store: the rest is a dump of its values."""
    return " ".join(str(error).split("\n\n")[0].split())
