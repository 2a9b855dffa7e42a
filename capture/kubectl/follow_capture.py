"""A capture that runs -> lines about it, until it is over or a user ends it."""

import sys
import time
from collections.abc import Iterator

from capture.cluster.objects import CaptureObject
from capture.errors import SpecError
from capture.kubectl.cluster_captures import CaptureApi, CaptureName
from capture.kubectl.held_capture import HeldCapture
from capture.kubectl.on_terminal import UserEnding, tell
from capture.kubectl.progress_lines import is_over, news, rejection, standing

STANDING_SECONDS = 5.0


def follow(
    api: CaptureApi,
    name: CaptureName,
    created: CaptureObject,
    ending: UserEnding,
    held: HeldCapture | None = None,
) -> CaptureObject:
    """Tell what becomes of a capture until it is over, or stop it when a user ends it. Raises BicapError."""
    last, told_at, stopped = created, time.monotonic(), False
    for found in until_over(api, name, held):
        if ending.wanted and not stopped:
            stopped = True
            tell(f"{name} ends on its nodes ({ending.wanted}); again to leave it")
            api.stop(name)
        if found is None:
            continue
        for line in news(last.status, found.status):
            tell(line)
        moved = (found.status.packets, found.status.lost) != (last.status.packets, last.status.lost)
        if moved and time.monotonic() - told_at > (1.0 if sys.stderr.isatty() else STANDING_SECONDS):
            tell(standing(found.status))
            told_at = time.monotonic()
        last = found
    why = rejection(last.status)
    if why:
        raise SpecError(why)
    return last


def until_over(api: CaptureApi, name: CaptureName, held: HeldCapture | None = None) -> Iterator[CaptureObject | None]:
    """Yield the states of a capture, and None between them, up to the last one; meanwhile it is `held`."""
    for found in api.watch(name, 0.3):
        if held is not None:
            held.renew()
        yield found
        if found is not None and is_over(found.status):
            return
