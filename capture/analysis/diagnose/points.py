"""Sessions of several points (interfaces or files) -> a mask of those that another point has shown before."""

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from capture.arrays.aliases import Table

REMEMBERED = 1 << 16
"""Latest conversations that are kept. That is enough: a conversation ends at all points at about the same time."""
UNDER_WAY_NS = 10**9
"""Upper bound of the time that a packet takes from one point to another, ns."""
_ENDS = (
    "family",
    "protocol",
    "client_high",
    "client_low",
    "client_port",
    "server_high",
    "server_low",
    "server_port",
)
_Point = tuple[str, int]


class Seen:
    """Conversations and the first point that showed them.

    A conversation is identified by its endpoints and its time. Behind a translator (DNAT, SNAT), or with a wrong
    clock, the same one counts as another.
    """

    def __init__(self) -> None:
        self._first: OrderedDict[bytes, tuple[_Point, int, int]] = OrderedDict()

    def elsewhere(self, file: str, sessions: Table) -> npt.NDArray[np.bool_]:
        """Return a mask of the sessions that another point has shown; the others are remembered."""
        ends = np.stack([sessions[name].astype(np.int64) for name in _ENDS], axis=1)
        keys = ends.view(f"V{ends.itemsize * len(_ENDS)}")[:, 0].tolist()
        spans = zip(sessions["first_ns"].tolist(), sessions["last_ns"].tolist(), strict=True)
        repeated = np.zeros(len(sessions), bool)
        for row, (key, interface, (first, last)) in enumerate(
            zip(keys, sessions["interface"].tolist(), spans, strict=True)
        ):
            point = (file, interface)
            first_point, began, ended = self._first.get(key, (point, 0, 0))
            if first_point != point and first <= ended + UNDER_WAY_NS and began <= last + UNDER_WAY_NS:
                repeated[row] = True
                continue
            self._first[key] = (point, first, last)
            self._first.move_to_end(key)
            if len(self._first) > REMEMBERED:
                self._first.popitem(last=False)
        return repeated
