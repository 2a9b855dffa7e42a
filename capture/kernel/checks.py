"""Checks of this node -> results: yes, no, or None for unknown.

All checks are made: an error in a check is its answer, and a check that needs a failed one says so instead of failing
as well. The checks themselves are in probes.py.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from capture.errors import BicapError


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a probe: yes, no, or None for unknown; its reason, and a remedy for a no."""

    ok: bool | None
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A property of the node that a capture needs or profits from.

    `required` is ignored if the check named by `unless` says yes.
    """

    name: str
    probe: Callable[[], Answer]
    required: bool = True
    needs: tuple[str, ...] = ()
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a check."""

    check: str
    ok: bool | None
    required: bool
    finding: str
    remedy: str


def run_checks(checks: Iterable[Check]) -> list[Result]:
    """Make the checks, in their order."""
    results: dict[str, Result] = {}
    for check in checks:
        answer = _probed(check, [name for name in check.needs if results[name].ok is False])
        required = check.required and not (check.unless and results[check.unless].ok)
        results[check.name] = Result(check.name, answer.ok, required, answer.text, "" if answer.ok else answer.remedy)
    return list(results.values())


def can_capture(results: Sequence[Result]) -> bool:
    """True if no required check says no."""
    return not any(result.required and result.ok is False for result in results)


def _probed(check: Check, failed: list[str]) -> Answer:
    if failed:
        return Answer(None, f"not tried: it needs {' and '.join(failed)}")
    try:
        return check.probe()
    except BicapError as error:
        return Answer(False, str(error))
    except Exception as error:
        return Answer(None, f"could not tell: {type(error).__name__}: {error}")
