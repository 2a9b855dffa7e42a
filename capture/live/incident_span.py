"""The causes of one incident -> how long it goes on."""

from capture.live.cause import Cause
from capture.recording import RecordingSpec

CAUSES_KEPT = 100
"""Triggers that an incident lists; of further ones the first of each rule, and the others are counted."""
PROLONGED_MOST = 10
"""An incident ends after this many times its time after the first trigger, however often it is prolonged."""


class IncidentSpan:
    """An incident begins because of one cause, and further ones prolong it. Times are CLOCK_MONOTONIC."""

    def __init__(self, cause: Cause, recording: RecordingSpec) -> None:
        self.cause, self.causes, self.prolonged = cause, [cause], 0
        self._rules = {cause.rule}
        self._after_ns = recording.after_ns
        self.until_ns = cause.at_ns + recording.after_ns
        self._last_ns = cause.at_ns + PROLONGED_MOST * recording.after_ns

    def prolong(self, cause: Cause) -> bool:
        """Go on until `after` behind this cause; False if the incident is as long as it may be."""
        until_ns = cause.at_ns + self._after_ns
        if until_ns > self._last_ns:
            return False
        self.until_ns = max(self.until_ns, until_ns)
        self.prolonged += 1
        if len(self.causes) < CAUSES_KEPT or cause.rule not in self._rules:
            self.causes.append(cause)
            self._rules.add(cause.rule)
        return True
