"""A row of SESSION, as tests write it."""

import numpy as np

from capture.analysis.sessions.session_table import SESSION
from capture.arrays.aliases import Table


def session(**fields: int) -> Table:
    """One row; `client.packets` is given as client_packets where SESSION has no such field itself."""
    table = np.zeros(1, SESSION)
    defaults = {"protocol": 6, "family": 4, "client_low": 0x0A000001, "server_low": 0x0A000002, "server_port": 80}
    for name, value in (defaults | fields).items():
        side, _, rest = name.partition("_")
        if name in (SESSION.names or ()):
            table[name] = value
        else:
            table[side][rest] = value
    return table
