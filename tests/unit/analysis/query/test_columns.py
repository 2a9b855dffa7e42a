"""Tables -> columns of plain values."""

import json

import numpy as np

from capture.analysis.query.columns import COLUMNS, flat
from capture.pcapng.describe import InterfaceDescription
from tests.unit.analysis.session_row import session


def test_every_column_has_a_value_per_session_and_interfaces_have_their_names() -> None:
    table = np.concatenate([session(interface=1), session(interface=0, protocol=99)])
    columns = flat(table, [InterfaceDescription(1), InterfaceDescription(1, name="eth0")])
    assert set(columns) == set(COLUMNS)
    assert {len(values) for values in columns.values()} == {2}
    assert (columns["interface"], columns["protocol"]) == (["eth0", "0"], ["tcp", "99"])
    json.dumps(columns)
