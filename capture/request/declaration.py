"""How a field is declared, once: its help, option, default and place in a CaptureSpec, as metadata of its type.

    packets: Annotated[Count | None, field("End after writing so many packets.", "count", option("-c", "--count"))]

Ranges, lengths and patterns are msgspec's Meta on the type. The CRD, and the check of a command line or a rule file,
read the same ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from msgspec import Meta

DECLARED = "declared"
"""The key of a Declared among a Meta's extras."""


class Merge(Enum):
    """How one document's value and that of the document under it become one."""

    OVER = "over"
    """The upper value; the lower one where the upper document says nothing."""
    ADDED = "added"
    """Both lists, the upper first."""
    CHOOSES = "chooses"
    """Says where to capture: a choice in the upper document takes the name of the whole choice below."""
    WITH_CHOICE = "with choice"
    """Belongs to the choice below, and goes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How a command line has a field, and with it a rule file, whose values are words of options."""

    names: tuple[str, ...]
    """As typed, like -c and --count; of words that stand alone, one in capitals. A switch gets its --no- besides."""
    aliases: tuple[str, ...] = ()
    """Names that are understood and not shown."""
    unit: str | None = None
    """What a value is or counts in, like PACKETS or SIZE."""
    help: str = ""
    """Where it is not the field's."""
    default: str = ""
    """In words; "" where the help needs none."""
    choices: tuple[str, ...] = ()
    words: Callable[[Any, str], Any] | None = None
    """The words given, the option's name -> the document's value. None: they are that value."""
    before: str = ""
    """The option above which --help lists it. Default: the order of the document."""
    key_type: Any = None
    """The type of its value in a rule file, where it is not that of the words."""

    @property
    def name(self) -> str:
        """The name in messages: the long one, if there is one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])

    @property
    def stands_alone(self) -> bool:
        """True if its words need no option before them."""
        return not self.names[0].startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is known of a field beside its type and help."""

    meaning: str | None
    """The attribute of CaptureSpec that it becomes, like "sampling.seed"; None if it becomes none of its own."""
    option: Option | None
    default: Any
    """In the CRD; the same as CaptureSpec's."""
    reads: Callable[[Any, Any], Any] | None
    """(the document's value, its FieldName) -> the value of CaptureSpec. None: it is that value."""
    summary: str | None
    """The key in the JSON of a spec, like "storage.user". Default: as `meaning`."""
    written: Callable[[Any], Any] | None
    """The value of CaptureSpec -> that in the JSON. Default: its plain form."""
    merge: Merge
    title: str
    """The name of its value where a range is not kept. Default: that of the option."""
    refused: str
    """Why a PacketCapture cannot have it; "" if it can."""


def option(*names: str, **settings: Any) -> Option:
    """An Option."""
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
) -> Meta:
    """Declare a field: the outermost annotation of its type."""
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
    )
    return Meta(description=help, extra={DECLARED: declared})
