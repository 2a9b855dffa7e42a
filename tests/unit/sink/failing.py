"""A disk that fails at chosen writes."""

import errno
import os
from collections.abc import Callable

import pytest

Install = Callable[..., None]
Write = Callable[[int, bytes, int], int]


def replace_writes(patch: pytest.MonkeyPatch, fake: Write) -> None:
    """Replace pwrite and pwritev by `fake`."""
    patch.setattr(os, "pwrite", fake)
    patch.setattr(os, "pwritev", lambda descriptor, parts, offset: fake(descriptor, b"".join(parts), offset))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return `failing(calls, code, at_most)`: these calls fail, and others write at most `at_most` bytes."""
    real = os.pwrite

    def install(*calls: int, code: int = errno.ENOSPC, at_most: int = 1 << 30) -> None:
        count = 0

        def fake(descriptor: int, data: bytes, offset: int) -> int:
            nonlocal count
            count += 1
            if count in calls:
                raise OSError(code, os.strerror(code))
            return real(descriptor, data[:at_most], offset)

        replace_writes(monkeypatch, fake)

    return install
