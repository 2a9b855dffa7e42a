"""Tables of sessions -> a sentence, if most packets carry others in tunnels that were not opened."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from capture.arrays.aliases import Mask, Table
from capture.wire.protocols import UDP

_PORTS = {4789: "VXLAN", 8472: "VXLAN", 6081: "Geneve", 2152: "GTP-U"}
_PROTOCOLS = {47: "GRE", 4: "IP in IP", 41: "IP in IP"}


class TunnelShare:
    """Counts packets in tunnels, by the protocol or port of their sessions."""

    def __init__(self) -> None:
        self._packets = 0
        self._carriers: Counter[str] = Counter()

    def beside(self, ended: Iterable[tuple[Table, Table]]) -> Iterator[tuple[Table, Table]]:
        """Return pairs (sessions that ended, samples), and count the sessions."""
        for sessions, samples in ended:
            self.add(sessions)
            yield sessions, samples

    def add(self, sessions: Table) -> None:
        """Count sessions."""
        packets = sessions["client"]["packets"] + sessions["server"]["packets"]
        self._packets += int(packets.sum())
        for protocol, name in _PROTOCOLS.items():
            self._count(name, packets, sessions["protocol"] == protocol)
        udp = sessions["protocol"] == UDP
        if udp.any():
            for port, name in _PORTS.items():
                self._count(
                    name, packets, udp & ((sessions["server_port"] == port) | (sessions["client_port"] == port))
                )

    def _count(self, name: str, packets: Table, chosen: Mask) -> None:
        if chosen.any():
            self._carriers[name] += int(packets[np.flatnonzero(chosen)].sum())

    @property
    def sentence(self) -> str:
        """The tunnels, their share of the packets and the option that opens them; empty below a half."""
        inside = sum(self._carriers.values())
        if 2 * inside <= self._packets:
            return ""
        names = " and ".join(name for name, _ in self._carriers.most_common())
        return f"{100 * inside // self._packets} % of the packets are in {names}; --inner shows what is inside"
