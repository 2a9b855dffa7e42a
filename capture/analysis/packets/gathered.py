"""Interfaces and names of files that are read as one -> one list of each, and interface numbers in that list.

An interface of another file is the same one if it has the same name, link type and place among those of its name.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import numpy as np

from capture.arrays.aliases import Table
from capture.pcapng.describe import Description, InterfaceDescription, SectionDescription

Renamed = Callable[[InterfaceDescription, int], InterfaceDescription]
"""An interface and its number in its file -> the interface as it is listed."""


@dataclass
class Gathered:
    """Interfaces and names of several files, as far as they have been read."""

    interfaces: list[InterfaceDescription] = field(default_factory=list)
    names: dict[IPv4Address | IPv6Address, str] = field(default_factory=dict)
    section: SectionDescription = field(default_factory=SectionDescription)
    """That of the first file."""
    numbers: defaultdict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    """Numbers of the interfaces with a name and link type."""


class Numbering:
    """The interface numbers of one file in a list of several."""

    def __init__(self, gathered: Gathered, own: Description, renamed: Renamed | None = None) -> None:
        self._gathered, self._own, self._renamed = gathered, own, renamed
        self._numbers = np.zeros(0, np.int64)
        self._alike: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._names = 0
        self._same = True

    def replace(self, packets: Table) -> None:
        """Add what the file has described since the last call, and write the numbers into its packets."""
        if len(self._numbers) < len(self._own.interfaces):
            self._add()
        if len(self._own.names) > self._names:
            self._names = len(self._own.names)
            for address, name in self._own.names.items():
                self._gathered.names.setdefault(address, name)
        if not self._same:
            packets["interface"] = self._numbers[packets["interface"]]

    def _add(self) -> None:
        gathered, numbers = self._gathered, self._numbers.tolist()
        if not gathered.interfaces:
            gathered.section = self._own.section
        for own_number in range(len(numbers), len(self._own.interfaces)):
            interface = self._own.interfaces[own_number]
            if self._renamed is not None:
                interface = self._renamed(interface, own_number)
            key = interface.name, interface.link
            listed = gathered.numbers[key]
            if self._alike[key] == len(listed):
                listed.append(len(gathered.interfaces))
                gathered.interfaces.append(interface)
            numbers.append(listed[self._alike[key]])
            self._alike[key] += 1
        self._numbers = np.array(numbers, np.int64)
        self._same = bool((self._numbers == np.arange(len(numbers))).all())
