"""`python -m capture.live.rule_process FD USER RULE...`: evaluates rules on the files of a running capture.

It has no privileges but to read files of another user where the capture writes such, and gives way to all other
processes. It says each rule that fires, and where the packet is that did it. USER may be empty.
"""

import os
import socket
import sys
from collections import deque
from collections.abc import Iterable

import numpy as np

from capture.analysis.packets.reading import Batch
from capture.arrays.aliases import Longs
from capture.errors import FormatError
from capture.kernel.privileges import drop
from capture.live.growing_capture import GrowingCapture
from capture.live.rule_firings import FIRINGS_MOST, RuleFiring, RuleFirings, packed_firings
from capture.live.trigger_rules import TriggerRule, parse_rule
from capture.live.watcher import Fired, Watcher
from capture.live.written_files import MESSAGE_MOST, written_files_of

NICENESS = 5
BATCHES_KEPT = 32
"""Batches in which the packet of a firing is looked for: those between two looks at 1 million packets a second."""


class LatestPackets:
    """The times of the latest packets -> the place of one of them."""

    def __init__(self) -> None:
        self._batches: deque[tuple[str, int, Longs]] = deque(maxlen=BATCHES_KEPT)

    def add(self, file: str, before: int, batch: Batch) -> None:
        """Add packets of a file; so many were in the files before it."""
        first = int(batch.packets["number"][0]) - before
        self._batches.append((file, first, batch.packets["time_ns"].copy()))

    def place(self, time_ns: int | None) -> tuple[str, int]:
        """Return file and number of the last packet with this time; "" and 0 if there is none."""
        for file, first, times in reversed(self._batches) if time_ns is not None else ():
            rows = np.flatnonzero(times == time_ns)
            if len(rows):
                return file, first + int(rows[-1])
        return "", 0


class RuleProcess:
    """Reads what the capture has written, and says what fires."""

    def __init__(self, line: socket.socket, rules: list[TriggerRule]) -> None:
        self._line, self._watcher = line, Watcher(rules)
        self._capture, self._latest = GrowingCapture(self._wait), LatestPackets()
        self._until_ns = self._missed = 0

    def run(self) -> None:
        """Evaluate until the capture is over."""
        for batch in self._capture.batches():
            self._latest.add(*self._capture.present, batch)
            self._say(self._watcher.feed(batch))

    def _wait(self) -> None:
        """Look at the time that has passed, and wait for a message. Ends the process if the capture is gone."""
        if self._until_ns:
            self._say(self._watcher.look(self._until_ns))
        message = self._line.recv(MESSAGE_MOST)
        if not message:
            raise SystemExit(0)
        progress = written_files_of(message)
        self._until_ns = progress.until_ns  # less than before if the wall clock was set back
        self._capture.wrote(progress.files, progress.packets, progress.over)

    def _say(self, found: Iterable[Fired]) -> None:
        firings = [self._firing(fired) for fired in found]
        missed = self._capture.missed
        if firings or missed != self._missed:
            self._missed = missed
            for at in range(0, max(len(firings), 1), FIRINGS_MOST):
                self._line.send(packed_firings(RuleFirings(firings[at : at + FIRINGS_MOST], missed)))

    def _firing(self, fired: Fired) -> RuleFiring:
        file, number = self._latest.place(fired.packet_ns)
        return RuleFiring(
            rule=fired.rule,
            at_ns=fired.at_ns,
            value=fired.value,
            session=fired.session,
            packet_ns=fired.packet_ns,
            reason=fired.reason,
            file=file,
            number=number,
        )


def main() -> None:
    """Run the process."""
    descriptor, user, *texts = sys.argv[1:]
    drop(frozenset({"CAP_DAC_READ_SEARCH"}) if user else frozenset())
    os.nice(NICENESS)
    line = socket.socket(fileno=int(descriptor))
    try:
        RuleProcess(line, [parse_rule(text) for text in texts]).run()
    except FormatError as error:
        print(f"bicap: the rules end: {error}", file=sys.stderr)
    except (BrokenPipeError, ConnectionResetError):  # the recorder is gone
        return


if __name__ == "__main__":
    main()
