"""Features of a kernel are found by trying them; an error for a missing one names the Linux that has it."""

import errno
import os
from collections.abc import Callable, Iterator

import pytest

from capture.errors import AttachError
from capture.kernel import features, syscall
from capture.spec import Hook


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    for feature in (features.has_tcx, features.has_coarse_clock, features.has_xdp_in_pages):
        feature.cache_clear()
    yield
    for feature in (features.has_tcx, features.has_coarse_clock, features.has_xdp_in_pages):
        feature.cache_clear()


def refusing(code: int) -> Callable[..., int]:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    return refuse


PROBES = {
    "has_coarse_clock": "prog_load",
    "has_xdp_in_pages": "prog_load",
    "has_loops": "prog_load",
    "has_mapped_arrays": "map_create",
}
ANSWERS = [(errno.EINVAL, False), (errno.EACCES, False), (errno.E2BIG, False), (errno.EPERM, None)]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("code", "answer"), ANSWERS)
def test_a_refused_feature_is_missing_and_a_forbidden_one_is_unknown(
    monkeypatch: pytest.MonkeyPatch, probe: str, code: int, answer: bool | None
) -> None:
    monkeypatch.setattr(syscall, PROBES[probe], refusing(code))
    assert getattr(features, probe)() is answer


def test_the_hook_is_chosen_by_the_kernels_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "has_tcx", lambda: True)
    assert features.choose_hook(Hook.AUTO) is Hook.TCX
    for unknown_or_missing in (None, False):
        monkeypatch.setattr(features, "has_tcx", lambda found=unknown_or_missing: found)
        assert features.choose_hook(Hook.AUTO) is Hook.CLSACT


REFUSED = [
    (Hook.TCX, "has_tcx", "this kernel has no tcx, which came with Linux 6.6; use --hook clsact"),
    (Hook.XDP, "has_xdp_in_pages", "which came with Linux 5.18; use --hook auto"),
]


@pytest.mark.parametrize(("asked", "feature", "message"), REFUSED, ids=lambda value: str(value))
def test_a_missing_hook_is_refused_and_one_that_may_exist_is_tried(
    monkeypatch: pytest.MonkeyPatch, asked: Hook, feature: str, message: str
) -> None:
    monkeypatch.setattr(features, feature, lambda: False)
    with pytest.raises(AttachError, match=message):
        features.choose_hook(asked)
    for there in (True, None):
        monkeypatch.setattr(features, feature, lambda found=there: found)
        assert features.choose_hook(asked) is asked


def test_the_error_for_an_old_kernel_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall, "prog_load", refusing(errno.EINVAL))
    monkeypatch.setattr(syscall, "map_create", refusing(errno.EINVAL))
    assert features.lacking() == (
        "this kernel has no loops in programs, which came with Linux 5.3 and no arrays that a process can map, "
        "which came with Linux 5.5; use Linux 5.10 or newer"
    )
