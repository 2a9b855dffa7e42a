"""Questions about this node -> answers: yes, no, or None for could not tell.

A check never hides another: what goes wrong in one is its answer, and what builds on a failed one says so
instead of failing as well. The questions themselves are in probes.py.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from capture.errors import BicapError


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found out: yes, no, or None for could not tell; and what to do about a no."""

    ok: bool | None
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a capture needs, or profits from; `unless` names a check whose yes makes it dispensable."""

    name: str
    probe: Callable[[], Answer]
    required: bool = True
    needs: tuple[str, ...] = ()
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A check's answer."""

    check: str
    ok: bool | None
    required: bool
    finding: str
    remedy: str


def run_checks(checks: Iterable[Check]) -> list[Result]:
    """Make the checks, in their order."""
    results: dict[str, Result] = {}
    for check in checks:
        found = _probed(check, [name for name in check.needs if results[name].ok is False])
        required = check.required and not (check.unless and results[check.unless].ok)
        results[check.name] = Result(check.name, found.ok, required, found.text, "" if found.ok else found.remedy)
    return list(results.values())


def can_capture(results: Sequence[Result]) -> bool:
    """Whether nothing that is required was found missing."""
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
