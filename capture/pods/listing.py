"""The pods of a source at one moment."""

from dataclasses import dataclass

from capture.selection.pod import Pod


@dataclass(frozen=True, slots=True)
class Listing:
    """The pods, and problems with single ones, one line each."""

    pods: tuple[Pod, ...] = ()
    troubles: tuple[str, ...] = ()
