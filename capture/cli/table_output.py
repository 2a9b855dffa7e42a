"""Options that write a table for other programs, as Parquet or Arrow, which several commands have."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capture.cli.groups import option
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.analysis.packets.reading import Batch
    from capture.analysis.packets.several import CaptureSource
    from capture.lake.common import TableRows
    from capture.lake.identity import Origin
    from capture.lake.schema import TableSchema

_PARQUET = option(
    "Output",
    "--parquet",
    metavar="TARGET",
    help="Write a Parquet file whose name ends in .parquet, or a folder of partitions date=.../node=.../; "
    "docs/lake.md lists the columns. Needs pyarrow.",
)
_ARROW = option(
    "Output", "--arrow", metavar="TARGET", help="Write the same table as an Arrow stream to a file, or to - (stdout)."
)
_NODE = option(
    "Output", "--node", metavar="NAME", help="Node of interfaces that the files do not name one for, in that table."
)


def table_options(command: Any) -> Any:
    """Add --parquet, --arrow and --node."""
    for declare in (_NODE, _ARROW, _PARQUET):
        command = declare(command)
    return command


@dataclass(frozen=True, slots=True)
class TableOutput:
    """What these options ask for."""

    parquet: str | None
    arrow: str | None
    node: str | None

    def check(self, **others: bool) -> bool:
        """Return True if a table is to be written. Raises SpecError where options do not combine."""
        forms = {f"--{name}": given for name, given in others.items()}
        forms |= {"--parquet": self.parquet is not None, "--arrow": self.arrow is not None}
        given = [name for name, is_given in forms.items() if is_given]
        if len(given) > 1:
            raise SpecError(f"{' and '.join(given)} do not combine; give one of them")
        asked = self.parquet is not None or self.arrow is not None
        if self.node is not None and not asked:
            raise SpecError("--node is for --parquet and --arrow")
        if asked:
            try:
                import pyarrow  # noqa: F401 - whether it is there
            except ImportError:
                raise SpecError(f"{given[0]} needs pyarrow; pip install 'bicap[parquet]', or use --csv") from None
        return asked

    def origin(self, words: Sequence[str], capture: "CaptureSource") -> "Origin":
        """Return what the rows of a capture have in common."""
        from capture.analysis.packets.capture_parts import completeness_of_all
        from capture.lake.identity import Origin, place_of
        from capture.lake.named_points import Points

        points = Points(capture.description, self.node or "")
        return Origin(capture.name, place_of(words), points, completeness_of_all(words))

    def write(self, table: "TableSchema", rows: "Iterable[TableRows]", names: Sequence[str] | None = None) -> None:
        """Write the rows. Raises SinkError, SpecError."""
        from capture.lake.writing import write_arrow, write_parquet

        write: Callable[..., None] = write_arrow if self.parquet is None else write_parquet
        write(table, rows, self.arrow if self.parquet is None else self.parquet, names)


def until_damage(batches: "Iterable[Batch]", damage: list[FormatError]) -> "Iterator[Batch]":
    """Return the batches before the damage of a file, which is appended to `damage`. Raises it if there are none."""
    read = False
    try:
        for batch in batches:
            read = True
            yield batch
    except FormatError as error:
        if not read:
            raise
        damage.append(error)
