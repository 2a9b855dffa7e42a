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


def handshakes(
    sessions: Table,
    advances: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    goes_on: tuple[Mask, Mask],
    syn_acks_late: npt.NDArray[Any],
) -> Any:
    """Return the Handshake of each session.

    Pairs are of client and server: how often the side's acknowledgment has grown, and a mask of those that sent more
    than SYN and RST. `syn_acks_late`: SYN-ACKs that the server repeated after the ACK must have arrived.
    """
    client, server = sessions["client"], sessions["server"]
    client_goes_on, server_goes_on = goes_on
    has_syn, has_syn_ack, has_ack = sessions["syns"] > 0, sessions["syn_acks"] > 0, sessions["ack_packet"] > 0
    reset = sessions["rst_packet"] > 0
    by_server = reset & (server["rst_packet"] == sessions["rst_packet"])
    by_client = reset & ~by_server
    one_sided = (client["packets"] == 0) | (server["packets"] == 0)
    # An acknowledgment that grows is for bytes of the other side.
    unheard = ((client["packets"] == 0) & (advances[1] > 0)) | ((server["packets"] == 0) & (advances[0] > 0))
    after = sessions["reset_after_ns"]
    at_once = reset & (sessions["rst_early"] > 0) & (after >= 0) & (after < AT_ONCE_NS)
    return np.select(
        [
            sessions["protocol"] != TCP,
            ~has_syn & ~has_syn_ack & one_sided & unheard,
            ~has_syn & ~has_syn_ack,
            ~has_syn & (has_ack | ~by_client),
            has_syn_ack & has_ack & at_once,
            has_syn_ack & has_ack & (syn_acks_late > 0) & ~server_goes_on,
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
