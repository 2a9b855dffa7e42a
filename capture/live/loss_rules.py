"""Rules about lost packets, and the counters -> causes. The counters are looked at now and then."""

from collections.abc import Callable, Iterator, Sequence

from capture.live.cause import Cause
from capture.live.trigger_rules import TriggerRule
from capture.run.account import Account

LOST_NS = 100_000_000
"""Time between two looks at the counters."""


class LossRules:
    """Those of some rules that are about lost packets."""

    def __init__(self, rules: Sequence[TriggerRule]) -> None:
        self._rules = [rule for rule in rules if rule.lost is not None]
        self._looked_ns = self._before = 0

    def look(self, now_ns: int, accounts: Callable[[], Sequence[Account]]) -> Iterator[Cause]:
        """Yield a cause for each rule that has become true, if it is time for a look (CLOCK_MONOTONIC)."""
        if not self._rules or now_ns - self._looked_ns <= LOST_NS:
            return
        self._looked_ns = now_ns
        lost = sum(account.both.lost for account in accounts())
        for rule in self._rules:
            if self._before < (rule.lost or 0) <= lost:
                yield Cause(rule=rule.text, at_ns=now_ns, value=lost)
        self._before = lost
