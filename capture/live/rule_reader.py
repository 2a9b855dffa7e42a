"""A running capture -> firings of rules, from the process that reads its files.

Nobody waits for that process. If it ends by itself, another one begins with the present file.
"""

import time
from collections.abc import Callable, Sequence

from capture.live.reading_process import ReadingProcess
from capture.live.rule_firings import RuleFiring, firings_of
from capture.live.trigger_rules import TriggerRule
from capture.run.capture import Capture
from capture.run.file_start import FileStart

_MODULE = "capture.live.rule_process"
AGAIN_NS = 10 * 10**9
"""Time between two starts of the process."""


class RuleReader:
    """The process of the rules, from before the capture begins until `close`."""

    def __init__(self, rules: Sequence[TriggerRule], user: str | None, on_event: Callable[[str], None]) -> None:
        self._words, self._on_event = [user or "", *(rule.text for rule in rules)], on_event
        self._missed_before = self._missed = self._skipped = 0
        self._process: ReadingProcess | None = None
        self._start("")

    def _start(self, told: str) -> None:
        self._process = ReadingProcess(_MODULE, self._words, told=told)
        self._began_ns = time.monotonic_ns()

    @property
    def missed(self) -> int:
        """Packets that the rules did not see."""
        return self._missed_before + self._missed

    def tell(self, running: Capture, present: FileStart) -> list[RuleFiring]:
        """Tell how far the files are, the last of which is `present`; return what has fired."""
        if self._process is None:
            if time.monotonic_ns() - self._began_ns < AGAIN_NS:
                return []
            self._skipped = present.packets
            self._start(present.path)
            assert self._process is not None
        found: list[RuleFiring] = []
        try:
            self._process.tell(running)
            for message in self._process.messages():
                news = firings_of(message)
                found += news.firings
                self._missed = max(0, news.missed - self._skipped)
        except OSError:
            self._on_event("the process of the rules ended; another one begins soon, with the packets of then")
            self._missed_before, self._missed = self.missed, 0
            self._process.kill()  # the loop over packets does not wait
            self._process = None
        return found

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
