"""A capture that runs -> its packets on standard output, in order of time, while they are caught.

Three threads: one reads frames from the controller, one watches the object, and this one writes. Whatever ends the
stream, a limit, Ctrl-C or a reader that has closed the pipe, the object is deleted.
"""

import contextlib
import http.client
import os
import queue
import sys
import threading
import time
from typing import Any

import msgspec

from capture.cluster.objects import CaptureObject
from capture.errors import ApiError, BicapError, SinkError, SpecError
from capture.kubectl.cluster_captures import CaptureApi, CaptureName
from capture.kubectl.fetch_right import FetchRight
from capture.kubectl.follow_capture import until_over
from capture.kubectl.held_capture import HeldCapture
from capture.kubectl.live_order import LiveOrder
from capture.kubectl.on_terminal import UserEnding, close_output, reader_is_gone, tell
from capture.kubectl.port_forward import PortForward
from capture.kubectl.progress_lines import news, rejection
from capture.kubectl.remote_files import RemoteFiles
from capture.kubectl.retrieved import origins
from capture.pcapng.joined_section import JoinedSection
from capture.retrieval.live_frames import WholeFrames, frames
from capture.units import format_count

TICK_SECONDS = 0.05
_QUEUE_MAX = 512
"""Most pieces that wait to be put in order; then the controller waits, and leaves out under pressure."""
_PIECE = 256 << 10
LAST_SECONDS = 5.0
"""Longest wait for the last frames of a capture that is over."""


def stream(api: CaptureApi, name: CaptureName, created: CaptureObject, ending: UserEnding, keep: bool) -> None:
    """Write the packets of a capture to stdout until it is over, and delete it unless `keep`. Raises BicapError."""
    running = _Running(api, name, created)
    try:
        running.run(ending)
    finally:
        running.end()
        if keep:
            api.stop(name)
        else:
            api.delete(name)


class _Running:
    """The threads of one stream, and what they share."""

    def __init__(self, api: CaptureApi, name: CaptureName, created: CaptureObject) -> None:
        self._api, self._name, self._last = api, name, created
        self._frames: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue(_QUEUE_MAX)
        self._over = threading.Event()
        """Nothing more will be caught."""
        self._ended = threading.Event()
        """Nothing more is wanted."""
        self._failure: BicapError | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=work.__name__, daemon=True)
            for work in (self._watch, self._read)
        ]
        self._way = PortForward(api.kubectl, tell, self._ended.wait)
        self._right = FetchRight(api.kubectl, name)
        self._source = RemoteFiles(self._way, self._right)
        self._held = HeldCapture(api, name, created)
        section = JoinedSection(origins(name, created, []).header())
        self.order = LiveOrder(section)

    def end(self) -> None:
        """End the threads, and what they have started."""
        self._ended.set()
        self._source.abort()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10)
        self._source.close()
        self._way.close()
        self._right.remove()

    def run(self, ending: UserEnding) -> None:
        """Write until the capture is over, the user ends it, or the reader is gone. Raises BicapError."""
        for thread in self._threads:
            thread.start()
        out = sys.stdout.fileno()
        last = None
        try:
            while not ending.wanted and self._failure is None:
                self._take()
                for blocks in self.order.ready(time.monotonic()):
                    _write(out, blocks)
                self._tell()
                if reader_is_gone(out):
                    raise BrokenPipeError
                if self._over.is_set():
                    last = last or time.monotonic() + LAST_SECONDS
                    if self.order.over or time.monotonic() > last:
                        break
            for blocks in self.order.rest():
                _write(out, blocks)
        except BrokenPipeError:
            close_output()
        except OSError as error:
            raise SinkError(f"cannot write to standard output: {error.strerror}") from None
        self._tell()
        lost = sum(node.lost + node.late for node in self.order.nodes.values())
        tell(f"{format_count(self.order.packets, 'packet')} written, {lost:,} left out; {self._name} ends")
        if self._failure is not None:
            raise self._failure

    def _take(self) -> None:
        """Put frames in order, as many as there are now; wait a little for the first."""
        try:
            found = self._frames.get(timeout=TICK_SECONDS)
            for _ in range(_QUEUE_MAX):
                self.order.add(*found, time.monotonic())
                found = self._frames.get_nowait()
            self.order.add(*found, time.monotonic())
        except queue.Empty:
            pass

    def _tell(self) -> None:
        for line in self.order.reports():
            tell(line)

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except BicapError as error:
            if not self._ended.is_set():
                self._failure = error

    def _watch(self) -> None:
        """Tell what becomes of the capture."""
        for found in until_over(self._api, self._name, self._held):
            if self._ended.is_set():
                return
            if found is not None:
                for line in news(self._last.status, found.status):
                    tell(line)
                self._last = found
        why = rejection(self._last.status)
        if why:
            raise SpecError(why)
        self._over.set()

    def _read(self) -> None:
        """Read frames, over a new way after each break, until all has come."""
        while not self._ended.is_set() and not (self._over.is_set() and self.order.over):
            self._read_once()

    def _read_once(self) -> None:
        try:
            answer = self._source.open("/v1/live")
            whole = WholeFrames()
            while not self._ended.is_set():
                data = answer.read1(_PIECE)
                if not data:
                    break
                self._way.works()
                for frame in frames(whole.add(data)):
                    self._put(frame)
            if not self._ended.is_set():
                self._ended.wait(0.2)
        except (OSError, http.client.HTTPException, ValueError, msgspec.DecodeError) as error:
            if not self._ended.is_set():
                self._way.broke(str(error) or type(error).__name__)
        except ApiError as error:
            if error.code == 410:
                self._right.renew()
            elif error.code == 503:
                self._way.broke(str(error))
            else:
                raise

    def _put(self, frame: tuple[dict[str, Any], bytes]) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(queue.Full):
                self._frames.put(frame, timeout=0.2)
                return


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
