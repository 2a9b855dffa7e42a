"""The evidence of TCP handshakes -> verdicts, for whole tables of sessions at a time.

What is said is what the packets prove. Where a packet must have been sent that the file does not have, the verdict is
that it was not captured, never that the network lost it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.sessions.session_table import Handshake
from capture.arrays.aliases import Mask, Table
from capture.wire.protocols import TCP

AT_ONCE_NS = 10**9


def unreachable(sessions: Table) -> Mask:
    """Where the ICMP error says that packets do not arrive: not that they are too big, or should go elsewhere."""
    kind, code = sessions["icmp_type"], sessions["icmp_code"]
    version4 = ((kind == 3) & (code != 4)) | (kind == 11) | (kind == 12)
    version6 = (kind == 1) | (kind == 3) | (kind == 4)
    final: Mask = (sessions["icmp_packet"] > 0) & np.where(sessions["family"] == 4, version4, version6)
    return final


def handshakes(sessions: Table, client_advances: npt.NDArray[Any], server_advances: npt.NDArray[Any]) -> Any:
    """The Handshake of each session. `*_advances`: how often that side's acknowledgment has grown."""
    client, server = sessions["client"], sessions["server"]
    asked, granted, done = sessions["syns"] > 0, sessions["syn_acks"] > 0, sessions["ack_packet"] > 0
    reset = sessions["rst_packet"] > 0
    by_server = reset & (server["rst_packet"] == sessions["rst_packet"])
    by_client = reset & ~by_server
    client_goes_on = client["packets"] - sessions["syns"] - (client["rst_packet"] > 0) > 0
    server_goes_on = server["packets"] - sessions["syn_acks"] - (server["rst_packet"] > 0) > 0
    one_sided = (client["packets"] == 0) | (server["packets"] == 0)
    # An acknowledgment that grows is for bytes of the other side.
    unheard = ((client["packets"] == 0) & (server_advances > 0)) | ((server["packets"] == 0) & (client_advances > 0))
    at_once = reset & (sessions["rst_early"] > 0) & (sessions["rst_ns"] - sessions["ack_ns"] < AT_ONCE_NS)
    return np.select(
        [
            sessions["protocol"] != TCP,
            ~asked & ~granted & one_sided & unheard,
            ~asked & ~granted,
            ~asked & ~done & ~by_client,
            granted & done & at_once,
            granted & done & (sessions["syn_ack_last_ns"] > sessions["ack_ns"]) & ~server_goes_on,
            granted & done,
            granted & server_goes_on,
            granted & by_client,
            granted,
            by_server & ~client_goes_on,
            client_goes_on | server_goes_on,
            unreachable(sessions),
        ],
        [
            Handshake.NONE,
            Handshake.NOT_CAPTURED,
            Handshake.STARTED_BEFORE,
            Handshake.NOT_CAPTURED,
            Handshake.RESET_AT_ONCE,
            Handshake.ACK_LOST,
            Handshake.COMPLETE,
            Handshake.NOT_CAPTURED,
            Handshake.ABORTED,
            Handshake.UNACKNOWLEDGED,
            Handshake.REFUSED,
            Handshake.NOT_CAPTURED,
            Handshake.UNREACHABLE,
        ],
        Handshake.UNANSWERED,
    )
