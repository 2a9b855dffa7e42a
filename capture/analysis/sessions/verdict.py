"""Evidence of TCP handshakes -> verdicts, for a whole table of sessions at a time.

A verdict is what the packets prove. If a packet must have been sent but is not in the file, the verdict is that it
was not captured, never that the network lost it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from capture.analysis.sessions.session_table import Handshake
from capture.arrays.aliases import Mask, Table
from capture.wire.protocols import TCP

AT_ONCE_NS = 10**9
"""Time after the handshake in which an RST counts as RESET_AT_ONCE, ns."""


def unreachable(sessions: Table) -> Mask:
    """Return a mask of sessions whose ICMP error means that packets do not arrive, not too big or redirected."""
    kind, code = sessions["icmp_type"], sessions["icmp_code"]
    version4 = ((kind == 3) & (code != 4)) | (kind == 11) | (kind == 12)
    version6 = (kind == 1) | (kind == 3) | (kind == 4)
    final: Mask = (sessions["icmp_packet"] > 0) & np.where(sessions["family"] == 4, version4, version6)
    return final


def handshakes(sessions: Table, client_advances: npt.NDArray[Any], server_advances: npt.NDArray[Any]) -> Any:
    """Return the Handshake of each session. `*_advances`: how often the side's acknowledgment has grown."""
    client, server = sessions["client"], sessions["server"]
    has_syn, has_syn_ack, has_ack = sessions["syns"] > 0, sessions["syn_acks"] > 0, sessions["ack_packet"] > 0
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
            ~has_syn & ~has_syn_ack & one_sided & unheard,
            ~has_syn & ~has_syn_ack,
            ~has_syn & ~has_ack & ~by_client,
            has_syn_ack & has_ack & at_once,
            has_syn_ack & has_ack & (sessions["syn_ack_last_ns"] > sessions["ack_ns"]) & ~server_goes_on,
            has_syn_ack & has_ack,
            has_syn_ack & server_goes_on,
            has_syn_ack & by_client,
            has_syn_ack,
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
