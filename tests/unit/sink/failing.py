"""A disk that fails when a test wants it to."""

import errno
import os
from collections.abc import Callable

import pytest

from capture.sink import output

Install = Callable[..., None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Install:
    """`failing(calls, code, at_most)`: os.pwrite fails at these calls, and writes at most so many bytes in others."""
    real = os.pwrite

    def install(*calls: int, code: int = errno.ENOSPC, at_most: int = 1 << 30) -> None:
        count = 0

        def fake(descriptor: int, data: memoryview, offset: int) -> int:
            nonlocal count
            count += 1
            if count in calls:
                raise OSError(code, os.strerror(code))
            return real(descriptor, data[:at_most], offset)

        monkeypatch.setattr(output.os, "pwrite", fake)

    return install
