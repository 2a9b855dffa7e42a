"""One file and a store -> the file in the store, confirmed; or an error that says why not.

Theory. A store may fail in ways that its answers hide: a proxy cuts a body and answers 200, an ETag is no hash of the
content, a connection dies after the last byte. So the only proof is the content itself: after a write the object is
read back and hashed. Then the order is

    1. ask for the name.     It is there: read it back. The same content is an upload that succeeded before, and whose
                             answer we did not get; other content is somebody else's, and never replaced.
    2. write.                The store shows the whole or nothing (multipart upload, or a rename at the end).
    3. read back.            Size and SHA-256 must be those of the bytes that were read here.

If step 3 finds a difference, the object that we just wrote is damaged; the next try replaces it, which is the only
case in which anything is replaced. What was not confirmed is never in a manifest.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, cast

from capture.store.object_place import ForeignContentError, ObjectPlace, PlaceError, TakenError

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and SHA-256 of a content."""

    bytes: int
    sha256: str


@dataclass(slots=True)
class Claim:
    """True in `ours` if we have begun to write under a name that was free: what is there, is ours."""

    ours: bool = False


class DamagedError(PlaceError):
    """The store has other content than what was written."""


class _HashingReader:
    """A file that is hashed while it is read, from its start to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self._bytes = file, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._hash.update(piece)
        self._bytes += len(piece)
        return piece

    @property
    def digest(self) -> Digest:
        """What was read so far."""
        return Digest(self._bytes, self._hash.hexdigest())


def upload(
    place: ObjectPlace,
    name: str,
    file: BinaryIO,
    on_bytes: Callable[[int], None] = lambda _: None,
    claim: Claim | None = None,
) -> tuple[Digest, bool]:
    """Write a file and confirm it. Returns its digest, and True if it was there before. Raises PlaceError.

    `claim` is kept from one try to the next: an object that an earlier try left damaged may be replaced.
    """
    claim = claim or Claim()
    size = file.seek(0, 2)
    before = place.size(name)
    here: Digest | None = None
    if before is not None:
        here = _digest_of(file)
        found = _read_back(place, name, size)
        if found == here:
            if before != size:
                raise DamagedError(f"the store reports {_bytes(before)} for {name}, which has {size:,} here")
            return here, True
        if not claim.ours:
            raise ForeignContentError(
                f"{name} is in the store already, with other content ({_difference(found, here)})"
            )
    file.seek(0)
    reader = _HashingReader(file)
    claim.ours = True
    try:
        place.put(name, cast(BinaryIO, reader), size, on_bytes, replace=before is not None)
    except TakenError:
        claim.ours = False
        raise
    if here is None:
        here = reader.digest
    reported = place.size(name)
    if reported != size:
        raise DamagedError(f"the store reports {_bytes(reported)} for {name}, which has {size:,} here")
    found = _read_back(place, name, size)
    if found != here:
        raise DamagedError(f"{name} is damaged in the store: {_difference(found, here)}")
    return here, False


def _bytes(count: int | None) -> str:
    return "nothing" if count is None else f"{count:,} bytes"


def _digest_of(file: BinaryIO) -> Digest:
    file.seek(0)
    reader = _HashingReader(file)
    while reader.read(_PIECE):
        pass
    return reader.digest


def _read_back(place: ObjectPlace, name: str, size: int) -> Digest:
    """Return what the store has; a little more than `size` bytes are enough to know that it is too long."""
    sha256, count = hashlib.sha256(), 0
    with place.read(name) as pieces:
        for piece in pieces:
            sha256.update(piece)
            count += len(piece)
            if count > size:
                break
    return Digest(count, sha256.hexdigest())


def _difference(found: Digest, here: Digest) -> str:
    if found.bytes > here.bytes:
        return f"more than the {here.bytes:,} bytes that it has here"
    if found.bytes != here.bytes:
        return f"{found.bytes:,} bytes, and {here.bytes:,} here"
    return f"SHA-256 {found.sha256[:16]}..., and {here.sha256[:16]}... here"
