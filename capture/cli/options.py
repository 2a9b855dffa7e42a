"""The declaration of a capture's fields -> options of the commands that capture, plan and list pods."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import click

from capture.cli.groups import option
from capture.errors import SpecError
from capture.request.document import Document
from capture.request.fields import OUTPUT, RECORD, WHAT, WHERE, Field, choices, fields, is_of_ring, is_recorded
from capture.request.given import RULE_FIELDS
from capture.request.naming import in_object, on_line
from capture.request.rulefile import rule_word
from capture.spec import RING_NEEDS

PLAN = "Plan"
LOOK_DEFAULT = "1s"

_Declarations = list[Callable[[Any], Any]]

_OF_PODS = ("pods", "namespaces", "selector", "containers", "cri_sockets", "pods_file", "netns")
"""Fields of the target that choose pods by data of the container runtime."""

_FILE = option(
    WHAT,
    "-f",
    "--filename",
    metavar="FILE",
    help="A file of rules, or a PacketCapture of ours or Antrea's; what is given here goes before it.",
)
_OF_THE_COMMANDS: _Declarations = [
    option(
        OUTPUT, "--json", "as_json", is_flag=True, help="Print the final summary (or the plan) as JSON on stdout."
    ),
    option(
        PLAN,
        "--look",
        metavar="TIME",
        help=f"Estimate from the counters of the interfaces, watched for this long.  [default: {LOOK_DEFAULT}]",
    ),
    option(
        PLAN,
        "--assume",
        metavar="LOAD",
        help="Estimate from this load, both directions together: 100kpps,800B or 10mbit,800B or 100kpps,10mbit.",
    ),
    option(
        PLAN,
        "--costs",
        metavar="FILE",
        help="What packets cost, as `bicap bench --calibrate` wrote it.  [default: what it measured here, if it did]",
    ),
]


def capture_options(command: Any) -> Any:
    """Add all options of `bicap capture`, under their headings."""
    return _declared(
        [*_options(lambda field: not _only_recorded(field)), *_OF_THE_COMMANDS],
        command,
    )


def plan_options(command: Any) -> Any:
    """Add the options of all fields, and those of an estimate."""
    return _declared([*_options(), *_OF_THE_COMMANDS], command)


def record_options(command: Any) -> Any:
    """Add the options of the fields that a recorder uses."""
    return _declared([*_options(lambda field: is_recorded(field) or is_of_ring(field))], command)


def field_options(wanted: Callable[[Field], bool]) -> Callable[[Any], Any]:
    """Return what adds the options of the wanted fields to a command."""
    return lambda command: _declared([*_options(wanted)], command)


def _only_recorded(field: Field) -> bool:
    return field.group == RECORD


def top_options(command: Any) -> Any:
    """Add the options of the fields that `bicap top` uses: those that choose packets, and the memory for them."""
    return _declared([*_options(_is_of_top)], command)


def _is_of_top(field: Field) -> bool:
    if field.path == ("reasons",) or field.group == OUTPUT:
        return False
    return is_recorded(field) and (field.group != RECORD or field.path[-1] == "memory")


def refuse_recording(document: Document) -> None:
    """Raise SpecError if a document has a field that only a recorder uses."""
    for field in fields(Document):
        if _only_recorded(field) and field.of(document) not in (None, []):
            raise SpecError(f"{in_object(field).text} is for a recorder; run it with bicap record")


def refuse_not_recorded(document: Document) -> None:
    """Raise SpecError if a document has a field that a recorder cannot use, or that of the other kind of recorder."""
    ring = document.storage.path is not None
    for field in fields(Document):
        if is_recorded(field) or field.of(document) in (None, []):
            continue
        if not is_of_ring(field):
            raise SpecError(
                f"{in_object(field).text} is for bicap capture: a recorder writes incidents, see --incidents"
            )
        if not ring:
            raise SpecError(
                f"{on_line(field).text} is for a ring of files, which -w names; leave it out for packets in memory"
            )
    if ring and document.record.memory is not None:
        raise SpecError("--memory is for a recorder in memory, and -w keeps packets in a ring of files; give one")
    if ring and (document.storage.file_size is None or document.storage.files_kept is None):
        raise SpecError(RING_NEEDS)


def pod_options(command: Any) -> Any:
    """Add the options that choose pods by data of the container runtime."""
    return _declared([_option(field) for field in fields(Document) if field.path[-1] in _OF_PODS], command)


def _declared(declarations: _Declarations, command: Any) -> Any:
    for declare in reversed(declarations):
        command = declare(command)
    return command


def _options(wanted: Callable[[Field], bool] = lambda _: True) -> Iterator[Callable[[Any], Any]]:
    """Return the options of the wanted fields, in the order of their headings."""
    groups: dict[str, list[Callable[[Any], Any]]] = {}
    for field in filter(wanted, _in_order(fields(Document))):
        group = groups.setdefault(field.group, [])
        if field.path == ("rules",):
            group += [*map(_rule_option, RULE_FIELDS), _FILE]
        elif field.declared.option:
            group.append(_option(field))
    groups = {WHERE: groups.pop(WHERE), **groups}
    for group in groups.values():
        yield from group


def _in_order(declared: Collection[Field]) -> list[Field]:
    """Return fields in the order of the document, but put a field with `before` in front of that option."""
    ordered = list(declared)
    for field in declared:
        above = field.declared.option.before if field.declared.option else ""
        if above:
            ordered.remove(field)
            names = [other.declared.option.names if other.declared.option else () for other in ordered]
            ordered.insert(next(at for at, known in enumerate(names) if above in known), field)
    return ordered


def _option(field: Field) -> Callable[[Any], Any]:
    """Return the option of a field; a switch also gets its opposite, --no-..."""
    declared = field.declared.option
    assert declared is not None
    if declared.stands_alone:
        return click.argument(field.parameter, nargs=-1, metavar=f"[{declared.name}]...")
    names = list(declared.names)
    settings: dict[str, Any] = {}
    if field.type is bool:
        names[-1] = f"{names[-1]}/--no-{names[-1][2:]}"
        settings["default"] = None
    elif words := choices(field) if not field.is_list else ():
        settings["type"] = click.Choice(words)
    elif field.type in (int, list[int]):
        settings["type"] = int
    return option(
        field.group,
        *names,
        field.parameter,
        aliases=declared.aliases,
        multiple=field.is_list,
        metavar=declared.unit,
        help=_help(field),
        **settings,
    )


def _rule_option(field: Field) -> Callable[[Any], Any]:
    """Return the option of a rule's field; given again, it begins another rule."""
    declared = field.declared.option
    assert declared is not None
    return option(WHAT, *declared.names, rule_word(field), multiple=True, metavar=declared.unit, help=_help(field))


def _help(field: Field) -> str:
    declared = field.declared.option
    assert declared is not None
    return (declared.help or field.help) + (f"  [default: {declared.default}]" if declared.default else "")
