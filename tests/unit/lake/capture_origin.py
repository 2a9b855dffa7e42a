"""An Origin and its rows, as tests write them."""

from ipaddress import IPv4Address, IPv6Address

from capture.analysis.packets.completeness import Completeness
from capture.analysis.packets.gathered import Gathered
from capture.arrays.aliases import Table
from capture.lake.common import TableRows
from capture.lake.identity import Origin
from capture.lake.named_points import Points
from capture.pcapng.describe import InterfaceDescription


def interface(name: str = "", description: str = "") -> InterfaceDescription:
    """An interface of a file, with its if_description."""
    return InterfaceDescription(1, name=name, options=((3, description.encode()),) if description else ())


def origin(
    interfaces: list[InterfaceDescription] | None = None,
    names: dict[IPv4Address | IPv6Address, str] | None = None,
    node: str = "",
    completeness: Completeness | None = None,
    first_ns: int | None = 1,
) -> Origin:
    """A capture /captures/web.pcapng."""
    gathered = Gathered(interfaces or [], names or {})
    known = completeness or Completeness()
    return Origin("web.pcapng", "/captures/web.pcapng", Points(gathered, node), known, first_ns)


def rows(table: Table, **settings: object) -> TableRows:
    """TableRows of that capture."""
    return TableRows(table, origin(**settings))
