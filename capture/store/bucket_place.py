"""A bucket of S3, Google Cloud Storage or Azure -> an ObjectPlace, through obstore.

`mode="create"` lets a store refuse to replace an object, but turns multipart uploads off, without which nothing
larger than 5 GB fits: so it is used for files that fit into one request. Larger ones are written in parts, after a
look; an upload of parts shows the object when all of them are there. Its ETag is not the hash of the content, so it
is ignored.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, BinaryIO

from capture.store.object_place import PlaceError, StaleError, StoreRefusedError, TakenError
from capture.store.store_credentials import CERTIFICATES, ENDPOINT, WEB_TOKEN
from capture.store_url import StoreUrl

PART_BYTES = 8 << 20
"""Bytes of a part. A store takes 10,000 parts, so larger files get larger parts."""
PARTS_MOST = 9_000
PARTS_AT_ONCE = 4
"""Parts that are sent at a time: memory of the uploader is bounded by that."""
_READ_BYTES = 1 << 20
_STALE = re.compile(r"ExpiredToken|InvalidToken|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed", re.I)
_CLOCK = re.compile(r"RequestTimeTooSkewed|RequestTimeTooLarge|RequestExpired|skew", re.I)
_REFUSED = re.compile(
    r"AccessDenied|NoSuchBucket|AccountProblem|\b40[13]\b|InvalidBucketName|PermanentRedirect", re.I
)


class BucketPlace:
    """A bucket. Raises StoreRefusedError if its settings are not understood."""

    def __init__(self, url: StoreUrl, settings: Mapping[str, str]) -> None:
        from obstore.store import from_url

        own = dict(settings)
        client: dict[str, Any] = {"timeout": timedelta(seconds=120), "connect_timeout": timedelta(seconds=5)}
        if own.get(ENDPOINT, "").startswith("http://"):
            client["allow_http"] = True
        self._token = _token_file(own.pop(WEB_TOKEN, None))
        if self._token is not None:
            own["web_identity_token_file"] = f"/proc/self/fd/{self._token}"
        certificates = own.pop(CERTIFICATES, None)
        if certificates:
            client["root_certificate"] = certificates
        # Tries are ours: they are reported, and go on for hours.
        retry = {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}
        try:
            self._store = from_url(
                f"{url.scheme}://{url.place}", config=own or None, client_options=client, retry_config=retry
            )
        except Exception as error:  # obstore has a class for each store's errors
            raise StoreRefusedError(f"the settings of {url.scheme} are not understood: {_line(error)}") from None

    def size(self, name: str) -> int | None:
        """See ObjectPlace."""
        try:
            return int(self._store.head(name)["size"])
        except Exception:  # an answer to HEAD has no text that says why: the same question by GET has
            try:
                with _as_place_error():
                    self._store.get_range(name, start=0, length=1)
            except FileNotFoundError:
                return None
            with _as_place_error():
                return int(self._store.head(name)["size"])

    def put(
        self, name: str, source: BinaryIO, size: int, on_bytes: Callable[[int], None], replace: bool = False
    ) -> None:
        """See ObjectPlace."""
        sent = 0

        def pieces() -> Iterator[bytes]:
            nonlocal sent
            while piece := source.read(part):
                sent += len(piece)
                on_bytes(sent)
                yield piece

        part = max(PART_BYTES, -(-size // PARTS_MOST))
        with _as_place_error():
            if size <= PART_BYTES:
                self._store.put(name, b"".join(pieces()), mode="overwrite" if replace else "create")
            else:
                self._store.put(name, pieces(), use_multipart=True, chunk_size=part, max_concurrency=PARTS_AT_ONCE)

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        """See ObjectPlace."""
        with _as_place_error(missing="it is not there"):
            yield (bytes(piece) for piece in self._store.get(name).stream(min_chunk_size=_READ_BYTES))

    def close(self) -> None:
        """See ObjectPlace."""
        if self._token is not None:
            os.close(self._token)
            self._token = None


def _token_file(token: str | None) -> int | None:
    """Return a descriptor of a file in memory with a token: obstore reads it whenever it asks for a role."""
    if token is None:
        return None
    descriptor = os.memfd_create("token")
    os.write(descriptor, token.encode())
    return descriptor


@contextmanager
def _as_place_error(missing: str | None = None) -> Iterator[None]:
    """Turn an error of obstore into ours. FileNotFoundError passes, unless `missing` is what it means."""
    from obstore.exceptions import (
        AlreadyExistsError,
        BaseError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )

    try:
        yield
    except (AlreadyExistsError, PreconditionError) as error:
        raise TakenError(_line(error)) from None
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise StoreRefusedError(_line(error)) from None
        if missing is None:
            raise
        raise PlaceError(missing) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _refusal(str(error), _line(error)) from None
    except BaseError as error:
        text = str(error)
        known = _STALE.search(text) or _CLOCK.search(text) or _REFUSED.search(text)
        raise (_refusal(text, _line(error)) if known else PlaceError(_line(error))) from None


def _refusal(text: str, line: str) -> StoreRefusedError:
    if _CLOCK.search(text):
        return StoreRefusedError(f"the clocks of this machine and of the store differ too much: {line}")
    return StaleError(line) if _STALE.search(text) else StoreRefusedError(line)


_CODE = re.compile(r"<Code>([^<]*)</Code>(?:.*?<Message>([^<]*)</Message>)?", re.DOTALL)
_URL = re.compile(r"(https?://[^\s?]*)\?\S*")
_LINE_MAX = 300


def _line(error: Exception) -> str:
    """Return what an error says, in one line: the store's own words, if there are some, and no signed URL."""
    text = str(error)
    code = _CODE.search(text)
    if code:
        return " ".join(": ".join(part for part in code.groups() if part).split())[:_LINE_MAX]
    return " ".join(_URL.sub(r"\1", text.split("\n\n")[0]).split())[:_LINE_MAX]
