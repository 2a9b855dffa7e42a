"""How a field is declared, once: its help, option, default and place in a CaptureSpec, as metadata of its type.

    packets: Annotated[Count | None, field("End after writing this many packets.", "count", option("-c", "--count"))]

Ranges, lengths and patterns are msgspec's Meta on the type. The CRD, and the check of a command line or a rule file,
read the same ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from msgspec import Meta

DECLARED = "declared"
"""Key of the Declared among a Meta's extras."""


class Merge(Enum):
    """How the value of an upper and a lower document become one."""

    OVER = "over"
    """The upper value; the lower one if the upper document does not give it."""
    ADDED = "added"
    """Both lists, the upper first."""
    CHOOSES = "chooses"
    """Chooses where to capture: a choice in the upper document replaces the whole choice of the lower one."""
    WITH_CHOICE = "with choice"
    """Belongs to a choice, and is replaced with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A field on a command line and in a rule file, whose values are words of options."""

    names: tuple[str, ...]
    """Names as typed, like -c and --count; for words without an option, one in capitals. A switch gets --no- too."""
    aliases: tuple[str, ...] = ()
    """Names that are understood, and not shown by --help."""
    unit: str | None = None
    """Unit of the value, like PACKETS or SIZE."""
    help: str = ""
    """Help of the option, where it differs from the field's."""
    default: str = ""
    """Default as --help shows it; "" for none."""
    choices: tuple[str, ...] = ()
    words: Callable[[Any, str], Any] | None = None
    """Function of the words and the option's name that returns the document's value. None: the two are the same."""
    before: str = ""
    """Option above which --help lists it. Default: the order of the document."""
    key_type: Any = None
    """Type of its value in a rule file, where that cannot be told from the field's type."""

    @property
    def name(self) -> str:
        """Name in messages: the long one, if there is one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])

    @property
    def stands_alone(self) -> bool:
        """True if its words stand on the command line without an option."""
        return not self.names[0].startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Metadata of a field beside its type and help."""

    meaning: str | None
    """Attribute of CaptureSpec that it becomes, like "sampling.seed"; None for none of its own."""
    option: Option | None
    default: Any
    """Default in the CRD, the same as CaptureSpec's."""
    reads: Callable[[Any, Any], Any] | None
    """Function of the value and its FieldName that returns the value of CaptureSpec. None: the two are the same."""
    summary: str | None
    """Key in the JSON of a spec, like "storage.user". Default: `meaning`."""
    written: Callable[[Any], Any] | None
    """Function of the value of CaptureSpec that returns the value in the JSON. Default: its plain form."""
    merge: Merge
    title: str
    """Name of the value in the message about its range. Default: the option's name."""
    refused: str
    """Reason why a PacketCapture cannot have it; "" if it can."""
    refused_in_cluster: str
    """Reason why an object in a cluster cannot have it, though a file can; "" if it can."""


def option(*names: str, **settings: Any) -> Option:
    """Return an Option."""
    return Option(names=names, **settings)


def field(
    help: str,
    meaning: str | None = None,
    option: Option | None = None,
    *,
    default: Any = None,
    reads: Callable[[Any, Any], Any] | None = None,
    summary: str | None = None,
    written: Callable[[Any], Any] | None = None,
    merge: Merge = Merge.OVER,
    title: str = "",
    refused: str = "",
    refused_in_cluster: str = "",
) -> Meta:
    """Declare a field: return the outermost annotation of its type."""
    declared = Declared(
        meaning=meaning,
        option=option,
        default=default,
        reads=reads,
        summary=summary,
        written=written,
        merge=merge,
        title=title,
        refused=refused,
        refused_in_cluster=refused_in_cluster,
    )
    return Meta(description=help, extra={DECLARED: declared})
