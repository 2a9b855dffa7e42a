"""When a file counts as uploaded, against a store that is a dict and may misbehave."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from capture.store.confirmed_upload import Claim, DamagedError, upload
from capture.store.object_place import ForeignContentError, PlaceError

CONTENT = bytes(range(256)) * 100


class DictPlace:
    """A store in memory; `damage` is what it does to a content that it is given."""

    def __init__(self, damage: Callable[[bytes], bytes] = bytes) -> None:
        self.objects: dict[str, bytes] = {}
        self.damage, self.writes = damage, 0

    def size(self, name: str) -> int | None:
        found = self.objects.get(name)
        return None if found is None else len(found)

    def put(
        self, name: str, source: BinaryIO, size: int, on_bytes: Callable[[int], None], replace: bool = False
    ) -> None:
        assert replace or name not in self.objects
        content = b"".join(iter(lambda: source.read(7000), b""))
        assert len(content) == size
        self.writes += 1
        self.objects[name] = self.damage(content)

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        yield iter([self.objects[name]])

    def close(self) -> None:
        """Nothing is open."""


def test_what_was_read_back_is_confirmed() -> None:
    place = DictPlace()
    digest, found = upload(place, "f", io.BytesIO(CONTENT))
    assert (digest.bytes, found, place.objects) == (len(CONTENT), False, {"f": CONTENT})


def test_the_same_content_is_not_written_again() -> None:
    place = DictPlace()
    place.objects["f"] = CONTENT
    assert upload(place, "f", io.BytesIO(CONTENT))[1]
    assert place.writes == 0


@pytest.mark.parametrize("other", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_other_content_is_never_replaced(other: bytes) -> None:
    place = DictPlace()
    place.objects["f"] = other
    for _ in range(2):
        with pytest.raises(ForeignContentError, match="with other content"):
            upload(place, "f", io.BytesIO(CONTENT), claim=Claim())
    assert place.objects == {"f": other}


@pytest.mark.parametrize("damage", [lambda found: found[:-1], lambda found: found + b"x", lambda found: found[::-1]])
def test_our_own_damaged_content_is_replaced_by_the_next_try(damage: Callable[[bytes], bytes]) -> None:
    place, claim = DictPlace(damage), Claim()
    for _ in range(2):
        with pytest.raises(DamagedError):
            upload(place, "f", io.BytesIO(CONTENT), claim=claim)
    place.damage = bytes
    upload(place, "f", io.BytesIO(CONTENT), claim=claim)
    assert place.objects == {"f": CONTENT}


def test_a_write_that_began_under_a_free_name_makes_what_is_there_ours() -> None:
    class Breaking(DictPlace):
        def put(self, name: str, source: BinaryIO, *rest: object, **more: object) -> None:
            self.objects[name] = source.read(10)
            raise PlaceError("the connection broke")

    place, claim = Breaking(), Claim()
    with pytest.raises(PlaceError, match="broke"):
        upload(place, "f", io.BytesIO(CONTENT), claim=claim)
    whole = DictPlace()
    whole.objects = place.objects
    upload(whole, "f", io.BytesIO(CONTENT), claim=claim)
    assert whole.objects == {"f": CONTENT}
