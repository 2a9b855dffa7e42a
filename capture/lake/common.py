"""What several tables have: rows with their origin, and columns of the capture, of times, ends and pods."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from capture.analysis.query.columns import COLUMNS
from capture.arrays.aliases import Mask, Table
from capture.lake.arrow_arrays import addresses, dates, each, integers, repeated, times
from capture.lake.identity import Origin
from capture.lake.schema import BOOLEAN, DATE, INT32, INT64, LABELS, TEXT, TIME, LakeColumn
from capture.wire.protocols import WITH_PORTS, protocol_name


@dataclass(frozen=True, slots=True)
class TableRows:
    """TableRows of a table, and the capture that they are of."""

    table: Any
    """A Table, or a list of findings."""
    origin: Origin


def field_of(name: str, side: str = "") -> Callable[[Table], Any]:
    """Return the function of a table that returns a field, or a field of a side of sessions."""
    return (lambda table: table[side][name]) if side else (lambda table: table[name])


def number_column(
    name: str,
    unit: str,
    help: str,
    null: str = "",
    none: Callable[[Table], Mask] | None = None,
    values: Callable[[Table], Any] | None = None,
    kind: Any = INT64,
) -> LakeColumn:
    """Return a column of numbers: of the field with its name, or `values`; NULL where `none` is true."""

    def make(rows: TableRows) -> Any:
        found = rows.table[name] if values is None else values(rows.table)
        return integers(found, kind, None if none is None else none(rows.table))

    return LakeColumn(name, kind, unit, help, null, make)


def partition_columns(time: str, what: str) -> Iterator[LakeColumn]:
    """Return the columns that folders are named after; `time` is a field of ns, of `what`."""
    yield LakeColumn("date", DATE, "", f"Day of {what}, UTC.", "", lambda r: dates(r.table[time]))
    yield LakeColumn(
        "node", TEXT, "", "Node that captured it: as the file says, else `--node`.", "neither says it", _nodes
    )


def _nodes(rows: TableRows) -> Any:
    return each(rows.origin.points.node, TEXT, rows.table["interface"])


def capture_columns() -> Iterator[LakeColumn]:
    """Return the columns that say which capture a row is of, and what that says of its own losses."""
    yield LakeColumn(
        "capture_id",
        TEXT,
        "",
        "Number of the capture, made of its path and the time of its first packet. With `session` it joins tables.",
        "",
        lambda r: repeated(r.origin.number, TEXT, len(r.table)),
    )
    yield LakeColumn(
        "capture",
        TEXT,
        "",
        "Name of the capture: its file, or a pattern for the files of a set.",
        "",
        lambda r: repeated(r.origin.name, TEXT, len(r.table)),
    )
    yield LakeColumn(
        "capture_complete",
        BOOLEAN,
        "",
        "True if the capture has all packets of both directions that it was asked for.",
        "it does not say",
        lambda r: repeated(r.origin.completeness.complete if _known(r) else None, BOOLEAN, len(r.table)),
    )
    yield LakeColumn(
        "capture_lost",
        INT64,
        "packets",
        "Packets that the capture lost, in all its files.",
        "it does not say",
        lambda r: repeated(r.origin.completeness.lost if _known(r) else None, INT64, len(r.table)),
    )
    yield LakeColumn(
        "capture_error",
        TEXT,
        "",
        "Damage of a capture. Only in the row that the Spark source adds for a capture which cannot be read to its "
        "end; that row has nothing else but `capture`.",
        "the row is not about damage",
        lambda r: repeated(None, TEXT, len(r.table)),
    )


def _known(rows: TableRows) -> bool:
    return rows.origin.completeness.known


def time_columns(name: str, field: str, what: str) -> Iterator[LakeColumn]:
    """Return a time, and the same in ns."""
    yield LakeColumn(name, TIME, "µs", f"Time of {what}.", "", lambda r: times(r.table[field]))
    yield LakeColumn(
        f"{name}_ns",
        INT64,
        "ns since 1970",
        "The same, exactly as in the file.",
        "",
        lambda r: integers(r.table[field]),
    )


def protocol_columns() -> Iterator[LakeColumn]:
    """Return the interface, the version of IP and the protocol above it."""
    yield LakeColumn(
        "interface",
        TEXT,
        "",
        "Interface, as the file names it, else its number.",
        "",
        lambda r: each(r.origin.points.interface, TEXT, r.table["interface"]),
    )
    yield LakeColumn(
        "ip_version",
        INT32,
        "",
        "4 or 6.",
        "the packet is not IP",
        lambda r: integers(r.table["family"], INT32, r.table["family"] == 0),
    )
    yield LakeColumn(
        "protocol",
        TEXT,
        "",
        "Protocol above IP: `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, else its number.",
        "the packet is not IP",
        lambda r: each(
            lambda family, number: protocol_name(number) if family else "",
            TEXT,
            r.table["family"],
            r.table["protocol"],
        ),
    )


def vlan_columns() -> Iterator[LakeColumn]:
    """Return the VLANs."""
    for name, help in (("vlan", "VLAN, the outer one of two."), ("inner_vlan", "The inner one of two VLANs.")):
        yield number_column(name, "", help, "there is none", _is_zero(COLUMNS[name]), COLUMNS[name], INT32)


def _is_zero(values: Callable[[Table], Any]) -> Callable[[Table], Mask]:
    def none(table: Table) -> Mask:
        mask: Mask = values(table) == 0
        return mask

    return none


def with_ports(table: Table) -> Mask:
    """Return a mask of rows whose protocol has ports."""
    return np.isin(table["protocol"], tuple(WITH_PORTS))


def end_columns(side: str, what: str) -> Iterator[LakeColumn]:
    """Return address, port, and what the file says of the address."""
    yield LakeColumn(
        side, TEXT, "", f"Address of the {what}.", "the packet is not IP", lambda r: addresses(r.table, side)
    )
    yield LakeColumn(
        f"{side}_port",
        INT32,
        "",
        f"Port of the {what}.",
        "the protocol has no ports",
        lambda r: integers(r.table[f"{side}_port"], INT32, ~with_ports(r.table)),
    )
    for name, method, help, null in (
        (
            "namespace",
            "namespace",
            f"Namespace of the {what}'s pod, by the names in the file.",
            "the file names no pod for it",
        ),
        ("pod", "pod", f"Pod of the {what}, by the names in the file.", "the file names no pod for it"),
        (
            "host_name",
            "name",
            f"Name of the {what}'s address that is not a pod's, like a node's.",
            "the file has none",
        ),
    ):
        yield LakeColumn(f"{side}_{name}", TEXT, "", help, null, _named(side, method))


def label_column(side: str, what: str) -> LakeColumn:
    """Return the labels of an end's pod."""
    return LakeColumn(
        f"{side}_labels",
        LABELS,
        "",
        f"Labels of the {what}'s pod when the capture met it.",
        "the file has no interface of that pod",
        _named(side, "labels", LABELS),
    )


def _named(side: str, name: str, kind: Any = TEXT) -> Callable[[TableRows], Any]:
    def make(rows: TableRows) -> Any:
        value = getattr(rows.origin.points, name)
        return each(value, kind, *(rows.table[field] for field in ("family", f"{side}_high", f"{side}_low")))

    return make
