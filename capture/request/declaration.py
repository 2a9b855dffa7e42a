"""What is declared of a field, once, and the walk that finds it: a document's struct -> its Fields.

    packets: Annotated[Count | None, field("End after writing so many packets.", "count", option("-c", "--count"))]

Ranges, lengths and patterns are msgspec's Meta on the type. The CRD, and the check of a command line or a rule file,
read the same ones.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import field as part
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

WHERE, WHAT, SAMPLING, LIMITS, OUTPUT = "Where", "What", "Sampling", "Limits", "Output"
_GROUPS = {"target": WHERE, "sampling": SAMPLING, "limits": LIMITS, "storage": OUTPUT}
_DECLARED = "declared"


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
    return Meta(description=help, extra={_DECLARED: declared})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a document: its name from the root, in Python's names and in JSON's."""

    path: tuple[str, ...]
    json_path: tuple[str, ...]
    type: Any
    """Without None."""
    help: str
    declared: Declared
    limits: tuple[Meta, ...] = part(repr=False)
    """Ranges and patterns of the value, or of each value of a list."""

    @property
    def parameter(self) -> str:
        """A name for the option's value, unlike any other's."""
        return "_".join(self.path)

    @property
    def key(self) -> str:
        """Its key in a rule file: the option's long name as Kubernetes would spell it, else the field's."""
        name = self.declared.option.name if self.declared.option else ""
        name = name[2:].replace("-", "_") if name.startswith("--") else self.path[-1]
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def group(self) -> str:
        """The heading of its option."""
        return _GROUPS.get(self.path[0], WHAT)

    @property
    def is_list(self) -> bool:
        """True if it has any number of values."""
        return get_origin(self.type) is list

    def of(self, document: Any) -> Any:
        """Its value in a document; None or an empty list if the document does not say it."""
        for name in self.path:
            document = getattr(document, name)
        return document


@cache
def fields(document: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The declared fields of a document, those of its parts in their name."""
    return tuple(_walk(document, (), ()))


def _walk(struct: type[msgspec.Struct], path: tuple[str, ...], json_path: tuple[str, ...]) -> Iterator[Field]:
    hints = get_type_hints(struct, include_extras=True)
    for name, json_name in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True):
        hint = hints[name]
        here, in_json = (*path, name), (*json_path, json_name)
        for meta in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
            if meta.extra and _DECLARED in meta.extra:
                kind = _without_none(get_args(hint)[0])
                yield Field(
                    path=here,
                    json_path=in_json,
                    type=_bare(kind),
                    help=meta.description,
                    declared=meta.extra[_DECLARED],
                    limits=tuple(_metas(kind)),
                )
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _walk(hint, here, in_json)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    left = [one for one in get_args(hint) if one is not NoneType]
    return left[0] if len(left) == 1 else Union[tuple(left)]  # noqa: UP007 - made while running


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _metas(hint: Any) -> Iterator[Meta]:
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        yield from metas
        yield from _metas(inner)
    elif get_origin(hint) is list:
        yield from _metas(get_args(hint)[0])


def problem(field: Field, value: Any) -> str | None:
    """What is wrong with a number or text of the right type: "0 is not at least 1"; None if nothing is."""
    for meta in field.limits:
        most = (meta.extra or {}).get("le", meta.le)
        for one in value if isinstance(value, list) else [value]:
            if meta.ge is not None and most is not None and not meta.ge <= one <= most:
                return f"{one} is not from {meta.ge} to {most}"
            if meta.ge is not None and one < meta.ge:
                return f"{one} is not at least {meta.ge}"
            if most is not None and one > most:
                return f"{one} is not at most {most}"
            if meta.pattern is not None and not re.search(meta.pattern, one):
                return f"{one!r} does not match {meta.pattern}"
    return None


def choices(field: Field) -> tuple[str, ...]:
    """The words of which its option takes one; () where it takes others."""
    kind = field.type
    if field.declared.option and field.declared.option.choices:
        return field.declared.option.choices
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(one.value for one in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()
