"""A plan -> the capabilities that are kept until its capture ends."""

import pytest

from capture.kernel import features
from capture.kernel.privileges import needed_later
from capture.plan import Interface, make_plan, place_of
from capture.spec import CaptureSpec, Hook

CASES = [(Hook.TCX, True, False), (Hook.CLSACT, True, True), (Hook.XDP, True, False), (Hook.XDP, False, True)]


@pytest.mark.parametrize(("hook", "has_tcx", "kept"), CASES)
def test_filters_that_no_link_removes_need_net_admin_at_the_end(
    monkeypatch: pytest.MonkeyPatch, hook: Hook, has_tcx: bool, kept: bool
) -> None:
    monkeypatch.setattr(features, "has_tcx", lambda: has_tcx)
    plan = make_plan(CaptureSpec(interfaces=("va",)), [place_of(Interface("va", 1, 2))], hook, [0], batching=True)
    assert ("CAP_NET_ADMIN" in needed_later(plan)) == kept
